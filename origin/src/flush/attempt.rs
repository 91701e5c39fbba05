//! One attempt to flush, guarded: it ends, as done or with a reason, whatever happens in it.
//!
//! The work is a task of its own on the threads that flush, so a panic ends only the attempt, and one that hangs or
//! blocks its thread is not waited for any longer. What then goes on is up to [`super::threads`].

use std::{any::Any, future::poll_fn, mem, sync::Arc, task::Poll, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::Value;
use shared::id::RoomId;
use tokio::{runtime::Handle, task::JoinError, time};
use tokio_util::task::AbortOnDropHandle;

use super::Work;

/// Told of every attempt that ended, and how long it took.
pub type Ended = dyn Fn(&RoomId, Result<(), &str>, Duration) + Send + Sync;

/// Work that is done on these threads, whoever asks for it, and always ends within about `timeout`, at the latest with
/// that as its reason.
pub fn guarded(work: Arc<Work>, threads: Handle, timeout: Duration, ended: Box<Ended>) -> Arc<Work> {
    let ended: Arc<Ended> = Arc::from(ended);
    Arc::new(move |room: RoomId| {
        let (work, threads, ended) = (work.clone(), threads.clone(), ended.clone());
        Box::pin(async move {
            let begun = time::Instant::now();
            let outcome = attempt(work, &threads, room.clone(), timeout).await;
            ended(&room, outcome.as_ref().map(drop).map_err(String::as_str), begun.elapsed());
            outcome
        }) as BoxFuture<'static, _>
    })
}

async fn attempt(
    work: Arc<Work>,
    threads: &Handle,
    room: RoomId,
    timeout: Duration,
) -> Result<Value, String> {
    let running = threads.spawn(async move {
        // Of jobs that came together each is to end by itself: the queue works on one while the next is done here.
        step_back().await;
        work(room).await
    });
    // Given up when nobody waits for the outcome any more.
    let running = AbortOnDropHandle::new(running);
    match time::timeout(timeout, running).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(ended_early(error)),
        Err(_) => Err(format!("not finished after {} ms", timeout.as_millis())),
    }
}

/// Lets everything else that is due go first. Tokio's `yield_now` would keep the task where no other thread gets it if
/// this one is blocked next.
async fn step_back() {
    let mut stepped = false;
    let step = poll_fn(|context| {
        if mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    step.await;
}

fn ended_early(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("panicked: {}", panic_text(&*panic)),
        Err(error) => error.to_string(),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

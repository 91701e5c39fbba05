//! One attempt to flush, guarded: it ends, as done or with a reason, whatever happens in it.
//!
//! The work runs on a thread of its own, from the pool that the runtime keeps for what may block. So a panic ends
//! only the attempt, merging a large file holds up nobody, and a thread that never comes back is left behind while
//! the queue goes on.

use std::{any::Any, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::Value;
use shared::id::RoomId;
use tokio::{runtime::Handle, task::JoinError, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Work;

/// Told of every attempt that ended, and how long it took.
pub type Ended = dyn Fn(&RoomId, Result<(), &str>, Duration) + Send + Sync;

/// Work that always ends within about `timeout`, at the latest with that as its reason.
pub fn guarded(work: Arc<Work>, timeout: Duration, ended: Box<Ended>) -> Arc<Work> {
    let ended: Arc<Ended> = Arc::from(ended);
    Arc::new(move |room: RoomId| {
        let (work, ended) = (work.clone(), ended.clone());
        Box::pin(async move {
            let begun = time::Instant::now();
            let outcome = attempt(work, room.clone(), timeout).await;
            ended(&room, outcome.as_ref().map(drop).map_err(String::as_str), begun.elapsed());
            outcome
        }) as BoxFuture<'static, _>
    })
}

async fn attempt(work: Arc<Work>, room: RoomId, timeout: Duration) -> Result<Value, String> {
    let given_up = CancellationToken::new();
    let (heard, runtime) = (given_up.clone(), Handle::current());
    // Also when nobody waits for the outcome any more.
    let give_up = given_up.drop_guard();
    let running = TaskTracker::new().spawn_blocking(move || {
        runtime.block_on(async move {
            tokio::select! {
                biased;
                () = heard.cancelled() => Err("given up".to_owned()),
                outcome = async { work(room).await } => outcome,
            }
        })
    });
    let outcome = match time::timeout(timeout, running).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(ended_early(error)),
        Err(_) => Err(format!("not finished after {} ms", timeout.as_millis())),
    };
    drop(give_up);
    outcome
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

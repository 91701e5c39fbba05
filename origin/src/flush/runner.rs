//! Flushes rooms, one attempt at a time: each ends, as done or with a reason, whatever happens in it.
//!
//! An attempt is a task of its own on the threads that flush, so a panic ends only the attempt, and one that hangs or
//! blocks its thread is not waited for any longer. What then goes on is up to [`super::threads`].

use std::{any::Any, future::poll_fn, mem, sync::Arc, task::Poll, time::Duration};

use async_trait::async_trait;
use shared::id::RoomId;
use tokio::{runtime::Handle, task::JoinError, time};
use tokio_util::task::AbortOnDropHandle;

use super::report::{FlushError, FlushFailure, FlushReport};

/// What is run.
#[async_trait]
pub trait FlushRoom: Send + Sync + 'static {
    /// Flushes a room.
    async fn flush(&self, room: &RoomId) -> Result<FlushReport, FlushError>;

    /// Keeps for operators why an attempt failed.
    async fn record_failure(&self, _room: &RoomId, _failure: &FlushFailure) {}
}

/// Sees how every attempt ended, and how long it took.
pub type Observer = dyn Fn(&RoomId, &Result<FlushReport, FlushFailure>, Duration) + Send + Sync;

/// Flushes rooms for the queue, the sweep and operators, on the threads that flush.
pub struct FlushRunner {
    /// What is run.
    pub flusher: Arc<dyn FlushRoom>,
    /// Where it runs.
    pub threads: Handle,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// Sees how every attempt ended.
    pub observe: Box<Observer>,
}

impl FlushRunner {
    /// Flushes a room. Ends within about the timeout.
    pub async fn run(&self, room: &RoomId) -> Result<FlushReport, FlushFailure> {
        let begun = time::Instant::now();
        let outcome = self.attempt(room.clone()).await;
        (self.observe)(room, &outcome, begun.elapsed());
        if let Err(failure) = &outcome {
            self.flusher.record_failure(room, failure).await;
        }
        outcome
    }

    async fn attempt(&self, room: RoomId) -> Result<FlushReport, FlushFailure> {
        let flusher = self.flusher.clone();
        let running = self.threads.spawn(async move {
            // Of jobs that came together each is to end by itself: the queue works on one while the next is done here.
            step_back().await;
            flusher.flush(&room).await
        });
        // Given up when nobody waits for the outcome any more.
        let running = AbortOnDropHandle::new(running);
        match time::timeout(self.timeout, running).await {
            Ok(Ok(outcome)) => Ok(outcome?),
            Ok(Err(error)) => Err(ended_early(error)),
            Err(_) => Err(FlushFailure::Late(self.timeout)),
        }
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

fn ended_early(error: JoinError) -> FlushFailure {
    match error.try_into_panic() {
        Ok(panic) => FlushFailure::Panicked(panic_text(&*panic).to_owned()),
        Err(_) => FlushFailure::Ended,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

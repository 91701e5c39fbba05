//! The queue of flushes: which rooms are to be flushed, when, and how many at once.

use std::sync::Arc;

use async_trait::async_trait;
use shared::id::RoomId;
use tokio_util::sync::CancellationToken;

use super::runner::FlushRunner;

/// A queue of rooms to flush.
///
/// One job per room: asked again while it waits, nothing changes; asked again while it runs, it runs once more
/// afterwards. One contract suite (`tests/it/flush_queue.rs`) runs against every implementation.
#[async_trait]
pub trait FlushQueue: Send + Sync + 'static {
    /// Asks for a flush of the room after the flush delay. Waits for nothing: what cannot be handed on now is
    /// handed on later.
    fn request(&self, room: &RoomId);

    /// Asks for a flush of the room now; a job that waits for its time waits no longer.
    fn request_now(&self, room: &RoomId);

    /// [`Self::request`], answered only when the room has a job.
    async fn ensure(&self, room: &RoomId) -> Result<(), QueueError>;

    /// Where the room's job is; `None` if none is waiting or running.
    async fn job(&self, room: &RoomId) -> Result<Option<JobState>, QueueError>;

    /// How many jobs there are.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// Jobs that have used all their attempts, the latest ones at least.
    async fn failed(&self) -> Result<Vec<FailedJob>, QueueError>;

    /// Ends when something that was asked for was refused: who can flushes without the queue then.
    async fn refused(&self);

    /// Runs what is due until `stop`, then waits for what is running.
    async fn run(self: Arc<Self>, runner: Arc<FlushRunner>, stop: CancellationToken);
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Due, but others come first.
    Waiting,
    /// Not due yet.
    Delayed,
    /// Being flushed.
    Active,
}

/// How many jobs there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Due, but others come first.
    pub waiting: u64,
    /// Not due yet.
    pub delayed: u64,
    /// Being flushed.
    pub active: u64,
    /// Given up, and kept for operators.
    pub failed: u64,
}

/// A job that has used all its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedJob {
    /// The room.
    pub room: RoomId,
    /// How many attempts there were.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: String,
}

/// Why the queue did not do it.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Redis has no room for more.
    #[error("the queue's Redis is full")]
    Full,
    /// Redis cannot be reached, or did not answer in time.
    #[error("the queue: {0}")]
    Away(String),
}

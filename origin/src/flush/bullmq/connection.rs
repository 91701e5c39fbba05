//! The connection for adding and asking. The crate makes one again only after an error that it sees, and waits ten
//! seconds for an answer.

use std::sync::Arc;

use bullmq::{Error, Queue, QueueOptions};
use futures_util::future::{BoxFuture, FutureExt};

use super::place::Place;
use crate::{
    flush::queue::QueueError,
    redis::{Breaks, CallError, Calls, Dial},
};

/// The way to the queue. Cheap to clone.
pub(super) type QueueCalls = Calls<Arc<Queue>>;

/// How the queue is reached, and how many jobs may run at once in all processes together.
pub(super) struct QueueDial {
    pub(super) place: Place,
    pub(super) concurrency: u64,
}

impl Dial for QueueDial {
    type Client = Arc<Queue>;

    const WARNS_ONCE: bool = true;

    async fn connect(&self) -> Result<(Arc<Queue>, BoxFuture<'static, ()>), String> {
        let Place { name, prefix, connection } = self.place.clone();
        let options = QueueOptions { connection, prefix, ..QueueOptions::default() };
        let queue = Queue::with_options(&name, options).await.map_err(text)?;
        queue.set_global_concurrency(self.concurrency).await.map_err(text)?;
        Ok((Arc::new(queue), std::future::pending().boxed()))
    }

    /// A worker's own concurrency is its own; the queue's is everybody's, and who empties the queue removes it.
    async fn probe(&self, queue: &Arc<Queue>) -> Result<(), String> {
        if queue.get_global_concurrency().await.map_err(text)?.is_none() {
            queue.set_global_concurrency(self.concurrency).await.map_err(text)?;
        }
        Ok(())
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

impl Breaks for Error {
    fn breaks(&self) -> bool {
        matches!(self, Self::Redis(error) if error.is_io_error() || error.is_timeout())
    }
}

impl From<CallError<Error>> for QueueError {
    fn from(error: CallError<Error>) -> Self {
        match error {
            CallError::Answered(Error::Redis(error)) if error.code() == Some("OOM") => Self::Full,
            error => Self::Away(error.to_string()),
        }
    }
}

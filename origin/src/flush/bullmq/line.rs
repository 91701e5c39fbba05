//! The connection for adding and asking: made again for ever when it is lost, black-holed or answers too late. The
//! crate makes one again only after an error that it sees, and waits ten seconds for an answer.

use std::{sync::Arc, time::Duration};

use bullmq::{Error, Queue, QueueOptions};
use tokio::{
    sync::{Notify, watch},
    time::{interval, sleep, timeout},
};

use super::{BullSettings, Place, refusal};
use crate::{connections::Connection, flush::QueueError, room_store::redis::backoff};

/// What a connection is doing that is not made yet.
pub(super) const CONNECTING: &str = "connecting";
/// Why it was not made.
pub(super) const NO_ANSWER: &str = "no answer in time";

/// The way to the queue. Cheap to clone.
#[derive(Clone)]
pub(super) struct Line {
    live: watch::Receiver<Option<Arc<Queue>>>,
    broken: Arc<Notify>,
    deadline: Duration,
}

/// Who keeps the line.
pub(super) struct Supervisor {
    place: Place,
    concurrency: u64,
    deadline: Duration,
    probe: Duration,
    connection: Connection,
    live: watch::Sender<Option<Arc<Queue>>>,
    broken: Arc<Notify>,
}

/// A line, which is up when its supervisor runs.
pub(super) fn line(place: Place, settings: &BullSettings, connection: Connection) -> (Line, Supervisor) {
    let (live, shown) = watch::channel(None);
    let broken = Arc::new(Notify::new());
    let (deadline, probe) = (settings.deadline, settings.probe);
    let concurrency = settings.flush.concurrency as u64;
    let supervisor =
        Supervisor { place, concurrency, deadline, probe, connection, live, broken: broken.clone() };
    (Line { live: shown, broken, deadline }, supervisor)
}

impl Line {
    /// Asks the queue something, and waits for it and its answer up to the deadline.
    pub(super) async fn call<T>(
        &self,
        call: impl AsyncFnOnce(&Queue) -> Result<T, Error>,
    ) -> Result<T, QueueError> {
        let mut is_asked = false;
        let answered = timeout(self.deadline, async {
            let mut shown = self.live.clone();
            let queue = shown.wait_for(Option::is_some).await.ok().and_then(|queue| queue.clone());
            let queue = queue.ok_or_else(|| QueueError::Away("the connections are closed".to_owned()))?;
            is_asked = true;
            call(&queue).await.map_err(|error| {
                if matches!(&error, Error::Redis(error) if error.is_io_error() || error.is_timeout()) {
                    self.broken.notify_one();
                }
                refusal(&error)
            })
        });
        let answer = answered.await;
        answer.unwrap_or_else(|_| {
            // Without a line there is none that is broken, and the next is not to be taken for it.
            if is_asked {
                self.broken.notify_one();
            }
            Err(QueueError::Away(format!("no answer within {} ms", self.deadline.as_millis())))
        })
    }

    /// Ends when the line is up; never, if it is closed.
    pub(super) async fn is_up(&self) {
        if self.live.clone().wait_for(Option::is_some).await.is_err() {
            std::future::pending().await
        }
    }

    /// Ends when a line that is up is lost.
    pub(super) async fn is_lost(&self) {
        self.is_up().await;
        // Closed is lost.
        let _ = self.live.clone().wait_for(Option::is_none).await;
    }

    /// The queue, if the line is up now.
    pub(super) fn now(&self) -> Option<Arc<Queue>> {
        self.live.borrow().clone()
    }
}

impl Supervisor {
    /// Keeps the line until it is dropped.
    pub(super) async fn run(self) {
        let mut failures = 0;
        loop {
            match timeout(self.deadline, self.open()).await {
                Ok(Ok(queue)) => {
                    failures = 0;
                    let queue = Arc::new(queue);
                    self.connection.is_up(true);
                    self.connection.health().works();
                    self.live.send_replace(Some(queue.clone()));
                    let why = self.watch(&queue).await;
                    self.live.send_replace(None);
                    self.connection.is_up(false);
                    self.connection.health().is_out("asking for flushes", why);
                }
                Ok(Err(error)) => {
                    failures += 1;
                    self.connection.health().is_out(CONNECTING, &error.to_string());
                }
                Err(_) => {
                    failures += 1;
                    self.connection.health().is_out(CONNECTING, NO_ANSWER);
                }
            }
            sleep(backoff(failures)).await;
        }
    }

    async fn open(&self) -> Result<Queue, Error> {
        let Place { name, prefix, connection } = self.place.clone();
        let options = QueueOptions { connection, prefix, ..QueueOptions::default() };
        let queue = Queue::with_options(&name, options).await?;
        queue.set_global_concurrency(self.concurrency).await?;
        Ok(queue)
    }

    /// Tries the connection out. A worker's own concurrency is its own; the queue's is everybody's, and who empties the
    /// queue removes it.
    async fn try_out(&self, queue: &Queue) -> Result<(), Error> {
        if queue.get_global_concurrency().await?.is_none() {
            queue.set_global_concurrency(self.concurrency).await?;
        }
        Ok(())
    }

    /// Ends when the connection is to be given up, and says why.
    async fn watch(&self, queue: &Queue) -> &'static str {
        let mut probes = interval(self.probe);
        probes.tick().await;
        loop {
            tokio::select! {
                () = self.broken.notified() => return "a call broke, or had no answer in time",
                _ = probes.tick() => {
                    if !matches!(timeout(self.deadline, self.try_out(queue)).await, Ok(Ok(()))) {
                        return "it was tried out and did not answer";
                    }
                }
            }
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Those who can still call must not keep the connection.
        self.live.send_replace(None);
    }
}

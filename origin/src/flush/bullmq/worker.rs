//! The worker: takes jobs, lets them be done, and is made again when it has lost its connection for good.

use std::{sync::Arc, time::Duration};

use bullmq::{Error, Job, MetricsOptions, RateLimiterOptions, Worker, WorkerOptions, worker::WorkerEvent};
use serde_json::Value;
use tokio::{sync::Notify, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::QueueCalls,
    job::{JOB, done_are_kept, failed_are_kept, room_of},
    place::Place,
    reason,
    settings::BullSettings,
};
use crate::{
    connections::Connection,
    flush::runner::FlushRunner,
    metrics::Metrics,
    redis::{Lost, Supervised, in_time, supervise},
};

/// Between looks for more when there is nothing to do, and after an error.
const PAUSE: Duration = Duration::from_secs(1);
/// Errors in a row after which the worker is made again: the crate keeps a connection that does not answer.
const ERRORS: u32 = 2;
/// A worker that has had no job for so long while it ends is fetching none.
const QUIET: Duration = Duration::from_millis(500);

/// Who takes jobs and lets them be done.
pub(super) struct Taker {
    pub(super) place: Place,
    pub(super) settings: BullSettings,
    pub(super) calls: QueueCalls,
    pub(super) runner: Arc<FlushRunner>,
    pub(super) refused: Arc<Notify>,
    pub(super) metrics: Arc<Metrics>,
    /// The worker that takes jobs now.
    pub(super) worker: Option<Arc<Worker>>,
    /// Those before it, until they have done what they had taken.
    pub(super) replaced: TaskTracker,
}

impl Taker {
    /// Does jobs until `stop`, then waits for those that run.
    pub(super) async fn run(mut self, connection: &Connection, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = supervise(&mut self, connection) => {}
        }
        connection.set_up(false);
        self.replace();
        self.replaced.close();
        self.replaced.wait().await;
    }

    /// The worker takes no more jobs. What it does is done to the end, also if another takes its place.
    fn replace(&mut self) {
        let most = self.settings.flush.timeout() + self.settings.lock;
        if let Some(worker) = self.worker.take() {
            self.replaced.spawn(async move { end(&worker, most).await });
        }
    }

    async fn begin(&self) -> Result<Worker, Error> {
        let Place { name, prefix, connection } = self.place.clone();
        let (settings, flush) = (&self.settings, self.settings.flush);
        let limiter = RateLimiterOptions::new(flush.limit as u64, Duration::from_millis(flush.window_ms));
        let options = WorkerOptions::new()
            .connection(connection)
            .prefix(prefix)
            .name(settings.worker.clone())
            .concurrency(flush.concurrency)
            .limiter(limiter)
            .lock_duration(settings.lock)
            .stalled_interval(settings.stalled)
            .max_stalled_count(1)
            .drain_delay(PAUSE)
            .run_retry_delay(PAUSE)
            .remove_on_complete(done_are_kept())
            .remove_on_fail(failed_are_kept())
            .metrics(MetricsOptions::default());
        let (runner, calls, metrics) = (self.runner.clone(), self.calls.clone(), self.metrics.clone());
        let process = move |job: Job, _| {
            // Begun more often than ended. The crate would say so too, but misreads what its script answers.
            if job.attempts_started() > job.attempts_made() + 1 {
                tracing::warn!(job.id = job.id(), "the worker of a job has died");
                metrics.job_stalled();
            }
            let (runner, calls) = (runner.clone(), calls.clone());
            async move { process(job, &runner, &calls).await }
        };
        Worker::with_options(&name, process, options).await
    }

    /// Listens to the worker until it is to be made again: why.
    async fn watch(&self, worker: &Worker, connection: &Connection) -> String {
        let mut errors = 0;
        // Where one connection has led nowhere, the worker's do so too, and the crate would not notice for long.
        let lost = self.calls.until_lost();
        tokio::pin!(lost);
        loop {
            let event = tokio::select! {
                () = &mut lost => return "the queue's other connection was lost".to_owned(),
                event = worker.next_event() => event,
            };
            match event {
                Some(WorkerEvent::Error(error)) => {
                    tracing::debug!(%error, "the worker");
                    self.metrics.worker_failed();
                    match WorkerError::of(error) {
                        WorkerError::Full => self.refused.notify_one(),
                        WorkerError::Other(why) => {
                            errors += 1;
                            if errors >= ERRORS {
                                return why;
                            }
                        }
                    }
                }
                Some(WorkerEvent::Active { .. } | WorkerEvent::Completed { .. } | WorkerEvent::Drained) => {
                    errors = 0;
                    connection.set_up(true);
                }
                Some(_) => {}
                None => return "the worker has ended".to_owned(),
            }
        }
    }
}

impl Supervised for Taker {
    type Live = Arc<Worker>;

    const WARNS_ONCE: bool = true;

    async fn is_needed(&mut self) -> bool {
        true
    }

    async fn connect(&mut self) -> Result<Arc<Worker>, String> {
        in_time(self.settings.deadline * 2, self.begin()).await.map(Arc::new)
    }

    async fn serve(&mut self, worker: Arc<Worker>, connection: &Connection) -> Option<Lost> {
        connection.health().works();
        self.worker = Some(worker.clone());
        let why = self.watch(&worker, connection).await;
        self.replace();
        Some(("taking jobs", why))
    }
}

/// What went wrong in a worker. Of an error the crate gives only the text.
enum WorkerError {
    /// Redis has no room for more.
    Full,
    /// Something else.
    Other(String),
}

impl WorkerError {
    fn of(text: String) -> Self {
        if text.contains("OOM") { Self::Full } else { Self::Other(text) }
    }
}

/// One attempt of one job. Its end is up to the runner.
async fn process(job: Job, runner: &FlushRunner, calls: &QueueCalls) -> Result<Value, Error> {
    let Some(room) = room_of(&job).filter(|_| job.name() == JOB) else {
        return Err(Error::Unrecoverable(format!("not a job such as {JOB} with {{\"room\": ID}}")));
    };
    match runner.run(&room).await {
        Ok(report) => Ok(report.summary()),
        Err(failure) => {
            let reason = failure.to_string();
            if let Err(error) = calls.call(async |queue| reason::leave(queue, &job, &reason).await).await {
                tracing::debug!(job.id = job.id(), %error, "a reason was not left on its job");
            }
            Err(Error::ProcessingError(reason))
        }
    }
}

/// Takes no more jobs and waits for those that run, at most so long.
async fn end(worker: &Worker, most: Duration) {
    let events = async { while worker.next_event().await.is_some() {} };
    let quiet = async {
        let mut since = Duration::ZERO;
        while since < QUIET {
            sleep(QUIET / 5).await;
            since = if worker.active_count().await == 0 { since + QUIET / 5 } else { Duration::ZERO };
        }
    };
    tokio::select! {
        ended = worker.close(u64::try_from(most.as_millis()).unwrap_or(u64::MAX)) => drop(ended),
        () = quiet => {}
        () = events => {}
    }
    // It would still wait for a blocking call that ends by itself.
    let _ = worker.close(0).await;
}

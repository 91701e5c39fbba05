//! The worker: takes jobs, lets them be done, and is made again when it has lost its connection for good.

use std::{sync::Arc, time::Duration};

use bullmq::{Error, Job, MetricsOptions, RateLimiterOptions, Worker, WorkerOptions, worker::WorkerEvent};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    BullQueue, JOB, Place, done_are_kept, failed_are_kept,
    line::{CONNECTING, Line, NO_ANSWER},
    reason, room_of,
};
use crate::{
    connections::{Connection, Purpose},
    flush::Work,
    room_store::redis::backoff,
};

/// Between looks for more when there is nothing to do, and after an error.
const PAUSE: Duration = Duration::from_secs(1);
/// Errors in a row after which the worker is made again: the crate keeps a connection that does not answer.
const ERRORS: u32 = 2;
/// A worker that has had no job for so long while it ends is fetching none.
const QUIET: Duration = Duration::from_millis(500);

/// Does jobs until `stop`, then waits for those that run.
pub(super) async fn run(bull: &Arc<BullQueue>, work: Arc<Work>, stop: &CancellationToken) {
    let connection = match bull.connections.enter("redis-worker", Purpose::Queue) {
        Ok(connection) => connection,
        Err(error) => return tracing::error!(%error, "this process has a worker already"),
    };
    let (mut failures, replaced) = (0, TaskTracker::new());
    while !stop.is_cancelled() {
        let begun = tokio::select! {
            () = stop.cancelled() => break,
            begun = timeout(bull.settings.deadline * 2, begin(bull, work.clone())) => begun,
        };
        match begun {
            Ok(Ok(worker)) => {
                failures = 0;
                let worker = Arc::new(worker);
                connection.is_up(true);
                connection.health().works();
                let lost = watch(bull, &worker, &connection, stop).await;
                connection.is_up(false);
                if let Some(why) = lost {
                    connection.health().is_out("taking jobs", &why);
                }
                let most = bull.settings.flush.timeout() + bull.settings.lock;
                // What it does is done to the end, also if another takes its place.
                replaced.spawn(async move { end(&worker, most).await });
            }
            Ok(Err(error)) => {
                failures += 1;
                connection.health().is_out(CONNECTING, &error.to_string());
            }
            Err(_) => {
                failures += 1;
                connection.health().is_out(CONNECTING, NO_ANSWER);
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(backoff(failures)) => {}
        }
    }
    replaced.close();
    replaced.wait().await;
}

async fn begin(bull: &BullQueue, work: Arc<Work>) -> Result<Worker, Error> {
    let (settings, line) = (&bull.settings, bull.line.clone());
    let Place { name, prefix, connection } = bull.place.clone();
    let flush = settings.flush;
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
    let metrics = bull.metrics.clone();
    let process = move |job: Job, _| {
        // Begun more often than ended. The crate would say so too, but misreads what its script answers.
        if job.attempts_started() > job.attempts_made() + 1 {
            tracing::warn!(job.id = job.id(), "the worker of a job has died");
            metrics.job_stalled();
        }
        let (work, line) = (work.clone(), line.clone());
        async move { process(job, &*work, &line).await }
    };
    Worker::with_options(&name, process, options).await
}

/// One attempt of one job. Its end is up to the guard of the work.
async fn process(job: Job, work: &Work, line: &Line) -> Result<Value, Error> {
    let Some(room) = room_of(&job).filter(|_| job.name() == JOB) else {
        return Err(Error::Unrecoverable(format!("not a job such as {JOB} with {{\"room\": ID}}")));
    };
    match work(room).await {
        Ok(summary) => Ok(summary),
        Err(reason) => {
            if let Err(error) = line.call(async |queue| reason::leave(queue, &job, &reason).await).await {
                tracing::debug!(job.id = job.id(), %error, "a reason was not left on its job");
            }
            Err(Error::ProcessingError(reason))
        }
    }
}

/// Listens to the worker until it is to end, or to be made again: then it says why.
async fn watch(
    bull: &BullQueue,
    worker: &Worker,
    connection: &Connection,
    stop: &CancellationToken,
) -> Option<String> {
    let mut errors = 0;
    // Where one connection has led nowhere, the worker's do so too, and the crate would not notice for long.
    let lost = bull.line.is_lost();
    tokio::pin!(lost);
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return None,
            () = &mut lost => return Some("the queue's other connection was lost".to_owned()),
            event = worker.next_event() => event,
        };
        match event {
            Some(WorkerEvent::Error(error)) => {
                tracing::debug!(%error, "the worker");
                bull.metrics.worker_failed();
                if error.contains("OOM") {
                    bull.refused.notify_one();
                } else {
                    errors += 1;
                }
                if errors >= ERRORS {
                    return Some(error);
                }
            }
            Some(WorkerEvent::Active { .. } | WorkerEvent::Completed { .. } | WorkerEvent::Drained) => {
                errors = 0;
                connection.is_up(true);
            }
            Some(_) => {}
            None => return Some("the worker has ended".to_owned()),
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

//! The flush queue that several processes share: BullMQ on the Redis of the rooms, as its own packages know it.
//!
//! Promise: at most one job per room waits or runs, at most so many run and so many begin per window in all
//! processes together, and a job whose worker dies is done by another. Stock BullMQ and its boards see and operate
//! the same queue. The crate's gaps are closed here: [`line`] and `worker` make again what is lost, `reason`
//! says at once why an attempt failed; that an attempt ends is up to [`super::attempt`].

mod throttle;
mod line;
mod producer;
mod reason;
mod worker;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bullmq::{
    DeduplicationOptions, Job, JobOptions,
    options::{RedisConnectionOptions, TlsCerts},
    types::{BackoffStrategy, KeepJobs, RemoveOnFinish},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::id::RoomId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::{line::Line, producer::Asked};
use super::{Depth, FailedJob, FlushQueue, FlushSettings, JobState, QueueError, Work};
use crate::{
    connections::{Connections, Purpose},
    metrics::Metrics,
    room_store::{StoreError, redis::Urls},
};

/// The name of the jobs.
pub const JOB: &str = "flush-room";

/// What a user of Redis must be allowed besides [`crate::room_store::redis::PERMISSIONS`], as `ACL SETUSER` takes it,
/// with the default prefix.
pub const PERMISSIONS: &[&str] = &[
    "~bull:*",
    "~{bull}:*",
    "+auth",
    "+client|setname",
    "+get",
    "+set",
    "+del",
    "+incr",
    "+pttl",
    "+hmset",
    "+hexists",
    "+hincrby",
    "+llen",
    "+lindex",
    "+lpop",
    "+lpos",
    "+lpush",
    "+lrange",
    "+lrem",
    "+ltrim",
    "+rpop",
    "+rpush",
    "+rpoplpush",
    "+sadd",
    "+scard",
    "+smembers",
    "+srem",
    "+zpopmin",
    "+bzpopmin",
    "+zremrangebyrank",
    "+zrevrange",
    "+zrevrangebyscore",
];

/// Failed jobs that [`FlushQueue::failed`] tells.
const FAILED_TOLD: i64 = 100;

/// How to reach the queue, and what it is called.
#[derive(Clone)]
pub struct BullSettings {
    /// As in `REDIS_URL`.
    pub url: SecretString,
    /// `QUEUE_PREFIX`; put in braces in a cluster, where all keys of a queue must be on one node.
    pub prefix: String,
    /// `QUEUE_NAME`.
    pub name: String,
    /// The numbers.
    pub flush: FlushSettings,
    /// How long a job is its worker's without being renewed.
    pub lock: Duration,
    /// How often jobs of dead workers are looked for; they are found by the second look.
    pub stalled: Duration,
    /// How long a call may take.
    pub deadline: Duration,
    /// How often an idle connection is tried out.
    pub probe: Duration,
    /// What this process is called on the jobs that it does.
    pub worker: String,
}

/// A BullMQ queue.
pub struct BullQueue {
    place: Place,
    settings: BullSettings,
    line: Line,
    asked: Arc<Asked>,
    refused: Arc<Notify>,
    connections: Connections,
    metrics: Arc<Metrics>,
}

/// Where the queue is, as the crate wants it.
#[derive(Clone)]
struct Place {
    name: String,
    prefix: String,
    connection: RedisConnectionOptions,
}

impl BullQueue {
    /// Starts to connect and answers at once: while Redis is away, what is asked for waits. An address that is none
    /// is refused. Needs a running tokio runtime.
    pub fn connect(
        settings: BullSettings,
        metrics: Arc<Metrics>,
        connections: &Connections,
    ) -> Result<Arc<Self>, StoreError> {
        let place = Place::of(&settings)?;
        let connection = connections.enter("redis-queue", Purpose::Queue);
        let connection = connection.map_err(|error| StoreError::Failed(error.to_string()))?;
        let (line, supervisor) = line::line(place.clone(), &settings, connection);
        let (asked, refused) = (Arc::new(Asked::new(settings.flush.delay_ms)), Arc::new(Notify::new()));
        let producer = producer::Producer {
            asked: asked.clone(),
            line: line.clone(),
            flush: settings.flush,
            refused: refused.clone(),
        };
        let closing = connections.closing().clone();
        connections.tracker().spawn(async move {
            // The line is given up only when the producer has handed on what it can.
            tokio::select! {
                () = supervisor.run() => {}
                () = producer.run(&closing) => {}
            }
        });
        let connections = connections.clone();
        Ok(Arc::new(Self { place, settings, line, asked, refused, connections, metrics }))
    }
}

impl Place {
    fn of(settings: &BullSettings) -> Result<Self, StoreError> {
        let urls = Urls::parse(settings.url.expose_secret())?;
        let connection = match urls.authorities()? {
            Some(pem) => RedisConnectionOptions::new()
                .tls_certs(TlsCerts { root_cert: Some(pem), ..TlsCerts::default() }),
            None => RedisConnectionOptions::new(),
        };
        let prefix = settings.prefix.clone();
        let (connection, prefix) = match urls {
            Urls::Single(url) => (connection.url(url), prefix),
            Urls::Cluster(urls) if prefix.contains('{') => (connection.cluster_nodes(urls), prefix),
            Urls::Cluster(urls) => (connection.cluster_nodes(urls), format!("{{{prefix}}}")),
        };
        Ok(Self { name: settings.name.clone(), prefix, connection })
    }
}

#[async_trait]
impl FlushQueue for BullQueue {
    fn request(&self, room: &RoomId) {
        self.asked.ask(room);
    }

    fn request_now(&self, room: &RoomId) {
        self.asked.ask_now(room);
    }

    async fn ensure(&self, room: &RoomId) -> Result<(), QueueError> {
        self.line.call(async |queue| add(queue, room, self.settings.flush, false).await).await.map(drop)
    }

    async fn job(&self, room: &RoomId) -> Result<Option<JobState>, QueueError> {
        let state = async |queue: &bullmq::Queue| match queue.get_deduplication_job_id(room.as_str()).await? {
            Some(id) => queue.get_job_state(&id).await.map(Some),
            None => Ok(None),
        };
        Ok(match self.line.call(state).await? {
            Some(bullmq::JobState::Waiting | bullmq::JobState::Prioritized) => Some(JobState::Waiting),
            Some(bullmq::JobState::Delayed) => Some(JobState::Delayed),
            Some(bullmq::JobState::Active) => Some(JobState::Active),
            _ => None,
        })
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let counts = self.line.call(async |queue| queue.get_job_counts().await).await?;
        Ok(Depth {
            waiting: counts.waiting + counts.paused + counts.prioritized,
            delayed: counts.delayed,
            active: counts.active,
            failed: counts.failed,
        })
    }

    async fn failed(&self) -> Result<Vec<FailedJob>, QueueError> {
        let jobs = self.line.call(async |queue| queue.get_failed(0, FAILED_TOLD - 1).await).await?;
        let failed = jobs.iter().filter_map(|job| {
            Some(FailedJob {
                room: room_of(job)?,
                attempts: job.attempts_made(),
                reason: job.failed_reason().to_owned(),
            })
        });
        Ok(failed.collect())
    }

    async fn refused(&self) {
        self.refused.notified().await;
    }

    async fn run(self: Arc<Self>, work: Arc<Work>, stop: CancellationToken) {
        worker::run(&self, work, &stop).await;
    }
}

/// Adds a job for a room, unless it has one that waits; one that waits for its time is started if `at_once`.
async fn add(
    queue: &bullmq::Queue,
    room: &RoomId,
    settings: FlushSettings,
    at_once: bool,
) -> Result<(), bullmq::Error> {
    let delay = Duration::from_millis(if at_once { 0 } else { settings.delay_ms });
    let job =
        queue.add(JOB, json!({ "room": room })).options(job_options(room, settings).delay(delay)).await?;
    if at_once {
        match job.promote().await {
            // It waits already, runs or is done.
            Err(bullmq::Error::Redis(error)) => return Err(error.into()),
            _ => return Ok(()),
        }
    }
    Ok(())
}

fn job_options(room: &RoomId, settings: FlushSettings) -> JobOptions {
    JobOptions::new()
        .attempts(settings.attempts)
        .backoff(BackoffStrategy::Exponential(settings.backoff_ms))
        .remove_on_complete(done_are_kept())
        .remove_on_fail(failed_are_kept())
        .deduplication(DeduplicationOptions {
            id: room.to_string(),
            ttl: None,
            extend: None,
            replace: None,
            keep_last_if_active: Some(true),
        })
}

/// An hour, at most a thousand. The scripts take seconds, whatever the crate says.
fn done_are_kept() -> RemoveOnFinish {
    RemoveOnFinish::Options(KeepJobs { age: Some(3600), count: Some(1000), limit: None })
}

/// A week, at most five thousand.
fn failed_are_kept() -> RemoveOnFinish {
    RemoveOnFinish::Options(KeepJobs { age: Some(604_800), count: Some(5000), limit: None })
}

/// The room that a job is for.
fn room_of(job: &Job) -> Option<RoomId> {
    RoomId::parse(job.data().get("room")?.as_str()?).ok()
}

/// What a failure of the crate means.
fn refusal(error: &bullmq::Error) -> QueueError {
    match error {
        bullmq::Error::Redis(error) if error.code() == Some("OOM") => QueueError::Full,
        error => QueueError::Away(error.to_string()),
    }
}

//! The flush queue that several processes share: BullMQ on the Redis of the rooms, as its own packages know it.
//!
//! Promise: at most one job per room waits or runs, at most so many run and so many begin per window in all
//! processes together, and a job whose worker dies is done by another. Stock BullMQ and its boards see and operate
//! the same queue. The crate's gaps are closed here: `connection` and `worker` make again what is lost,
//! `reason` says at once why an attempt failed; that an attempt ends is up to [`super::runner`].

mod settings;
mod place;
mod connection;
mod job;
mod throttle;
mod producer;
mod reason;
mod worker;

use std::sync::Arc;

use async_trait::async_trait;
use shared::id::RoomId;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::settings::BullSettings;
use self::{
    connection::{QueueCalls, QueueDial},
    job::{add, room_of},
    place::Place,
    producer::{Producer, Requests},
    worker::Taker,
};
use super::{
    queue::{Depth, FailedJob, FlushQueue, JobState, QueueError},
    runner::FlushRunner,
};
use crate::{
    connections::{Connections, Purpose},
    metrics::Metrics,
    redis::Calls,
};

/// Failed jobs that [`FlushQueue::failed`] shows.
const FAILED_SHOWN: i64 = 100;

/// A BullMQ queue.
pub struct BullQueue {
    place: Place,
    settings: BullSettings,
    calls: QueueCalls,
    requests: Arc<Requests>,
    refused: Arc<Notify>,
    connections: Connections,
    metrics: Arc<Metrics>,
}

impl BullQueue {
    /// Starts to connect and answers at once: while Redis is away, what is asked for waits. An address that is none
    /// is refused. Needs a running tokio runtime.
    pub fn connect(
        settings: BullSettings,
        metrics: Arc<Metrics>,
        connections: &Connections,
    ) -> anyhow::Result<Arc<Self>> {
        let place = Place::of(&settings)?;
        let dial = QueueDial { place: place.clone(), concurrency: settings.flush.concurrency as u64 };
        let connection = connections.enter("redis-queue", Purpose::Queue)?;
        let (calls, keeping) = Calls::over(dial, settings.deadline, settings.probe, connection);
        let (requests, refused) = (Arc::new(Requests::new(settings.flush.delay_ms)), Arc::new(Notify::new()));
        let producer = Producer {
            requests: requests.clone(),
            calls: calls.clone(),
            flush: settings.flush,
            refused: refused.clone(),
        };
        let closing = connections.closing().clone();
        connections.tracker().spawn(async move {
            // The connection is given up only when the producer has handed on what it can.
            tokio::select! {
                () = keeping => {}
                () = producer.run(&closing) => {}
            }
        });
        let connections = connections.clone();
        Ok(Arc::new(Self { place, settings, calls, requests, refused, connections, metrics }))
    }
}

#[async_trait]
impl FlushQueue for BullQueue {
    fn request(&self, room: &RoomId) {
        self.requests.request(room);
    }

    fn request_now(&self, room: &RoomId) {
        self.requests.request_now(room);
    }

    async fn ensure(&self, room: &RoomId) -> Result<(), QueueError> {
        Ok(self.calls.call(async |queue| add(queue, room, self.settings.flush, false).await).await?)
    }

    async fn job(&self, room: &RoomId) -> Result<Option<JobState>, QueueError> {
        let state =
            async |queue: &mut Arc<bullmq::Queue>| match queue.get_deduplication_job_id(room.as_str()).await?
            {
                Some(id) => queue.get_job_state(&id).await.map(Some),
                None => Ok(None),
            };
        Ok(match self.calls.call(state).await? {
            Some(bullmq::JobState::Waiting | bullmq::JobState::Prioritized) => Some(JobState::Waiting),
            Some(bullmq::JobState::Delayed) => Some(JobState::Delayed),
            Some(bullmq::JobState::Active) => Some(JobState::Active),
            _ => None,
        })
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let counts = self.calls.call(async |queue| queue.get_job_counts().await).await?;
        Ok(Depth {
            waiting: counts.waiting + counts.paused + counts.prioritized,
            delayed: counts.delayed,
            active: counts.active,
            failed: counts.failed,
        })
    }

    async fn failed(&self) -> Result<Vec<FailedJob>, QueueError> {
        let jobs = self.calls.call(async |queue| queue.get_failed(0, FAILED_SHOWN - 1).await).await?;
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

    async fn run(self: Arc<Self>, runner: Arc<FlushRunner>, stop: CancellationToken) {
        let connection = match self.connections.enter("redis-worker", Purpose::Queue) {
            Ok(connection) => connection,
            Err(error) => return tracing::error!(%error, "this process has a worker already"),
        };
        let taker = Taker {
            place: self.place.clone(),
            settings: self.settings.clone(),
            calls: self.calls.clone(),
            runner,
            refused: self.refused.clone(),
            metrics: self.metrics.clone(),
            worker: None,
            replaced: TaskTracker::new(),
        };
        taker.run(&connection, &stop).await;
    }
}

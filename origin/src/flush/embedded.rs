//! The flush queue of a single process: what is due, how many at once, how many per window, when again.
//!
//! Promise: at most one job per room, at most `concurrency` at once and `limit` per window, retries included.
//! A failed attempt leaves its reason; after the last one the job stays visible as failed until its room
//! has been flushed. The room store's dirty files, not this queue, are what survives the process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use shared::id::RoomId;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    queue::{Depth, FailedJob, FlushQueue, JobState, QueueError},
    runner::FlushRunner,
    settings::FlushSettings,
};

/// The decisions of the queue, without a clock: times (ms) come in, due rooms go out.
#[derive(Debug)]
pub struct Jobs {
    settings: FlushSettings,
    jobs: HashMap<RoomId, Job>,
    /// Those of them that do not run, the longest due first.
    waiting: BTreeMap<Turn, RoomId>,
    failed: HashMap<RoomId, FailedJob>,
    order: u64,
    active: usize,
    window_start: u64,
    window_used: usize,
}

/// When a job is due, and its number among those that are due then.
type Turn = (u64, u64);

#[derive(Debug)]
struct Job {
    due: u64,
    order: u64,
    attempts: u32,
    reason: Option<String>,
    active: bool,
    again: Option<u64>,
}

impl Jobs {
    /// An empty queue.
    pub fn new(settings: FlushSettings) -> Self {
        Self {
            settings,
            jobs: HashMap::new(),
            waiting: BTreeMap::new(),
            failed: HashMap::new(),
            order: 0,
            active: 0,
            window_start: 0,
            window_used: 0,
        }
    }

    /// Asks for a flush after the delay, see [`FlushQueue::request`].
    pub fn request(&mut self, room: &RoomId, now: u64) {
        let due = now + self.settings.delay_ms;
        match self.jobs.get_mut(room) {
            None => self.add(room, due),
            Some(job) if job.active => job.again = Some(job.again.map_or(due, |earlier| earlier.min(due))),
            Some(_) => {}
        }
    }

    /// Asks for a flush now, see [`FlushQueue::request_now`].
    pub fn request_now(&mut self, room: &RoomId, now: u64) {
        match self.jobs.get_mut(room) {
            None => self.add(room, now),
            Some(job) if job.active => job.again = Some(now),
            Some(job) if job.due <= now => {}
            Some(job) => {
                self.waiting.remove(&job.turn());
                job.due = now;
                self.waiting.insert(job.turn(), room.clone());
            }
        }
    }

    /// Takes the rooms that may begin now, the longest due first; each is to be [`Self::finished`].
    pub fn take_due(&mut self, now: u64) -> Vec<RoomId> {
        if now >= self.window_start + self.settings.window_ms {
            self.window_used = 0;
        }
        let room_left = (self.settings.concurrency.saturating_sub(self.active))
            .min(self.settings.limit.saturating_sub(self.window_used));
        if self.window_used == 0 {
            self.window_start = now;
        }
        let mut taken = Vec::new();
        while taken.len() < room_left
            && let Some(next) = self.waiting.first_entry().filter(|next| next.key().0 <= now)
        {
            let room = next.remove();
            if let Some(job) = self.jobs.get_mut(&room) {
                job.active = true;
                taken.push(room);
            }
        }
        self.active += taken.len();
        self.window_used += taken.len();
        taken
    }

    /// When [`Self::take_due`] may have more to give; `None` if only a request or an end can change that.
    pub fn next_due(&self, now: u64) -> Option<u64> {
        if self.active >= self.settings.concurrency {
            return None;
        }
        let (first, _) = *self.waiting.first_key_value()?.0;
        let window_end = self.window_start + self.settings.window_ms;
        let full = self.window_used >= self.settings.limit && now < window_end;
        Some(if full { first.max(window_end) } else { first })
    }

    /// Ends an attempt; a failed one is tried again later or, if it was the last, becomes visible as failed.
    pub fn finished(&mut self, room: &RoomId, outcome: Result<(), String>, now: u64) {
        let Some(mut job) = self.jobs.remove(room) else { return };
        self.active = self.active.saturating_sub(1);
        job.active = false;
        match outcome {
            Ok(()) => {
                self.failed.remove(room);
            }
            Err(reason) => {
                job.attempts += 1;
                if job.attempts < self.settings.attempts {
                    let doubled = 1u64.checked_shl(job.attempts - 1).unwrap_or(u64::MAX);
                    job.due = now.saturating_add(self.settings.backoff_ms.saturating_mul(doubled));
                    job.reason = Some(reason);
                    job.again = None;
                    self.waiting.insert(job.turn(), room.clone());
                    self.jobs.insert(room.clone(), job);
                    return;
                }
                let failed = FailedJob { room: room.clone(), attempts: job.attempts, reason };
                self.failed.insert(room.clone(), failed);
            }
        }
        if let Some(due) = job.again {
            self.add(room, due);
        }
    }

    /// Where the room's job is; `None` if it has none.
    pub fn state(&self, room: &RoomId, now: u64) -> Option<JobState> {
        match self.jobs.get(room) {
            Some(job) if job.active => Some(JobState::Active),
            Some(job) if job.due <= now => Some(JobState::Waiting),
            Some(_) => Some(JobState::Delayed),
            None => None,
        }
    }

    /// How many jobs there are.
    pub fn depth(&self, now: u64) -> Depth {
        let waiting = self.waiting.range(..=(now, u64::MAX)).count() as u64;
        let (all, active) = (self.jobs.len() as u64, self.active as u64);
        Depth { waiting, delayed: all - active - waiting, active, failed: self.failed.len() as u64 }
    }

    /// The jobs that have used all their attempts and were not made good since.
    pub fn failed(&self) -> Vec<FailedJob> {
        self.failed.values().cloned().collect()
    }

    /// Why the last attempt of a job that is to be tried again failed.
    pub fn last_reason(&self, room: &RoomId) -> Option<&str> {
        self.jobs.get(room)?.reason.as_deref()
    }

    fn add(&mut self, room: &RoomId, due: u64) {
        self.order += 1;
        let job = Job { due, order: self.order, attempts: 0, reason: None, active: false, again: None };
        self.waiting.insert(job.turn(), room.clone());
        self.jobs.insert(room.clone(), job);
    }
}

impl Job {
    fn turn(&self) -> Turn {
        (self.due, self.order)
    }
}

/// [`Jobs`] with a clock and somebody who waits for what is due.
#[derive(Debug)]
pub struct EmbeddedQueue {
    jobs: Mutex<Jobs>,
    began: Instant,
    changed: Notify,
}

impl EmbeddedQueue {
    /// An empty queue.
    pub fn new(settings: FlushSettings) -> Self {
        Self { jobs: Mutex::new(Jobs::new(settings)), began: Instant::now(), changed: Notify::new() }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[async_trait]
impl FlushQueue for EmbeddedQueue {
    fn request(&self, room: &RoomId) {
        self.jobs().request(room, self.now());
        self.changed.notify_one();
    }

    fn request_now(&self, room: &RoomId) {
        self.jobs().request_now(room, self.now());
        self.changed.notify_one();
    }

    async fn ensure(&self, room: &RoomId) -> Result<(), QueueError> {
        self.request(room);
        Ok(())
    }

    async fn job(&self, room: &RoomId) -> Result<Option<JobState>, QueueError> {
        Ok(self.jobs().state(room, self.now()))
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(self.jobs().depth(self.now()))
    }

    async fn failed(&self) -> Result<Vec<FailedJob>, QueueError> {
        Ok(self.jobs().failed())
    }

    async fn refused(&self) {
        // Memory takes everything.
        std::future::pending().await
    }

    async fn run(self: Arc<Self>, runner: Arc<FlushRunner>, stop: CancellationToken) {
        let running = TaskTracker::new();
        while !stop.is_cancelled() {
            let (due, next) = {
                let now = self.now();
                let mut jobs = self.jobs();
                (jobs.take_due(now), jobs.next_due(now))
            };
            for room in due {
                let (runner, queue) = (runner.clone(), self.clone());
                running.spawn(async move {
                    let outcome = runner.run(&room).await.map(drop).map_err(|failure| failure.to_string());
                    queue.jobs().finished(&room, outcome, queue.now());
                    queue.changed.notify_one();
                });
            }
            let until_due = async {
                match next {
                    Some(ms) => sleep_until(self.began + Duration::from_millis(ms)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.changed.notified() => {}
                () = until_due => {}
            }
        }
        running.close();
        running.wait().await;
    }
}

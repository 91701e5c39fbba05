//! A queue with work that says what it does and waits on demand.

use std::sync::{
    Arc, Barrier, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt};
use origin::{
    flush::{
        FlushQueue, FlushSettings,
        report::{FlushError, FlushReport},
        runner::{FlushRoom, FlushRunner},
        threads::FlushThreads,
    },
    store::StoreError,
};
use shared::id::RoomId;
use tokio::sync::watch;

use super::queues::Queues;
use crate::support::{PATIENCE, redis::until};

/// A queue and what its jobs do.
pub(super) struct Rig {
    pub(super) queue: Arc<dyn FlushQueue>,
    settings: FlushSettings,
    pub(super) begun: Arc<Mutex<Vec<RoomId>>>,
    pub(super) done: Arc<AtomicUsize>,
    /// Attempts at the same time, at most.
    pub(super) most: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    /// What an attempt can wait for with its thread, until the test does too.
    pub(super) blocked: Arc<Barrier>,
    pub(super) gate: Gate,
}

/// What attempts wait for.
#[derive(Clone)]
pub(super) struct Gate(Arc<watch::Sender<bool>>);

/// A queue that runs.
pub(super) struct Running(FlushThreads);

/// Counts what is begun and lets work be done.
struct Attempts<W> {
    begun: Arc<Mutex<Vec<RoomId>>>,
    most: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    work: W,
}

#[async_trait]
impl<W: Fn(RoomId) -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static> FlushRoom
    for Attempts<W>
{
    async fn flush(&self, room: &RoomId) -> Result<FlushReport, FlushError> {
        self.begun.lock().unwrap().push(room.clone());
        self.most.fetch_max(self.now.fetch_add(1, Relaxed) + 1, Relaxed);
        let outcome = (self.work)(room.clone()).await;
        self.now.fetch_sub(1, Relaxed);
        outcome.map(|()| FlushReport::default()).map_err(failure)
    }
}

/// Work that fails with this text.
fn failure(why: String) -> FlushError {
    FlushError::Store(StoreError::Failed(why))
}

/// The reason on the job of such work.
pub(super) fn reason(why: &str) -> String {
    failure(why.to_owned()).to_string()
}

impl Rig {
    pub(super) async fn new(queues: &Queues, settings: FlushSettings) -> Self {
        Self::with(queues.open(settings).await, settings)
    }

    pub(super) fn with(queue: Arc<dyn FlushQueue>, settings: FlushSettings) -> Self {
        Self {
            queue,
            settings,
            begun: Arc::default(),
            done: Arc::default(),
            most: Arc::default(),
            now: Arc::default(),
            blocked: Arc::new(Barrier::new(2)),
            gate: Gate(Arc::new(watch::Sender::new(true))),
        }
    }

    /// Runs the queue with work that knows which attempt of all it is, from 1.
    pub(super) fn run(
        &self,
        outcome: impl Fn(RoomId, usize) -> Result<(), String> + Send + Sync + Clone + 'static,
    ) -> Running {
        let (gate, begun) = (self.gate.clone(), self.begun.clone());
        self.run_guarded(move |room: RoomId| {
            let (gate, outcome) = (gate.clone(), outcome.clone());
            let nth = begun.lock().unwrap().len();
            async move {
                gate.passed().await;
                outcome(room, nth)
            }
        })
    }

    /// Runs the queue with this work.
    pub(super) fn run_guarded<F>(&self, work: impl Fn(RoomId) -> F + Send + Sync + 'static) -> Running
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let attempts = Attempts {
            begun: self.begun.clone(),
            most: self.most.clone(),
            now: self.now.clone(),
            work: move |room| work(room).boxed(),
        };
        let done = self.done.clone();
        let threads = FlushThreads::start().unwrap();
        let runner = FlushRunner {
            flusher: Arc::new(attempts),
            threads: threads.handle().clone(),
            timeout: self.settings.timeout(),
            observe: Box::new(move |_, _, _| {
                done.fetch_add(1, Relaxed);
            }),
        };
        threads.run(|stop| self.queue.clone().run(Arc::new(runner), stop));
        Running(threads)
    }

    /// The rooms of the attempts so far.
    pub(super) fn begun(&self) -> Vec<RoomId> {
        self.begun.lock().unwrap().clone()
    }

    /// Waits until no job waits or runs.
    pub(super) async fn until_idle(&self) {
        until(async || {
            let depth = self.queue.depth().await.unwrap();
            depth.waiting + depth.delayed + depth.active == 0
        })
        .await;
    }
}

impl Gate {
    pub(super) fn close(&self) {
        self.0.send_replace(false);
    }

    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(&self) {
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

impl Running {
    /// Stops the queue and waits for its end.
    pub(super) async fn stop(self) {
        assert!(self.0.stop(PATIENCE).await, "it did not end");
    }
}

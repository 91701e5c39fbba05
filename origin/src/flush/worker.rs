//! Who flushes: the work of one attempt, the sweep for what was left, and the threads that both run on.
//!
//! Promise: an attempt ends, as done or with a reason, whatever happens in it; a dirty room without a job gets
//! one at the next sweep; a clean room that nobody has open is depopulated.

use std::{any::Any, future::Future, io, sync::Arc, thread, time::Duration};

use shared::{id::RoomId, position::Epoch};
use tokio::{sync::oneshot, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    FlushQueue,
    embedded::EmbeddedQueue,
    job::{FlushError, FlushReport, flush_room},
};
use crate::{
    archive::Archive,
    room_store::{RoomStore, StoreError},
};

/// The name of no origin: leaving under it removes a room only if nobody else is in it.
const NOBODY: &str = "flush";

/// Told of every flush that ended.
pub type Observer = dyn Fn(&RoomId, &Result<FlushReport, FlushError>) + Send + Sync;

/// What flushing needs.
pub struct Flusher {
    /// Where the changes are.
    pub store: Arc<dyn RoomStore>,
    /// Where they go.
    pub archive: Arc<dyn Archive>,
    /// The time in microseconds.
    pub now_us: fn() -> u64,
    /// Told of every flush that ended.
    pub observe: Box<Observer>,
}

impl Flusher {
    /// Flushes a room, and depopulates it if it is clean and its last member left while it was not.
    pub async fn flush(&self, room: &RoomId) -> Result<FlushReport, FlushError> {
        let outcome = flush_room(&*self.store, &*self.archive, room, (self.now_us)()).await;
        (self.observe)(room, &outcome);
        let report = outcome?;
        if let Some(epoch) = report.epoch.filter(|_| report.clean) {
            self.depopulate(room, epoch).await?;
        }
        Ok(report)
    }

    /// Asks for a flush of every dirty room and depopulates the clean ones that nobody has open. The answer is
    /// how many are dirty.
    pub async fn sweep(&self, queue: &dyn FlushQueue) -> Result<usize, StoreError> {
        let mut found = 0;
        for room in self.store.rooms().await? {
            let dirty = match self.store.dirty(&room).await {
                Err(StoreError::Cold) => continue,
                dirty => dirty?,
            };
            if dirty.files.is_empty() {
                self.depopulate(&room, dirty.epoch).await?;
            } else {
                queue.request(&room).await;
                found += 1;
            }
        }
        Ok(found)
    }

    async fn depopulate(&self, room: &RoomId, epoch: Epoch) -> Result<(), StoreError> {
        self.store.leave(room, NOBODY, epoch).await.map(drop)
    }
}

/// Runs one attempt on a task of its own: an error, a panic and too long a time all end as a reason.
pub fn attempt(
    on: &TaskTracker,
    work: impl Future<Output = Result<(), String>> + Send + 'static,
    timeout: Duration,
) -> impl Future<Output = Result<(), String>> + Send + 'static {
    let task = on.spawn(work);
    let abort = task.abort_handle();
    async move {
        match time::timeout(timeout, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) if error.is_panic() => {
                Err(format!("panicked: {}", panic_text(&*error.into_panic())))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                abort.abort();
                Err(format!("not finished after {} ms", timeout.as_millis()))
            }
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

/// The threads that flush, named `flush`. Dropping it ends them without waiting.
pub struct FlushThreads {
    stop: CancellationToken,
    abandon: CancellationToken,
    ended: Option<oneshot::Receiver<()>>,
}

/// Starts the threads: they run `queue`, and sweep at once and then every `sweep_every`.
pub fn start(
    queue: Arc<EmbeddedQueue>,
    flusher: Arc<Flusher>,
    sweep_every: Duration,
) -> io::Result<FlushThreads> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("flush")
        .enable_time()
        .build()?;
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    let (end, ended) = oneshot::channel();
    let threads = FlushThreads { stop: stop.clone(), abandon: abandon.clone(), ended: Some(ended) };
    thread::Builder::new().name("flush".to_owned()).spawn(move || {
        runtime.block_on(async {
            let jobs = queue.run(&stop, |room| {
                let flusher = flusher.clone();
                async move { flusher.flush(&room).await.map(drop).map_err(|error| error.to_string()) }
            });
            let work = async { tokio::join!(jobs, sweep_until(&stop, &flusher, &*queue, sweep_every)) };
            tokio::select! {
                _ = work => {}
                () = abandon.cancelled() => {}
            }
        });
        runtime.shutdown_background();
        // Nobody waits for the end of threads that were dropped.
        let _ = end.send(());
    })?;
    Ok(threads)
}

async fn sweep_until(stop: &CancellationToken, flusher: &Flusher, queue: &dyn FlushQueue, every: Duration) {
    let mut ticks = time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = flusher.sweep(queue).await {
            tracing::warn!(%error, "sweeping for dirty rooms");
        }
    }
}

impl FlushThreads {
    /// Begins no more jobs and waits up to `grace` for those that run. Whether all of them ended.
    pub async fn stop(mut self, grace: Duration) -> bool {
        self.stop.cancel();
        match self.ended.take() {
            Some(ended) => time::timeout(grace, ended).await.is_ok(),
            None => true,
        }
    }
}

impl Drop for FlushThreads {
    fn drop(&mut self) {
        self.stop.cancel();
        self.abandon.cancel();
    }
}

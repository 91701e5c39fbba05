//! The life of the process: starting, ready, draining, gone.
//!
//! Promise: from the signal to the exit at most `SHUTDOWN_GRACE_MS` pass. Until then appends are finished and
//! answered, hubs and clients are told to come back elsewhere, and every task on the tracker is waited for.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::rooms::Rooms;

/// How far the process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not yet listening.
    Starting,
    /// In service.
    Ready,
    /// On its way out: takes nobody new.
    Draining,
}

/// What every long task watches, and the tracker that it lives on.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    ready: Arc<AtomicBool>,
    draining: CancellationToken,
    closing: CancellationToken,
    tracker: TaskTracker,
}

impl Lifecycle {
    /// How far the process has come.
    pub fn phase(&self) -> Phase {
        if self.is_draining() {
            Phase::Draining
        } else if self.ready.load(Ordering::Acquire) {
            Phase::Ready
        } else {
            Phase::Starting
        }
    }

    /// Everything is open and the address is bound.
    pub fn is_serving(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether nobody new is taken any more.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Ends once connections are to be closed: what was to be logged is logged.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// The tracker of every task that a shutdown waits for.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Drains in order: takes nobody new, lets the rooms finish what they have, closes every connection, waits
    /// for the tasks. Whether all of it was done within `grace`.
    pub async fn drain(&self, rooms: &Rooms, grace: Duration) -> bool {
        self.draining.cancel();
        self.tracker.close();
        let in_order = async {
            rooms.drain().await;
            // A room that cannot finish must not take the time in which its members could be told.
            let _ = tokio::time::timeout(grace / 2, all_closed(rooms)).await;
            self.closing.cancel();
            self.tracker.wait().await;
        };
        let done = tokio::time::timeout(grace, in_order).await.is_ok();
        self.closing.cancel();
        done
    }
}

async fn all_closed(rooms: &Rooms) {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    while rooms.count() > 0 {
        looks.tick().await;
    }
}

/// The signals that ask the process to end: SIGTERM and Ctrl-C.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen; from here on the signals do not end the process by themselves.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Ends at the first signal.
    pub async fn wanted(mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "draining");
    }
}

//! The life of the process: starting, ready, draining, gone.
//!
//! Every long task watches it and lives on its tracker, so that a shutdown reaches and waits for all of them.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

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
    pub fn set_ready(&self) {
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

    /// Nobody new is taken from here on.
    pub(crate) fn start_draining(&self) {
        self.draining.cancel();
        self.tracker.close();
    }

    /// Connections are closed from here on.
    pub(crate) fn close_connections(&self) {
        self.closing.cancel();
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

//! The threads that flush, named `flush`: those who type never wait for a merge.
//!
//! One of them does everything but merge, so that a job by itself costs no change of threads. When an attempt blocks it, one of the
//! reserve takes over: what waited for a store or a clock goes on, and the attempt fails by its timeout. A thread
//! that never comes back is left behind.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Threads that take over, one after the other.
const RESERVE: usize = 15;
/// How often it is looked whether a thread is free, and how long one that is may take to answer.
const LOOK: Duration = Duration::from_millis(250);

/// The threads that flush. Dropping it ends them without waiting.
pub struct FlushThreads {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
    stop: CancellationToken,
    running: TaskTracker,
    _watched: mpsc::Sender<()>,
}

impl FlushThreads {
    /// Starts the threads. They have nothing to do yet.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1 + RESERVE)
            .thread_name("flush")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let reserve = reserve(&handle);
        let (watched, ended) = mpsc::channel();
        let watching = handle.clone();
        thread::Builder::new()
            .name("flush-watch".to_owned())
            .spawn(move || watch(&watching, &reserve, &ended))?;
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        Ok(Self { runtime: Some(runtime), handle, stop, running, _watched: watched })
    }

    /// Where attempts run.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs what ends by itself after the token was cancelled.
    pub fn run<F: Future<Output = ()> + Send + 'static>(&self, work: impl FnOnce(CancellationToken) -> F) {
        self.running.spawn_on(work(self.stop.clone()), &self.handle);
    }

    /// Cancels the token and waits up to `grace` for what runs. Whether all of it ended.
    pub async fn stop(self, grace: Duration) -> bool {
        self.stop.cancel();
        self.running.close();
        time::timeout(grace, self.running.wait()).await.is_ok()
    }
}

impl Drop for FlushThreads {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Keeps all threads but one from working: a runtime cannot be given more of them later. Each message lets one go, and
/// the end of the sender all that are left.
fn reserve(threads: &Handle) -> mpsc::Sender<()> {
    let ((release, released), (here, waits)) = (mpsc::channel(), mpsc::channel());
    let released = Arc::new(Mutex::new(released));
    for _ in 0..RESERVE {
        let (here, released) = (here.clone(), released.clone());
        threads.spawn(async move {
            here.send(()).unwrap_or_default();
            // Let go or left alone, it works from now on.
            released.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap_or_default();
        });
    }
    // A thread that has yet to come here would take with it what it has to do by then.
    waits.iter().take(RESERVE).for_each(drop);
    release
}

/// Looks until the end whether a thread is free, and lets one of the reserve go if none is. Asking is of use by
/// itself: a thread that sleeps while another blocks learns of it only so.
fn watch(threads: &Handle, reserve: &mpsc::Sender<()>, ended: &mpsc::Receiver<()>) {
    let mut left = RESERVE;
    while ended.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
        let (here, free) = mpsc::channel();
        // If it comes late, nobody listens.
        threads.spawn(async move { here.send(()).unwrap_or_default() });
        if free.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) && left > 0 {
            left -= 1;
            tracing::warn!(left, "an attempt to flush holds its thread: one of the reserve takes over");
            reserve.send(()).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn while_threads_are_blocked_the_others_go_on() {
        let threads = FlushThreads::start().unwrap();
        let blocked = Arc::new(Barrier::new(4));
        for _ in 1..4 {
            let blocked = blocked.clone();
            threads.handle().spawn(async move { blocked.wait().is_leader() });
            // It needs a clock, and somebody who looks at it.
            let waiting = threads.handle().spawn(time::sleep(Duration::from_millis(10)));
            time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
        }
        blocked.wait();
        assert!(threads.stop(Duration::from_secs(60)).await);
    }

    #[tokio::test]
    async fn the_end_waits_for_what_runs_as_long_as_it_may() {
        let threads = FlushThreads::start().unwrap();
        threads.run(async |stop| stop.cancelled().await);
        assert!(threads.stop(Duration::from_secs(60)).await);

        let threads = FlushThreads::start().unwrap();
        threads.run(|_| std::future::pending());
        assert!(!threads.stop(Duration::from_millis(10)).await);
    }
}

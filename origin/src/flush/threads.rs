//! The threads that flush, named `flush`: those who type never wait for a merge.

use std::{io, sync::Arc, thread, time::Duration};

use tokio::{sync::oneshot, time};
use tokio_util::sync::CancellationToken;

use super::{FlushQueue, Work, sweep::Sweeper};

/// Threads for attempts; one that is blocked for good keeps its thread.
const ATTEMPTS: usize = 64;

/// The threads that flush. Dropping it ends them without waiting.
pub struct FlushThreads {
    stop: CancellationToken,
    abandon: CancellationToken,
    ended: Option<oneshot::Receiver<()>>,
}

/// Starts the threads: they run the queue with `work`, and sweep at once and then every `sweep_every`.
pub fn start(
    queue: Arc<dyn FlushQueue>,
    work: Arc<Work>,
    sweeper: Sweeper,
    sweep_every: Duration,
) -> io::Result<FlushThreads> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Attempts have threads of their own: this one only waits for stores.
        .worker_threads(1)
        .max_blocking_threads(ATTEMPTS)
        .thread_name("flush")
        .enable_all()
        .build()?;
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    let (end, ended) = oneshot::channel();
    let threads = FlushThreads { stop: stop.clone(), abandon: abandon.clone(), ended: Some(ended) };
    thread::Builder::new().name("flush".to_owned()).spawn(move || {
        runtime.block_on(async {
            let work = async { tokio::join!(queue.run(work, stop.clone()), sweeper.run(sweep_every, &stop)) };
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

//! Jobs of the flush queue with nothing to do in them: what taking, guarding and finishing them costs. The worker, its
//! lock and the guard of an attempt are those of an origin; its limit is too high to be met. `--fill` adds the jobs,
//! and does none, for this worker or a stock one.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use futures_util::{TryStreamExt, stream};
use origin::{
    connections::Connections,
    flush::{
        Depth, FlushQueue, FlushSettings,
        bullmq::{BullQueue, BullSettings},
        report::{FlushError, FlushReport},
        runner::{FlushRoom, FlushRunner},
        threads::FlushThreads,
    },
    metrics::Metrics,
};
use serde_json::{Value, json};
use shared::id::RoomId;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::process;

/// A load that takes longer has lost something.
const LIMIT: Duration = Duration::from_secs(120);
/// Jobs that are added at the same time.
const ADDED_AT_ONCE: usize = 64;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The server.
    #[arg(long)]
    redis: String,
    /// The name of the queue, which holds nothing but what was filled in.
    #[arg(long)]
    queue: String,
    /// Add the jobs instead of doing them.
    #[arg(long)]
    fill: bool,
    #[arg(long)]
    jobs: usize,
    /// Jobs before it counts: nothing is warm yet.
    #[arg(long)]
    first: usize,
    /// Jobs at once.
    #[arg(long)]
    concurrency: usize,
    /// The process of the server, if it is to be known how much of a core it needs.
    #[arg(long)]
    server: Option<u32>,
}

pub(crate) async fn run(options: Options) -> Result<Value> {
    let flush = FlushSettings {
        delay_ms: 0,
        concurrency: options.concurrency,
        limit: 1_000_000_000,
        ..FlushSettings::default()
    };
    let (queue, connections) = open(&options.redis, &options.queue, flush)?;
    let measured = if options.fill {
        timeout(LIMIT, fill(&queue, options.jobs)).await.context("adding took too long")??;
        json!({ "jobs": options.jobs })
    } else {
        work_off(&queue, &options, flush.timeout()).await?
    };
    connections.close_all(Duration::from_secs(1)).await;
    Ok(measured)
}

/// A queue with the connections of an origin.
pub(crate) fn open(redis: &str, name: &str, flush: FlushSettings) -> Result<(Arc<BullQueue>, Connections)> {
    let settings = BullSettings {
        url: redis.to_owned().into(),
        prefix: "bull".to_owned(),
        name: name.to_owned(),
        flush,
        lock: Duration::from_secs(30),
        stalled: Duration::from_secs(15),
        deadline: Duration::from_secs(20),
        probe: Duration::from_secs(5),
        worker: "bench".to_owned(),
    };
    let connections = Connections::new();
    Ok((BullQueue::connect(settings, Arc::new(Metrics::new()), &connections)?, connections))
}

async fn fill(queue: &BullQueue, jobs: usize) -> Result<()> {
    let rooms = stream::iter((1..=jobs).map(|nth| RoomId::parse(&format!("bench-{nth}"))));
    let rooms = rooms.map_err(anyhow::Error::from);
    rooms.try_for_each_concurrent(ADDED_AT_ONCE, async |room| Ok(queue.ensure(&room).await?)).await
}

async fn work_off(queue: &Arc<BullQueue>, options: &Options, attempt: Duration) -> Result<Value> {
    let (count, measured) = Count::new(options);
    let threads = FlushThreads::start()?;
    let runner = FlushRunner {
        flusher: Arc::new(count),
        threads: threads.handle().clone(),
        timeout: attempt,
        observe: Box::new(|_, _, _| ()),
    };
    threads.run(|stop| queue.clone().run(Arc::new(runner), stop));
    let measured = timeout(LIMIT, measured).await.context("it took too long")?;
    if !threads.stop(LIMIT).await {
        bail!("the worker did not end");
    }
    match queue.depth().await? {
        Depth { waiting: 0, delayed: 0, active: 0, failed: 0 } => measured.context("nothing was counted"),
        left => bail!("not everything is done: {left:?}"),
    }
}

/// Jobs that are done, and what they have cost.
struct Count {
    jobs: usize,
    first: usize,
    server: Option<u32>,
    done: Mutex<Done>,
}

struct Done {
    jobs: usize,
    begun: Option<(Instant, [Option<f64>; 2])>,
    measured: Option<oneshot::Sender<Value>>,
}

#[async_trait]
impl FlushRoom for Count {
    async fn flush(&self, _: &RoomId) -> Result<FlushReport, FlushError> {
        self.one_more();
        Ok(FlushReport::default())
    }
}

impl Count {
    fn new(options: &Options) -> (Self, oneshot::Receiver<Value>) {
        let (measured, measures) = oneshot::channel();
        let done = Mutex::new(Done { jobs: 0, begun: None, measured: Some(measured) });
        (Self { jobs: options.jobs, first: options.first, server: options.server, done }, measures)
    }

    /// The CPU time of this process and of the server.
    fn used(&self) -> [Option<f64>; 2] {
        [process::cpu_ms(std::process::id()), self.server.and_then(process::cpu_ms)]
    }

    fn one_more(&self) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.jobs += 1;
        if done.jobs == self.first {
            done.begun = Some((Instant::now(), self.used()));
        } else if done.jobs == self.jobs
            && let Some((begun, before)) = done.begun
            && let Some(measured) = done.measured.take()
        {
            let after = self.used();
            let spent = |of: usize| after[of].zip(before[of]).map(|(after, before)| after - before);
            // Nobody listens after the limit.
            let _ = measured.send(json!({
                "jobs": self.jobs - self.first,
                "seconds": begun.elapsed().as_secs_f64(),
                "cpu_ms": spent(0),
                "server_cpu_ms": spent(1),
            }));
        }
    }
}

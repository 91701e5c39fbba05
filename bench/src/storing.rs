//! Members who type at a steady pace at an origin that serves, while another process flushes a room of many large
//! files that have all changed, and, in turn, for as long while nothing is flushed. The measure is the time from a
//! keystroke to its acknowledgement. It fails unless everything that changed is in the archive at the end.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use origin::{
    archive::{Archive, sqlite::SqliteArchive},
    connections::Connections,
    flush::{FlushQueue, FlushSettings, bullmq::BullQueue},
    store::{Batch, Joined, Leases, RoomLog, redis::RedisStore},
};
use serde_json::{Value, json};
use shared::{
    id::{FileId, RoomId},
    position::Epoch,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::{
    client::{self, News, Socket},
    jobs,
    quantile::quantile,
    rooms::{self, ORIGIN},
};

/// A flush that takes longer has lost something.
const LIMIT: Duration = Duration::from_secs(60);
/// Between looks whether a flush has ended.
const LOOK: Duration = Duration::from_millis(20);
/// What was made dirty has reached everybody by then, and what a flush leaves to do is done.
const BETWEEN: Duration = Duration::from_millis(300);
/// Longer than any load lasts, in keystrokes of a member.
const MOST_KEYSTROKES: usize = 20_000;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Host and port of the origin.
    #[arg(long)]
    origin: String,
    /// The Redis of both processes.
    #[arg(long)]
    redis: String,
    /// The file of their archive.
    #[arg(long)]
    archive: PathBuf,
    /// The names of the rooms begin with it.
    #[arg(long)]
    name: String,
    /// Members who type, each in a room of its own.
    #[arg(long, default_value_t = 10)]
    writers: usize,
    /// Keystrokes of each of them per second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Files of the room that is flushed.
    #[arg(long, default_value_t = 200)]
    files: usize,
    /// The size of each, in thousands of bytes.
    #[arg(long, default_value_t = 100)]
    kilobytes: usize,
    /// How often they are changed and flushed.
    #[arg(long)]
    flushes: usize,
}

/// What is going on beside the typing.
#[derive(Clone, Copy)]
enum Phase {
    Quiet,
    Flushing,
    Between,
}

/// Milliseconds of each acknowledgement, by phase.
type Times = [Vec<f64>; 3];

pub(crate) async fn run(options: Options) -> Result<Value> {
    let large = Large::open(&options).await?;
    let phase = Arc::new(AtomicUsize::new(Phase::Between as usize));
    let enough = CancellationToken::new();
    let mut typing = JoinSet::new();
    for nth in 1..=options.writers {
        let room = format!("ws://{}/rooms/{}-{nth}", options.origin, options.name);
        let member = client::join_room(&room).await?;
        let every = Duration::from_secs(1) / options.rate;
        // Nobody types in step.
        let first = Instant::now() + every * nth as u32 / options.writers as u32;
        typing.spawn(press(member, first, every, phase.clone(), enough.clone()));
    }
    let mut took_ms = Vec::new();
    let turns = async {
        for change in client::updates(1, options.flushes, "x") {
            let took = large.turn(&change, &phase).await?;
            took_ms.push(took.as_secs_f64() * 1000.0);
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::select! {
        turned = turns => turned?,
        Some(ended) = typing.join_next() => bail!("a member has stopped: {:?}", ended?.err()),
    }
    enough.cancel();
    let mut times = Times::default();
    while let Some(ended) = typing.join_next().await {
        for (all, some) in times.iter_mut().zip(ended??) {
            all.extend(some);
        }
    }
    large.close(&options).await?;
    let [quiet, flushing, _] = &mut times;
    Ok(json!({
        "quiet": said(quiet),
        "flushing": said(flushing),
        "flush_ms": quantile(&mut took_ms, 0.5),
    }))
}

/// The room that is flushed. A member has it open.
struct Large {
    id: RoomId,
    epoch: Epoch,
    files: Vec<FileId>,
    archive: SqliteArchive,
    store: Arc<RedisStore>,
    queue: Arc<BullQueue>,
    connections: [Connections; 2],
    _member: Socket,
}

impl Large {
    async fn open(options: &Options) -> Result<Self> {
        let name = format!("{}-large", options.name);
        let archive = SqliteArchive::open(&options.archive)?;
        let bases = rooms::shard(&archive, &name, options.files, options.kilobytes).await?;
        let member = client::join_room(&format!("ws://{}/rooms/{name}", options.origin)).await?;
        let (store, of_store) = rooms::connect(&options.redis)?;
        let (queue, of_queue) = jobs::open(&options.redis, "flush", FlushSettings::default())?;
        let id = RoomId::parse(&name)?;
        let Joined::Ready(position) = store.join(&id, ORIGIN, LIMIT * 10).await? else {
            bail!("{name} is not open at the origin");
        };
        let files = bases.into_iter().map(|base| base.file).collect();
        let connections = [of_store, of_queue];
        Ok(Self { id, epoch: position.epoch, files, archive, store, queue, connections, _member: member })
    }

    /// Waits for as long as the flush of this change in every file takes; the answer is how long that is.
    async fn turn(&self, change: &Bytes, phase: &AtomicUsize) -> Result<Duration> {
        let entries = self.files.iter().map(|file| rooms::entry(file, change.clone(), 0)).collect();
        let batch = Batch { origin: ORIGIN.to_owned(), number: 0, entries };
        self.store.append(&self.id, self.epoch, batch).await?;
        sleep(BETWEEN).await;
        phase.store(Phase::Flushing as usize, Relaxed);
        let begun = Instant::now();
        self.queue.request_now(&self.id);
        while !self.store.dirty(&self.id).await?.files.is_empty() {
            ensure!(begun.elapsed() < LIMIT, "not flushed after {LIMIT:?}");
            sleep(LOOK).await;
        }
        let took = begun.elapsed();
        phase.store(Phase::Between as usize, Relaxed);
        sleep(BETWEEN).await;
        phase.store(Phase::Quiet as usize, Relaxed);
        sleep(took).await;
        phase.store(Phase::Between as usize, Relaxed);
        Ok(took)
    }

    /// Looks for every change in the archive, and leaves nothing there.
    async fn close(self, options: &Options) -> Result<()> {
        for file in self.archive.files(&self.id).await? {
            let length = options.kilobytes * 1000 + options.flushes;
            ensure!(file.text.len() == length, "{} has {} of {length} bytes", file.path, file.text.len());
        }
        self.store.erase(&self.id).await?;
        self.archive.delete(&self.id).await?;
        for connections in self.connections {
            connections.close_all(Duration::from_secs(1)).await;
        }
        Ok(())
    }
}

/// Types until there are enough. What is acknowledged counts for the phase in which it was typed.
async fn press(
    member: Socket,
    first: Instant,
    every: Duration,
    phase: Arc<AtomicUsize>,
    enough: CancellationToken,
) -> Result<Times> {
    let (mut sink, mut stream) = member.split();
    let (pressed, mut waiting) = mpsc::unbounded_channel();
    let typing = async move {
        let mut pace = interval_at(first, every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for frame in client::keystrokes(1, MOST_KEYSTROKES) {
            let due = tokio::select! {
                () = enough.cancelled() => return Ok(()),
                due = pace.tick() => due,
            };
            // When it was due, so that one that waits for the one before counts that too.
            pressed.send((phase.load(Relaxed), due)).context("nobody waits")?;
            sink.send(Message::Binary(frame)).await.context("typing")?;
        }
        bail!("all keystrokes are typed")
    };
    let acknowledged = async {
        let mut times = Times::default();
        while let Some((during, since)) = waiting.recv().await {
            loop {
                let message =
                    stream.next().await.context("a member lost its server")?.context("receiving")?;
                let Message::Binary(frame) = message else { continue };
                if client::read(&frame)? == News::Acknowledged {
                    break;
                }
            }
            times[during].push(since.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(times)
    };
    tokio::try_join!(typing, acknowledged).map(|(_, times)| times)
}

fn said(times: &mut [f64]) -> Value {
    json!({
        "keystrokes": times.len(),
        "p50_ms": quantile(times, 0.5),
        "p99_ms": quantile(times, 0.99),
    })
}

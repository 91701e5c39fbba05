//! A room of many: writers type at a fixed pace whatever the server does, or as fast as everybody receives. The
//! measure is the server's CPU time from the first keystroke until all have everything and all is acknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    future::try_join_all,
    stream::{SplitSink, SplitStream},
};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    client::{self, News, Socket},
    process,
};

/// A load that takes longer has lost something.
const LIMIT: Duration = Duration::from_secs(60);
/// Own keystrokes that a writer without a pace has on their way at most.
const WINDOW: u64 = 32;
const LOOK: Duration = Duration::from_millis(1);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The server's WebSocket.
    #[arg(long)]
    url: String,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    /// It is the raw broadcast, not a room.
    #[arg(long)]
    raw: bool,
    #[arg(long, default_value_t = 50)]
    clients: usize,
    #[arg(long, default_value_t = 5)]
    writers: usize,
    /// Keystrokes of each writer.
    #[arg(long)]
    keystrokes: usize,
    /// Keystrokes of each writer per second; as many as everybody can take if it is 0.
    #[arg(long, default_value_t = 0)]
    rate: u32,
}

/// What has arrived anywhere.
#[derive(Default)]
struct Arrived {
    deliveries: AtomicU64,
    bytes: AtomicU64,
    acknowledged: AtomicU64,
}

pub(crate) async fn run(options: Options) -> Result<Value> {
    let typed: Vec<Vec<Bytes>> =
        (1..=options.writers as u64).map(|author| client::keystrokes(author, options.keystrokes)).collect();
    let mut sinks = Vec::new();
    let mut readers = JoinSet::new();
    let arrived = Arc::new(Arrived::default());
    for socket in connect(&options).await? {
        let (sink, stream) = socket.split();
        sinks.push(sink);
        readers.spawn(count(stream, arrived.clone(), options.raw));
    }
    let sent = (options.writers * options.keystrokes) as u64;
    let expected = sent * (options.clients as u64 - 1);
    let acknowledgements = if options.raw { 0 } else { sent };

    let cpu_before = process::cpu_ms(options.pid);
    let begun = Instant::now();
    let writers = typed.into_iter().zip(&mut sinks).enumerate();
    let writing =
        try_join_all(writers.map(|(place, (typed, sink))| write(typed, sink, place, &options, &arrived)));
    tokio::select! {
        written = writing => drop(written?),
        Some(ended) = readers.join_next() => ended??,
    }
    while arrived.deliveries.load(Relaxed) < expected || arrived.acknowledged.load(Relaxed) < acknowledgements
    {
        if begun.elapsed() > LIMIT {
            bail!("{:?} of {expected} updates have arrived", arrived.deliveries);
        }
        if let Some(ended) = readers.try_join_next() {
            ended??;
        }
        sleep(LOOK).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_ms = process::cpu_ms(options.pid).zip(cpu_before).map(|(after, before)| after - before);
    Ok(json!({
        "deliveries": expected,
        "bytes": arrived.bytes.load(Relaxed),
        "seconds": seconds,
        "cpu_ms": cpu_ms,
    }))
}

async fn connect(options: &Options) -> Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for _ in 0..options.clients {
        sockets.push(if options.raw {
            client::join_broadcast(&options.url).await?
        } else {
            client::join_room(&options.url).await?
        });
    }
    Ok(sockets)
}

async fn write(
    typed: Vec<Bytes>,
    sink: &mut SplitSink<Socket, Message>,
    place: usize,
    options: &Options,
    arrived: &Arrived,
) -> Result<()> {
    let (writers, receivers) = (options.writers as u64, options.clients as u64 - 1);
    let every = Duration::from_secs(1) / options.rate.max(1);
    // Writers do not type in step.
    let first = Instant::now() + every * place as u32 / options.writers as u32;
    let mut pace = interval_at(first, every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for (sent, frame) in typed.into_iter().enumerate() {
        if options.rate > 0 {
            pace.tick().await;
        } else {
            // About as many as the others: what has arrived is counted for all.
            while sent as u64 >= WINDOW + arrived.deliveries.load(Relaxed) / (writers * receivers) {
                sleep(LOOK).await;
            }
        }
        sink.send(Message::Binary(frame)).await.context("typing")?;
    }
    Ok(())
}

/// Counts what arrives, until the socket ends, which is an error.
async fn count(mut stream: SplitStream<Socket>, arrived: Arc<Arrived>, raw: bool) -> Result<()> {
    while let Some(message) = stream.next().await {
        let Message::Binary(frame) = message.context("receiving")? else { continue };
        match if raw { News::Update } else { client::read(&frame)? } {
            News::Update => {
                arrived.bytes.fetch_add(frame.len() as u64, Relaxed);
                arrived.deliveries.fetch_add(1, Relaxed);
            }
            News::Acknowledged => {
                arrived.acknowledged.fetch_add(1, Relaxed);
            }
            News::State | News::Question | News::Other => {}
        }
    }
    bail!("a client lost its server")
}

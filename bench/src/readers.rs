//! Readers that stop: their sockets are left alone while others type, then they read on. The measure is how far the
//! server's memory grows. Everybody else must get everything meanwhile, and in the end all must have the same text.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpSocket,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;
use yrs::{Doc, GetString, Transact};

use crate::{
    client::{self, News, Socket},
    process,
};

/// Whoever takes longer after the last keystroke is held up.
const LIMIT: Duration = Duration::from_secs(20);
/// What a client's system takes before it reads.
const RECEIVE_BYTES: u32 = 32 << 10;
const LOOK: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The server's WebSocket.
    #[arg(long)]
    url: String,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    #[arg(long, default_value_t = 50)]
    clients: usize,
    #[arg(long, default_value_t = 5)]
    writers: usize,
    /// Clients that stop reading.
    #[arg(long, default_value_t = 0)]
    stopped: usize,
    /// How long is typed.
    #[arg(long, default_value_t = 16)]
    seconds: usize,
    /// Keystrokes of each writer per second.
    #[arg(long, default_value_t = 25)]
    rate: u32,
    /// Text of each. All of it is almost as much as a file may hold.
    #[arg(long, default_value_t = 4096)]
    bytes: usize,
}

/// What each who reads has got.
struct Arrived(Vec<AtomicU64>);

impl Arrived {
    fn each(&self) -> Vec<u64> {
        self.0.iter().map(|arrived| arrived.load(Relaxed)).collect()
    }
}

pub(crate) async fn run(options: Options) -> Result<Value> {
    let each = options.seconds * options.rate as usize;
    let keystroke = "x".repeat(options.bytes);
    let typed: Vec<Vec<Bytes>> =
        (1..=options.writers as u64).map(|author| client::typed(author, each, &keystroke)).collect();
    let all = each * options.writers;

    let mut stopped = Vec::new();
    for _ in 0..options.stopped {
        stopped.push(join(&options.url, &Doc::new()).await?);
    }
    let reading = options.clients - options.stopped;
    let arrived = Arc::new(Arrived((0..reading).map(|_| AtomicU64::default()).collect()));
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    let mut typed = typed.into_iter();
    let before_kib = process::resident_kib(options.pid);
    let mut expected = 0;
    let begin = Instant::now() + Duration::from_secs(1);
    let every = Duration::from_secs(1) / options.rate;
    for place in 0..reading {
        let (sink, stream) = join(&options.url, &Doc::new()).await?.split();
        let screen = Doc::new();
        let (updates, acknowledgements, sink) = match typed.next() {
            Some(typed) => {
                typed.iter().try_for_each(|frame| client::show(&screen, frame))?;
                // Writers do not type in step.
                let first = begin + every * place as u32 / options.writers as u32;
                writers.spawn(write(typed, sink, first, every));
                (all - each, each, None)
            }
            None => (all, 0, Some(sink)),
        };
        expected += updates as u64;
        readers.spawn(read(stream, sink, screen, [updates, acknowledgements], (place, arrived.clone())));
    }

    let mut peak_kib = before_kib;
    let mut last_keystroke = None;
    let mut lines = Vec::new();
    while lines.len() < reading {
        tokio::select! {
            Some(written) = writers.join_next() => {
                written??;
                last_keystroke = Some(Instant::now()).filter(|_| writers.is_empty());
            }
            Some(read) = readers.join_next() => lines.push(read??),
            () = sleep(LOOK) => {}
        }
        peak_kib = peak_kib.max(process::resident_kib(options.pid));
        if last_keystroke.is_some_and(|last| last.elapsed() > LIMIT) {
            bail!("of {all} updates (writers: {}) have arrived: {:?}", all - each, arrived.each());
        }
    }
    let settled = last_keystroke.context("the last reader was done before the last writer")?.elapsed();

    let mut closed = Vec::new();
    let text = text_of(lines.first().context("nobody reads")?);
    ensure!(text.len() == all * options.bytes, "{} bytes of {}", text.len(), all * options.bytes);
    for socket in stopped {
        let screen = Doc::new();
        closed.push(timeout(LIMIT, resume(socket, &screen, all, &options.url)).await.context("resuming")??);
        lines.push(screen);
    }
    for screen in &lines {
        ensure!(text_of(screen) == text, "two members do not see the same");
    }
    let mib = |kib: Option<u64>| kib.map(|kib| kib as f64 / 1024.0);
    Ok(json!({
        "deliveries": expected,
        "settled_ms": settled.as_millis() as u64,
        "before_mib": mib(before_kib),
        "peak_mib": mib(peak_kib),
        "grown_mib": mib(peak_kib.zip(before_kib).map(|(peak, before)| peak.saturating_sub(before))),
        "closed": closed,
        "equal": lines.len(),
    }))
}

/// Connects with a small buffer, so that what is not read is soon the server's to keep.
async fn join(url: &str, screen: &Doc) -> Result<Socket> {
    let host =
        url.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).context("no ws:// address")?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    let stream = socket.connect(host.parse().context("reading the address")?).await?;
    client::join_room_over(stream, url, screen).await
}

async fn write(
    typed: Vec<Bytes>,
    mut sink: SplitSink<Socket, Message>,
    first: Instant,
    every: Duration,
) -> Result<()> {
    let mut pace = interval_at(first, every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for frame in typed {
        pace.tick().await;
        sink.send(Message::Binary(frame)).await.context("typing")?;
    }
    Ok(())
}

/// Reads until so many updates and acknowledgements are there; the screen then.
async fn read(
    mut stream: SplitStream<Socket>,
    sink: Option<SplitSink<Socket, Message>>,
    screen: Doc,
    [mut updates, mut acknowledgements]: [usize; 2],
    (place, arrived): (usize, Arc<Arrived>),
) -> Result<Doc> {
    while updates > 0 || acknowledgements > 0 {
        let message = stream.next().await.context("a client lost its server")?.context("receiving")?;
        let frame = match message {
            Message::Binary(frame) => frame,
            Message::Close(frame) => bail!("a client that reads was closed: {frame:?}"),
            _ => continue,
        };
        match client::read(&frame)? {
            News::Update => {
                client::show(&screen, &frame)?;
                updates -= 1;
                arrived.0[place].fetch_add(1, Relaxed);
            }
            News::Acknowledged => acknowledgements -= 1,
            News::State | News::Question | News::Other => {}
        }
    }
    drop(sink);
    Ok(screen)
}

/// Reads on until everything is there; where the server has let go, comes back and synchronises. The close code.
async fn resume(mut socket: Socket, screen: &Doc, all: usize, url: &str) -> Result<Option<u16>> {
    let mut updates = 0;
    while updates < all {
        match socket.next().await {
            Some(Ok(Message::Binary(frame))) => {
                if client::read(&frame)? == News::Update {
                    client::show(screen, &frame)?;
                    updates += 1;
                }
            }
            Some(Ok(Message::Close(Some(frame)))) => {
                join(url, screen).await?;
                return Ok(Some(frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error).context("a stopped reader was cut off without a code"),
            None => bail!("a stopped reader was cut off without a code"),
        }
    }
    Ok(None)
}

fn text_of(screen: &Doc) -> String {
    screen.get_or_insert_text("content").get_string(&screen.transact())
}

//! Much that is opened at once: one large file by many members, whose server must close nobody for it; and many files
//! by one member, who comes back at once and again, and must be refused none of them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use serde_json::{Value, json};
use shared::wire::{
    hocuspocus::{ClientMessage, ServerMessage, read_server, write_client},
    yjs::{EMPTY_UPDATE, SyncMessage},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    client::{self, News},
    process,
};

/// Whoever takes longer is held up.
const LIMIT: Duration = Duration::from_secs(120);
/// What is typed at once.
const PIECE: usize = 256 << 10;
const LOOK: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The WebSocket of a room.
    #[arg(long)]
    url: String,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    /// Members who open the large file at once.
    #[arg(long, default_value_t = 100)]
    members: usize,
    /// Its size.
    #[arg(long, default_value_t = 2_450_000)]
    bytes: usize,
    /// Files that one member opens at once.
    #[arg(long, default_value_t = 1000)]
    documents: usize,
    /// How often, one time after the other.
    #[arg(long, default_value_t = 3)]
    times: usize,
}

pub(crate) async fn run(options: Options) -> Result<Value> {
    let before_kib = process::resident_kib(options.pid);
    let mut author = client::join_room(&options.url).await?;
    let pieces = options.bytes.div_ceil(PIECE);
    for frame in client::typed(1, pieces, &"x".repeat(options.bytes / pieces)) {
        client::send(&mut author, frame).await?;
        timeout(LIMIT, client::until(&mut author, News::Acknowledged)).await.context("typing")??;
    }

    let begun = Instant::now();
    let mut members = JoinSet::new();
    for _ in 0..options.members {
        let url = options.url.clone();
        members.spawn(async move { timeout(LIMIT, client::join_room(&url)).await.context("opening")? });
    }
    let (mut open, mut closed, mut peak_kib) = (Vec::new(), Vec::new(), before_kib);
    while open.len() + closed.len() < options.members {
        tokio::select! {
            Some(joined) = members.join_next() => match joined? {
                Ok(socket) => open.push(socket),
                Err(error) => closed.push(format!("{error:#}")),
            },
            () = sleep(LOOK) => {}
        }
        peak_kib = peak_kib.max(process::resident_kib(options.pid));
    }
    let opened = begun.elapsed();
    drop((open, author));

    let (mut each_ms, mut refused) = (Vec::new(), 0);
    for _ in 0..options.times {
        let begun = Instant::now();
        refused +=
            timeout(LIMIT, open_many(&options.url, options.documents)).await.context("opening many")??;
        each_ms.push(begun.elapsed().as_millis() as u64);
    }
    let grown = peak_kib.zip(before_kib).map(|(peak, before)| peak.saturating_sub(before) as f64 / 1024.0);
    Ok(json!({
        "members": options.members,
        "bytes": options.bytes,
        "opened_ms": opened.as_millis() as u64,
        "closed": closed.len(),
        "why": closed.first(),
        "grown_mib": grown,
        "documents": options.documents,
        "each_ms": each_ms,
        "refused": refused,
    }))
}

/// Opens many files in one go, as a stock provider does, until all have come; how many were refused.
async fn open_many(url: &str, documents: usize) -> Result<usize> {
    let mut socket = client::connect(url).await?;
    let names: Vec<String> = (0..documents).map(|at| format!("src/{at}.ts")).collect();
    for name in &names {
        let token = ClientMessage::Token { token: "", version: Some("4.8.0") };
        client::send(&mut socket, write_client(name, &token)).await?;
    }
    for name in &names {
        let step1 = ClientMessage::Sync(SyncMessage::Step1(&[0]));
        client::send(&mut socket, write_client(name, &step1)).await?;
    }
    let (mut saved, mut refused) = (0, 0);
    while saved + refused < documents {
        let message = socket.next().await.context("the server has gone")?.context("receiving")?;
        let frame = match message {
            Message::Binary(frame) => frame,
            Message::Close(frame) => bail!("the server has closed: {frame:?}"),
            _ => continue,
        };
        let Ok((key, message)) = read_server(&frame) else { continue };
        match message {
            ServerMessage::Sync(SyncMessage::Step1(_)) => {
                let answer = ClientMessage::Sync(SyncMessage::Step2(EMPTY_UPDATE));
                client::send(&mut socket, write_client(key, &answer)).await?;
            }
            ServerMessage::SyncStatus(true) => saved += 1,
            ServerMessage::Close { .. } | ServerMessage::PermissionDenied { .. } => refused += 1,
            _ => {}
        }
    }
    Ok(refused)
}

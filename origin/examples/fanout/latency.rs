//! From edit to screen: one keystroke at a time, in turn on each of two ways to a server, until the other member's
//! document has it and its author's is acknowledged.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use shared::wire::{
    hocuspocus::{ServerMessage, read_server},
    yjs::SyncMessage,
};
use tokio::time::{Instant, sleep};
use yrs::{Doc, GetString, Transact, Update, updates::decoder::Decode};

use crate::client::{self, News, Socket};

/// Keystrokes before it counts: nothing is warm yet.
const FIRST: usize = 30;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A room straight at the origin.
    #[arg(long)]
    direct: String,
    /// A room through the Worker.
    #[arg(long)]
    edge: String,
    /// Keystrokes on each way that count.
    #[arg(long)]
    keystrokes: usize,
    /// Pause after each.
    #[arg(long, default_value_t = 15)]
    pause_ms: u64,
}

struct Way {
    writer: Socket,
    reader: Socket,
    screen: Doc,
    typed: std::vec::IntoIter<Bytes>,
    shown_ms: Vec<f64>,
    acknowledged_ms: Vec<f64>,
}

pub(crate) async fn run(options: Options) -> Result<Value> {
    let all = FIRST + options.keystrokes;
    let mut ways = [Way::open(&options.direct, all).await?, Way::open(&options.edge, all).await?];
    for _ in 0..all {
        for way in &mut ways {
            way.type_one().await?;
            sleep(Duration::from_millis(options.pause_ms)).await;
        }
    }
    let [direct, edge] = ways.map(|way| way.finish(all));
    Ok(json!({ "direct": direct?, "edge": edge? }))
}

impl Way {
    async fn open(url: &str, keystrokes: usize) -> Result<Self> {
        Ok(Self {
            writer: client::join_room(url).await?,
            reader: client::join_room(url).await?,
            screen: Doc::new(),
            typed: client::keystrokes(1, keystrokes).into_iter(),
            shown_ms: Vec::new(),
            acknowledged_ms: Vec::new(),
        })
    }

    async fn type_one(&mut self) -> Result<()> {
        let frame = self.typed.next().context("everything is typed")?;
        let begun = Instant::now();
        let since = || begun.elapsed().as_secs_f64() * 1000.0;
        client::send(&mut self.writer, frame).await?;
        let shown = async {
            let frame = client::until(&mut self.reader, News::Update).await?;
            show(&self.screen, &frame)?;
            Ok::<_, anyhow::Error>(since())
        };
        let acknowledged = async {
            client::until(&mut self.writer, News::Acknowledged).await?;
            Ok::<_, anyhow::Error>(since())
        };
        let (shown, acknowledged) = tokio::try_join!(shown, acknowledged)?;
        self.shown_ms.push(shown);
        self.acknowledged_ms.push(acknowledged);
        Ok(())
    }

    fn finish(mut self, keystrokes: usize) -> Result<Value> {
        let text = self.screen.get_or_insert_text("content");
        let shown = text.get_string(&self.screen.transact());
        if shown.len() != keystrokes {
            bail!("{} of {keystrokes} keystrokes are on the screen", shown.len());
        }
        let shown = &mut self.shown_ms[FIRST..];
        let acknowledged = &mut self.acknowledged_ms[FIRST..];
        Ok(json!({
            "p50_ms": quantile(shown, 0.5),
            "p95_ms": quantile(shown, 0.95),
            "logged_p50_ms": quantile(acknowledged, 0.5),
        }))
    }
}

fn show(screen: &Doc, frame: &[u8]) -> Result<()> {
    let (_, ServerMessage::Sync(SyncMessage::Update(update))) = read_server(frame)? else {
        bail!("no update")
    };
    screen.transact_mut().apply_update(Update::decode_v1(update)?).context("showing an update")
}

fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let value = values[((values.len() - 1) as f64 * part) as usize];
    (value * 100.0).round() / 100.0
}

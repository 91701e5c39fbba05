//! From edit to screen: one keystroke at a time, in turn on each of two ways to a server, until the other member's
//! document has it and its author's is acknowledged.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use yrs::{Doc, GetString, Transact};

use crate::{
    client::{self, News, Socket},
    quantile::quantile,
};

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

/// A way from one member to another.
pub(crate) struct Way {
    writer: Socket,
    reader: Socket,
    screen: Doc,
    typed: std::vec::IntoIter<Bytes>,
    shown_ms: Vec<f64>,
    acknowledged_ms: Vec<f64>,
}

pub(crate) async fn run(options: Options) -> Result<Value> {
    let direct =
        Way::new(client::join_room(&options.direct).await?, client::join_room(&options.direct).await?);
    let edge = Way::new(client::join_room(&options.edge).await?, client::join_room(&options.edge).await?);
    let pause = Duration::from_millis(options.pause_ms);
    let [direct, edge] = in_turn([direct, edge], options.keystrokes, pause).await?;
    Ok(json!({ "direct": direct, "edge": edge }))
}

/// Types on these ways in turn, so many keystrokes on each beside the first ones, which do not count.
pub(crate) async fn in_turn<const N: usize>(
    mut ways: [Way; N],
    keystrokes: usize,
    pause: Duration,
) -> Result<[Value; N]> {
    let all = FIRST + keystrokes;
    for way in &mut ways {
        way.typed = client::keystrokes(1, all).into_iter();
    }
    for _ in 0..all {
        for way in &mut ways {
            way.type_one().await?;
            sleep(pause).await;
        }
    }
    let mut measured = [const { Value::Null }; N];
    for (way, measured) in ways.into_iter().zip(&mut measured) {
        *measured = way.finish(all)?;
    }
    Ok(measured)
}

impl Way {
    /// Both have the file open.
    pub(crate) fn new(writer: Socket, reader: Socket) -> Self {
        Self {
            writer,
            reader,
            screen: Doc::new(),
            typed: Vec::new().into_iter(),
            shown_ms: Vec::new(),
            acknowledged_ms: Vec::new(),
        }
    }

    async fn type_one(&mut self) -> Result<()> {
        let frame = self.typed.next().context("everything is typed")?;
        let begun = Instant::now();
        let since = || begun.elapsed().as_secs_f64() * 1000.0;
        client::send(&mut self.writer, frame).await?;
        let shown = async {
            let frame = client::until(&mut self.reader, News::Update).await?;
            client::show(&self.screen, &frame)?;
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

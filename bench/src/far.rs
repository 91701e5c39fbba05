//! Edit to screen with the origin far away: between two members of one region, and between two regions.
//!
//! Clients connect to the Worker itself, but tell it the address of a delay proxy as its own. That is where the origin
//! is asked to dial, so that links, and nothing else, go the long way.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use yrs::Doc;

use crate::{
    client::{self, Socket},
    delay::LongWay,
    latency::{Way, in_turn},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Host and port of the Worker.
    #[arg(long)]
    edge: String,
    /// How long everything takes from the Worker to the origin, and as long back.
    #[arg(long)]
    one_way_ms: u64,
    /// Keystrokes on each way that count.
    #[arg(long)]
    keystrokes: usize,
    /// Pause after each.
    #[arg(long, default_value_t = 15)]
    pause_ms: u64,
}

pub(crate) async fn run(options: Options) -> Result<Value> {
    let long_way = LongWay::to(&options.edge, Duration::from_millis(options.one_way_ms)).await?;
    let address = long_way.address()?;
    let join = async |room: &str, region: &str| -> Result<Socket> {
        let url = format!("ws://{address}/rooms/{room}?region={region}");
        client::join_room_over(TcpStream::connect(&options.edge).await?, &url, &Doc::new()).await
    };
    let measure = async {
        let within = Way::new(join("bench-within", "weur").await?, join("bench-within", "weur").await?);
        let between = Way::new(join("bench-between", "weur").await?, join("bench-between", "enam").await?);
        let pause = Duration::from_millis(options.pause_ms);
        in_turn([within, between], options.keystrokes, pause).await
    };
    let [within, between] = tokio::select! {
        measured = measure => measured?,
        served = long_way.serve() => return served.map(|()| Value::Null),
    };
    for way in [&within, &between] {
        let logged = way["logged_p50_ms"].as_f64().unwrap_or(0.0);
        if logged < 2.0 * options.one_way_ms as f64 {
            bail!("logged after {logged} ms: the link does not go the long way");
        }
    }
    Ok(json!({ "one_way_ms": options.one_way_ms, "within": within, "between": between }))
}

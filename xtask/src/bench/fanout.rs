//! Fan-out: CPU per delivery in a room of 50 with 5 writers on the embedded stores, against a raw WebSocket
//! broadcast of the same bytes by the same library; and what the way through the Worker adds to edit-to-screen.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    load::{answer, load, numbers},
    on_site,
    rounds::{Rounds, rounded},
    tell,
};
use crate::{
    build,
    platform::target_dir,
    process::Group,
    site::{Parts, Site, free_port, url},
    tools::Toolbox,
};

const ROUNDS: usize = 5;
/// Keystrokes a second of each writer, whatever the server does: 12,250 deliveries a second. Nothing queues, so
/// that each delivery is a send of its own, which is the dearest.
const PACE: u32 = 50;
/// Long enough that the flush of what was typed is in it.
const PACED_KEYSTROKES: u32 = PACE * 7;
/// Keystrokes of each writer that are typed as fast as everybody receives.
const SATURATED_KEYSTROKES: u32 = 1500;
const LATENCY_KEYSTROKES: u32 = 400;
/// What is wanted: CPU per delivery at a steady pace, to the yardstick's.
const MOST_CPU_RATIO: f64 = 2.0;
/// What is wanted: p50 of edit-to-screen through the Worker, beyond the direct one.
const MOST_EDGE_MS: f64 = 3.0;

/// Builds everything for speed, measures, and prints the outcome.
pub(super) fn run(tools: &Toolbox, json_only: bool) -> Result<()> {
    let programs = build::for_speed(tools)?;
    build::worker(tools, false)?;
    let outcome = on_site(tools, &programs, Some(0), |site, parts| {
        Bench { tools, programs: &programs, site }.measure(parts)
    })?;
    tell(&outcome, &outcome.to_json(), json_only)
}

struct Bench<'a> {
    tools: &'a Toolbox,
    programs: &'a Path,
    site: &'a Site,
}

/// A server to load.
struct Server {
    url: String,
    process: u32,
}

impl Bench<'_> {
    fn measure(&self, parts: &mut Parts) -> Result<Outcome> {
        let up = parts.rise(self.tools, self.site)?;
        let (yardstick, port) = start_yardstick(self.programs)?;
        parts.add(yardstick);
        if !up || !parts.until_healthy("the yardstick", port, self.tools.stop())? {
            bail!("stopped");
        }
        let ids = parts.ids();
        let (Some(origin), Some(broadcast)) = (ids.first(), ids.last()) else { bail!("nothing runs") };
        let yardstick = Server { url: format!("ws://127.0.0.1:{port}/"), process: *broadcast };
        let room = |name: &str| Server {
            url: format!("ws://127.0.0.1:{}/rooms/bench-{name}", self.site.origin()),
            process: *origin,
        };

        let mut paced = Rounds::new("at a steady pace");
        let mut saturated = Rounds::new("as fast as it goes");
        for round in 1..=ROUNDS {
            eprintln!("round {round} of {ROUNDS}");
            let pace = [("--keystrokes", PACED_KEYSTROKES), ("--rate", PACE)];
            let room_of_round = room(&format!("paced-{round}"));
            paced.add(&self.load(&yardstick, true, &pace)?, &self.load(&room_of_round, false, &pace)?)?;
            let flood = [("--keystrokes", SATURATED_KEYSTROKES)];
            let room_of_round = room(&format!("saturated-{round}"));
            saturated
                .add(&self.load(&yardstick, true, &flood)?, &self.load(&room_of_round, false, &flood)?)?;
        }
        parts.all_run()?;
        Ok(Outcome { paced, saturated, latency: self.latency()? })
    }

    fn load(&self, server: &Server, raw: bool, options: &[(&str, u32)]) -> Result<Value> {
        let mut load = load(self.programs, "room");
        load.args(["--url", &server.url, "--pid", &server.process.to_string()]);
        load.args(raw.then_some("--raw"));
        numbers(&mut load, options);
        answer(&mut load)
    }

    fn latency(&self) -> Result<Value> {
        eprintln!("edit to screen, directly and through the Worker");
        let edge = self.site.edge().context("there is no Worker")?;
        let mut load = load(self.programs, "latency");
        numbers(&mut load, &[("--keystrokes", LATENCY_KEYSTROKES)]);
        load.arg("--direct").arg(format!("ws://127.0.0.1:{}/rooms/bench-direct", self.site.origin()));
        load.arg("--edge").arg(format!("ws://127.0.0.1:{edge}/rooms/bench-edge"));
        answer(&mut load)
    }
}

fn start_yardstick(programs: &Path) -> Result<(Group, u16)> {
    let port = free_port(0, "the yardstick's port")?;
    let log = target_dir().join("dev").join(format!("broadcast-{port}.log"));
    let mut broadcast = load(programs, "broadcast");
    broadcast.arg(format!("127.0.0.1:{port}"));
    eprintln!("starting the yardstick at {}", url(port));
    Ok((Group::start(&mut broadcast, "the yardstick", Some(&log))?, port))
}

struct Outcome {
    paced: Rounds,
    saturated: Rounds,
    latency: Value,
}

impl Outcome {
    fn way(&self, way: &str) -> f64 {
        self.latency[way]["p50_ms"].as_f64().unwrap_or(f64::NAN)
    }

    fn edge_adds_ms(&self) -> f64 {
        rounded(self.way("edge") - self.way("direct"))
    }

    fn to_json(&self) -> Value {
        json!({
            "bench": "fanout",
            "clients": 50,
            "writers": 5,
            "rounds": ROUNDS,
            "paced": self.paced.to_json(),
            "saturated": self.saturated.to_json(),
            "edit_to_screen": self.latency,
            "edge_adds_p50_ms": self.edge_adds_ms(),
            "wanted": { "paced_cpu_ratio": MOST_CPU_RATIO, "edge_adds_p50_ms": MOST_EDGE_MS },
            "met": {
                "paced_cpu_ratio": self.paced.cpu_ratio().map(|ratio| ratio <= MOST_CPU_RATIO),
                "edge_adds_p50_ms": self.edge_adds_ms() <= MOST_EDGE_MS,
            },
        })
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "a room of 50 with 5 writers, to a raw broadcast of the same bytes ({ROUNDS} rounds):")?;
        writeln!(f, "  {} (wanted: at most {MOST_CPU_RATIO})", self.paced)?;
        writeln!(f, "  {}", self.saturated)?;
        writeln!(f, "edit to screen, p50 of {LATENCY_KEYSTROKES}:")?;
        write!(
            f,
            "  {:.2} ms directly, {:.2} ms through the Worker: {:.2} ms more (wanted: at most {MOST_EDGE_MS})",
            self.way("direct"),
            self.way("edge"),
            self.edge_adds_ms()
        )
    }
}

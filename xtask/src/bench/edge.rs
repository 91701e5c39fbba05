//! The edge: edit to screen with the origin far away, deliveries beside a bare fan-out object in the same workerd,
//! and the size of the upload.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{
    load::{answer, load, numbers},
    on_site,
    rounds::{Rounds, rounded},
    served::Served,
    tell, upload,
};
use crate::{
    build,
    site::{Parts, Site},
    tools::Toolbox,
};

const ROUNDS: usize = 5;
const CLIENTS: u32 = 200;
const WRITERS: u32 = 20;
/// Of each writer, typed as fast as everybody receives.
const KEYSTROKES: u32 = 75;
/// From the Worker to the origin; as long back.
const ONE_WAY_MS: u32 = 50;
/// On each way that counts.
const FAR_KEYSTROKES: u32 = 100;
/// What is wanted: p50 of edit to screen in one region, however far away the origin is.
const MOST_WITHIN_MS: f64 = 20.0;
/// What is wanted: p50 of edit to screen between regions, beyond the way itself.
const MOST_BEYOND_WAY_MS: f64 = 20.0;
/// What is wanted: deliveries per second, to the bare object's.
const LEAST_PACE_RATIO: f64 = 0.7;
/// What is wanted: the upload, compressed, in KB.
const MOST_UPLOAD_KB: f64 = 600.0;

/// Builds everything for speed, measures, and prints the outcome.
pub(super) fn run(tools: &Toolbox, json_only: bool) -> Result<()> {
    let programs = build::for_speed(tools)?;
    // Builds the Worker as a deploy does, which is the one that is measured.
    let upload_kb = rounded(upload::gzip_kb(tools)?);
    let (far, paces) = on_site(tools, &programs, None, |site, parts| {
        Bench { tools, programs: &programs, site }.measure(parts)
    })?;
    let outcome = Outcome { far, paces, upload_kb };
    tell(&outcome, &outcome.to_json(), json_only)
}

struct Bench<'a> {
    tools: &'a Toolbox,
    programs: &'a Path,
    site: &'a Site,
}

impl Bench<'_> {
    fn measure(&self, parts: &mut Parts) -> Result<(Value, Rounds)> {
        if !parts.rise(self.tools, self.site)? {
            bail!("stopped");
        }
        let worker = Served::worker(self.tools, self.site, parts)?;
        let far = self.far(&worker)?;
        let bare = Served::bare(self.tools, self.site, parts)?;
        let mut paces = Rounds::new("as fast as it goes");
        for round in 1..=ROUNDS {
            eprintln!("round {round} of {ROUNDS}");
            let path = format!("/rooms/bench-{round}");
            paces.add(&self.load(&bare, &path, true)?, &self.load(&worker, &path, false)?)?;
            parts.all_run()?;
        }
        Ok((far, paces))
    }

    fn far(&self, worker: &Served) -> Result<Value> {
        eprintln!("edit to screen, with the origin {} ms away", 2 * ONE_WAY_MS);
        let mut load = load(self.programs, "far");
        load.args(["--edge", &worker.host]);
        numbers(&mut load, &[("--one-way-ms", ONE_WAY_MS), ("--keystrokes", FAR_KEYSTROKES)]);
        answer(&mut load)
    }

    fn load(&self, server: &Served, path: &str, raw: bool) -> Result<Value> {
        let mut load = load(self.programs, "room");
        load.args(["--url", &format!("ws://{}{path}", server.host)]);
        load.args(raw.then_some("--raw"));
        let counts = [("--clients", CLIENTS), ("--writers", WRITERS), ("--keystrokes", KEYSTROKES)];
        numbers(&mut load, &[("--pid", server.process)]);
        numbers(&mut load, &counts);
        answer(&mut load)
    }
}

struct Outcome {
    far: Value,
    paces: Rounds,
    upload_kb: f64,
}

impl Outcome {
    fn shown(&self, way: &str) -> f64 {
        self.far[way]["p50_ms"].as_f64().unwrap_or(f64::NAN)
    }

    /// From one region to another an edit goes to the origin and from there to the other edge.
    fn most_between_ms() -> f64 {
        f64::from(2 * ONE_WAY_MS) + MOST_BEYOND_WAY_MS
    }

    fn to_json(&self) -> Value {
        let ratio = self.paces.pace_ratio();
        json!({
            "bench": "edge",
            "clients": CLIENTS,
            "writers": WRITERS,
            "rounds": ROUNDS,
            "edit_to_screen": self.far,
            "saturated": self.paces.to_json(),
            "upload_gzip_kb": self.upload_kb,
            "wanted": {
                "within_p50_ms": MOST_WITHIN_MS,
                "between_p50_ms": Self::most_between_ms(),
                "pace_ratio": LEAST_PACE_RATIO,
                "upload_gzip_kb": MOST_UPLOAD_KB,
            },
            "met": {
                "within_p50_ms": self.shown("within") <= MOST_WITHIN_MS,
                "between_p50_ms": self.shown("between") <= Self::most_between_ms(),
                "pace_ratio": ratio.map(|ratio| ratio >= LEAST_PACE_RATIO),
                "upload_gzip_kb": self.upload_kb <= MOST_UPLOAD_KB,
            },
        })
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [bare, worker] = self.paces.paces().map(|pace| pace.unwrap_or(f64::NAN));
        let ratio = self.paces.pace_ratio().unwrap_or(f64::NAN);
        writeln!(f, "edit to screen with the origin {} ms away, p50 of {FAR_KEYSTROKES}:", 2 * ONE_WAY_MS)?;
        writeln!(f, "  in one region {:.2} ms (wanted: at most {MOST_WITHIN_MS})", self.shown("within"))?;
        writeln!(
            f,
            "  between regions {:.2} ms (wanted: at most {})",
            self.shown("between"),
            Self::most_between_ms()
        )?;
        writeln!(
            f,
            "a room of {CLIENTS} with {WRITERS} writers, to a bare fan-out object ({ROUNDS} rounds):"
        )?;
        writeln!(
            f,
            "  {ratio:.2} times the deliveries per second ({worker} to {bare}; wanted: at least {LEAST_PACE_RATIO})"
        )?;
        writeln!(f, "  {}", self.paces)?;
        write!(f, "upload: {} KB compressed (wanted: at most {MOST_UPLOAD_KB})", self.upload_kb)
    }
}

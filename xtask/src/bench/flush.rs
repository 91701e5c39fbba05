//! Flushing: what a job of the queue costs beside npm's `bullmq`; how much longer acknowledgements take while 200
//! files are flushed by a process on a core of its own; and what the flush of a file with a long log costs beside
//! merging and encoding alone.

mod outcome;

use std::{process::Command, thread::available_parallelism};

use anyhow::{Result, bail};
use serde_json::Value;

use self::outcome::Outcome;
use super::{
    load::{answer, numbers},
    on_redis::OnRedis,
    tell,
};
use crate::{
    site::{Parts, Site, Stores},
    tools::Toolbox,
};

const ROUNDS: usize = 5;
const JOBS: u32 = 20_000;
/// Of them, before it counts: nothing is warm yet.
const FIRST_JOBS: u32 = 2_000;
/// The default of `FLUSH_CONCURRENCY`.
const JOBS_AT_ONCE: u32 = 3;
const FILES: u32 = 200;
const KILOBYTES: u32 = 100;
/// How often the files are changed and flushed in each round.
const FLUSHES: u32 = 3;
const UPDATES: u32 = 1_000;
/// Rooms of one file with so many updates in each round.
const LOGGED_ROOMS: u32 = 100;
/// The same for a file that was not flushed for long.
const LONG_UPDATES: u32 = 100_000;
const LONG_ROOMS: u32 = 2;
/// Everything that does not flush is on the first of these cores.
const CORES: [u32; 2] = [0, 1];
/// Nothing is flushed but what the load asks for, and that at once.
const SETTINGS: [(&str, &str); 2] = [("FLUSH_DELAY_MS", "600000"), ("FLUSH_LIMIT", "1000")];

/// Builds everything for speed, measures, prints the outcome, and fails if something is not as wanted.
pub(super) fn run(tools: &Toolbox, json_only: bool) -> Result<()> {
    if available_parallelism().is_ok_and(|cores| cores.get() < CORES.len()) {
        bail!("`bench flush` needs a core for the flush and one for the rest");
    }
    tools.npm_packages()?;
    let outcome = OnRedis::run(tools, "flush", |here| Bench(here).measure())?;
    tell(&outcome, &outcome.to_json(), json_only)
}

struct Bench<'a>(&'a OnRedis<'a>);

impl Bench<'_> {
    fn measure(&self) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for round in 1..=ROUNDS {
            self.0.goes_on(&format!("jobs and merges: round {round} of {ROUNDS}"))?;
            outcome.add_jobs(&self.stock_jobs(round)?, &self.jobs(round)?)?;
            outcome.add_typed(&self.merges(round, true, (LOGGED_ROOMS, UPDATES))?);
            outcome.add_pasted(&self.merges(round, false, (LOGGED_ROOMS, UPDATES))?);
            outcome.add_long(&self.merges(round, true, (LONG_ROOMS, LONG_UPDATES))?);
        }
        self.storing(&mut outcome)?;
        Ok(outcome)
    }

    fn stock_jobs(&self, round: usize) -> Result<Value> {
        let queue = format!("stock-{round}");
        answer(self.load_of_jobs(&queue).arg("--fill"))?;
        let mut node = self.0.tools.command("node")?;
        node.args(["bench/stock.mjs", &self.0.redis.url(), &queue]);
        answer(node.args([JOBS, FIRST_JOBS, JOBS_AT_ONCE].map(|number| number.to_string())))
    }

    fn jobs(&self, round: usize) -> Result<Value> {
        let queue = format!("jobs-{round}");
        answer(self.load_of_jobs(&queue).arg("--fill"))?;
        let mut load = self.load_of_jobs(&queue);
        load.args(["--server", &self.0.redis.id().to_string()]);
        answer(&mut load)
    }

    fn load_of_jobs(&self, queue: &str) -> Command {
        let mut load = self.0.load("jobs");
        load.args(["--queue", queue]);
        numbers(&mut load, &[("--jobs", JOBS), ("--first", FIRST_JOBS), ("--concurrency", JOBS_AT_ONCE)]);
        load
    }

    fn merges(&self, round: usize, typed: bool, (rooms, updates): (u32, u32)) -> Result<Value> {
        let mut load = self.0.load("merge");
        if typed {
            load.arg("--typed");
        }
        load.args(["--name", &format!("merge-{round}-{typed}-{updates}"), "--archive"])
            .arg(self.0.dir.join("merges.db"));
        let sizes = [("--rooms", rooms), ("--kilobytes", KILOBYTES), ("--updates", updates)];
        numbers(&mut load, &sizes);
        answer(&mut load)
    }

    /// An origin that serves and one that flushes, both on one archive.
    fn storing(&self, outcome: &mut Outcome) -> Result<()> {
        let stores = Stores { redis: Some(self.0.redis.url()), mongo: None };
        let site = Site::plan_on(stores, None, 0, 2, &self.0.dir.join("data"))?;
        let origin = self.0.programs.join("origin");
        let mut parts = site.start_as(self.0.tools, &origin, &["serve", "flush"], &SETTINGS)?;
        let measured = self.rounds_of_storing(&site, &mut parts, outcome);
        parts.end(self.0.tools.stop())?;
        measured
    }

    fn rounds_of_storing(&self, site: &Site, parts: &mut Parts, outcome: &mut Outcome) -> Result<()> {
        if !parts.rise(self.0.tools, site)? {
            bail!("stopped");
        }
        let [serve, flush] = parts.ids()[..] else { bail!("two origins are to run") };
        for (process, core) in [(self.0.redis.id(), CORES[0]), (serve, CORES[0]), (flush, CORES[1])] {
            let mut pin = Command::new("taskset");
            pin.args(["--all-tasks", "--cpu-list", "--pid", &core.to_string(), &process.to_string()]);
            self.0.tools.run(&mut pin)?;
        }
        for round in 1..=ROUNDS {
            self.0.goes_on(&format!("storing: round {round} of {ROUNDS}"))?;
            let mut load = self.0.load("storing");
            load.args(["--origin", &format!("127.0.0.1:{}", site.origin())]);
            load.args(["--name", &format!("storing-{round}"), "--archive"]);
            load.arg(self.0.dir.join("data/archive.db"));
            let sizes = [("--files", FILES), ("--kilobytes", KILOBYTES), ("--flushes", FLUSHES)];
            numbers(&mut load, &sizes);
            let mut pinned = Command::new("taskset");
            pinned.args(["--cpu-list", &CORES[0].to_string()]).arg(load.get_program()).args(load.get_args());
            outcome.add_storing(&answer(&mut pinned)?)?;
        }
        parts.all_run()
    }
}

//! Redis: what a delivery in a room of 50 with 5 writers costs the origin, beside the embedded room store; how many
//! updates a second group commit logs in 100 busy rooms, beside a call for each; and how much longer an append
//! takes while another room is populated.

mod outcome;

use std::process::Command;

use anyhow::{Result, bail};
use serde_json::Value;

use self::outcome::Outcome;
use super::{
    load::{answer, load, numbers},
    on_redis::OnRedis,
    rounds::Rounds,
    tell,
};
use crate::{
    site::{Parts, Site, Stores},
    tools::Toolbox,
};

const ROUNDS: usize = 5;
/// Keystrokes a second of each writer, as in the steady pace of `fanout`.
const PACE: u32 = 50;
/// Long enough that the flush of what was typed is in it.
const KEYSTROKES: u32 = PACE * 7;
/// Updates of a room that wait at any time: as many as five writers have on their way who type as fast as everybody
/// receives.
const WAITING: u32 = 5 * 32;
/// Updates of each room with group commit.
const BATCHED_UPDATES: u32 = WAITING * 25;
/// Updates of each room with a call for each, which takes longer.
const SINGLE_UPDATES: u32 = WAITING * 5;
const BUSY_ROOMS: u32 = 100;
const FILES: u32 = 500;
const KILOBYTES: u32 = 100;
/// How often that many files are loaded in each round.
const POPULATES: u32 = 4;

/// Builds everything for speed, measures, prints the outcome, and fails if something is not as wanted.
pub(super) fn run(tools: &Toolbox, json_only: bool) -> Result<()> {
    let outcome = OnRedis::run(tools, "redis", |here| Bench(here).measure())?;
    tell(&outcome, &outcome.to_json(), json_only)
}

struct Bench<'a>(&'a OnRedis<'a>);

impl Bench<'_> {
    fn measure(&self) -> Result<Outcome> {
        let mut outcome = Outcome::new();
        self.members(&mut outcome.members)?;
        for round in 1..=ROUNDS {
            self.0.goes_on(&format!("appends and populates: round {round} of {ROUNDS}"))?;
            outcome.add_appends(&self.appends(round, true)?, &self.appends(round, false)?)?;
            outcome.add_populates(&self.populates(round)?)?;
        }
        Ok(outcome)
    }

    /// The same room at two origins, one on its embedded room store and one on Redis; both on SQLite archives.
    fn members(&self, rounds: &mut Rounds) -> Result<()> {
        let redis = Stores { redis: Some(self.0.redis.url()), mongo: None };
        let sites = [
            Site::plan(None, 0, &self.0.dir.join("embedded"))?,
            Site::plan_on(redis, None, 0, 1, &self.0.dir.join("redis"))?,
        ];
        let mut running = Vec::new();
        let measured = sites
            .iter()
            .try_for_each(|site| {
                running.push(site.start(self.0.tools, &self.0.programs.join("origin"))?);
                Ok(())
            })
            .and_then(|()| self.rounds_of_members(&sites, &mut running, rounds));
        for parts in running {
            parts.end(self.0.tools.stop())?;
        }
        measured
    }

    fn rounds_of_members(&self, sites: &[Site; 2], running: &mut [Parts], rounds: &mut Rounds) -> Result<()> {
        for (parts, site) in running.iter_mut().zip(sites) {
            if !parts.rise(self.0.tools, site)? {
                bail!("stopped");
            }
        }
        let ids: Vec<u32> = running.iter().flat_map(Parts::ids).collect();
        let [embedded, redis] = ids[..] else { bail!("nothing runs") };
        for round in 1..=ROUNDS {
            self.0.goes_on(&format!("members: round {round} of {ROUNDS}"))?;
            let type_at = |site: &Site, process: u32| {
                let mut load = load(&self.0.programs, "room");
                load.args(["--url", &format!("ws://127.0.0.1:{}/rooms/bench-{round}", site.origin())]);
                numbers(&mut load, &[("--pid", process), ("--rate", PACE), ("--keystrokes", KEYSTROKES)]);
                answer(&mut load)
            };
            rounds.add(&type_at(&sites[0], embedded)?, &type_at(&sites[1], redis)?)?;
        }
        running.iter_mut().try_for_each(Parts::all_run)
    }

    fn appends(&self, round: usize, single: bool) -> Result<Value> {
        let (name, updates) = if single { ("single", SINGLE_UPDATES) } else { ("batch", BATCHED_UPDATES) };
        let mut load = self.load_of("appends", &format!("{name}-{round}"));
        numbers(&mut load, &[("--pid", self.0.redis.id()), ("--rooms", BUSY_ROOMS)]);
        numbers(&mut load, &[("--waiting", WAITING), ("--updates", updates)]);
        answer(load.args(single.then_some("--single")))
    }

    fn populates(&self, round: usize) -> Result<Value> {
        let mut load = self.load_of("beside", &format!("beside-{round}"));
        numbers(&mut load, &[("--files", FILES), ("--kilobytes", KILOBYTES), ("--populates", POPULATES)]);
        answer(&mut load)
    }

    fn load_of(&self, name: &str, rooms: &str) -> Command {
        let mut load = self.0.load(name);
        load.args(["--name", rooms]);
        load
    }
}

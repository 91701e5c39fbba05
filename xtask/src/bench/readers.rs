//! Readers that stop: how far memory grows while five of a room of 50 do not read for 16 s, beside the same room
//! where they do, at the origin's own sockets and through the Worker. Each run has servers of its own, so that what
//! one leaves behind is not in the next. And at both doors what is opened at once: a large file by 100 members, of whom
//! none is to be closed, and 1,000 files by one, three times in a row, of which none is to be refused.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    load::{answer, load, numbers},
    on_site,
    pairs::median,
    rounds::rounded,
    served::Served,
    tell,
};
use crate::{
    build,
    site::{Parts, Site},
    tools::Toolbox,
};

const ROUNDS: usize = 3;
const CLIENTS: u32 = 50;
const STOPPED: u32 = 5;
const SECONDS: u32 = 16;
/// What is wanted: how much further memory grows than with readers that read, in MiB.
const MOST_MIB: f64 = 16.0;

/// Where the sockets of a run end.
#[derive(Clone, Copy, Debug)]
enum Door {
    Origin,
    Edge,
}

/// The rounds at one door: what the load says without and with readers that stop.
#[derive(Debug)]
struct Rounds(Vec<[Value; 2]>);

/// What the load says of those who open much at once.
#[derive(Debug)]
struct Openers(Value);

/// Builds everything for speed, measures, and prints the outcome.
pub(super) fn run(tools: &Toolbox, json_only: bool) -> Result<()> {
    let programs = build::for_speed(tools)?;
    build::worker(tools, false)?;
    let bench = Bench { tools, programs };
    let (origin, edge) = (bench.rounds(Door::Origin)?, bench.rounds(Door::Edge)?);
    let openers = [bench.openers(Door::Origin)?, bench.openers(Door::Edge)?];
    let outcome = Outcome { origin, edge, openers };
    tell(&outcome, &outcome.to_json(), json_only)
}

struct Bench<'a> {
    tools: &'a Toolbox,
    programs: PathBuf,
}

impl Bench<'_> {
    fn rounds(&self, door: Door) -> Result<Rounds> {
        let mut rounds = Vec::new();
        for round in 1..=ROUNDS {
            eprintln!("round {round} of {ROUNDS}, {door:?}");
            rounds.push([self.one(door, 0)?, self.one(door, STOPPED)?]);
        }
        Ok(Rounds(rounds))
    }

    fn one(&self, door: Door, stopped: u32) -> Result<Value> {
        let load = |server: &Served| type_at(&self.programs, server, stopped);
        on_site(self.tools, &self.programs, None, |site, parts| self.measure(site, parts, door, load))
    }

    fn openers(&self, door: Door) -> Result<Openers> {
        let load = |server: &Served| {
            let mut load = load(&self.programs, "openers");
            load.args(["--url", &format!("ws://{}/rooms/bench-openers", server.host)]);
            numbers(&mut load, &[("--pid", server.process)]);
            answer(&mut load)
        };
        let measure = |site: &Site, parts: &mut Parts| self.measure(site, parts, door, load);
        on_site(self.tools, &self.programs, None, measure).map(Openers)
    }

    fn measure(
        &self,
        site: &Site,
        parts: &mut Parts,
        door: Door,
        load: impl FnOnce(&Served) -> Result<Value>,
    ) -> Result<Value> {
        if !parts.rise(self.tools, site)? {
            bail!("stopped");
        }
        let server = match door {
            Door::Origin => Served {
                host: format!("127.0.0.1:{}", site.origin()),
                process: *parts.ids().first().context("nothing runs")?,
            },
            Door::Edge => Served::worker(self.tools, site, parts)?,
        };
        let measured = load(&server)?;
        parts.all_run()?;
        Ok(measured)
    }
}

fn type_at(programs: &Path, server: &Served, stopped: u32) -> Result<Value> {
    let mut load = load(programs, "readers");
    load.args(["--url", &format!("ws://{}/rooms/bench-readers", server.host)]);
    let counts = [("--clients", CLIENTS), ("--stopped", stopped), ("--seconds", SECONDS)];
    numbers(&mut load, &[("--pid", server.process)]);
    numbers(&mut load, &counts);
    answer(&mut load)
}

impl Rounds {
    /// How much further memory has grown, in MiB; none where the system does not tell.
    fn beyond_mib(&self) -> Option<f64> {
        middle(self.0.iter().map(|[read, stopped]| Some(grown(stopped)? - grown(read)?)))
    }

    fn grown_mib(&self, which: usize) -> Option<f64> {
        middle(self.0.iter().map(|round| grown(&round[which])))
    }

    fn met(&self) -> Option<bool> {
        self.beyond_mib().map(|beyond| beyond <= MOST_MIB)
    }

    fn to_json(&self) -> Value {
        json!({
            "grown_mib": { "reading": self.grown_mib(0), "stopped": self.grown_mib(1) },
            "beyond_mib": self.beyond_mib(),
            "rounds": self.0,
        })
    }
}

impl Openers {
    fn met(&self) -> bool {
        self.0["closed"] == 0 && self.0["refused"] == 0
    }
}

fn grown(measured: &Value) -> Option<f64> {
    measured["grown_mib"].as_f64()
}

/// None if one of them is not told.
fn middle(figures: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    figures.collect::<Option<Vec<f64>>>().map(|figures| rounded(median(figures.into_iter())))
}

struct Outcome {
    origin: Rounds,
    edge: Rounds,
    /// At the origin, and at the edge.
    openers: [Openers; 2],
}

impl Outcome {
    fn to_json(&self) -> Value {
        json!({
            "bench": "readers",
            "clients": CLIENTS,
            "stopped": STOPPED,
            "seconds": SECONDS,
            "origin": self.origin.to_json(),
            "workerd": self.edge.to_json(),
            "openers": { "origin": self.openers[0].0, "workerd": self.openers[1].0 },
            "wanted": {
                "origin_beyond_mib": MOST_MIB,
                "workerd_beyond_mib": MOST_MIB,
                "openers_closed_or_refused": 0,
            },
            "met": {
                "origin_beyond_mib": self.origin.met(),
                "workerd_beyond_mib": self.edge.met(),
                "openers_closed_or_refused": self.openers.iter().all(Openers::met),
            },
        })
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "memory while {STOPPED} of {CLIENTS} do not read for {SECONDS} s, median of {ROUNDS} rounds:"
        )?;
        for (name, rounds) in [("the origin", &self.origin), ("workerd", &self.edge)] {
            match (rounds.grown_mib(0), rounds.grown_mib(1), rounds.beyond_mib()) {
                (Some(read), Some(stopped), Some(beyond)) => writeln!(
                    f,
                    "  {name} grows by {stopped} MiB, by {read} MiB if they read: \
                     {beyond} MiB more (wanted: at most {MOST_MIB})"
                )?,
                _ => writeln!(f, "  {name}: memory is not told on this system")?,
            }
        }
        writeln!(f, "everybody else got everything meanwhile, and all had the same text in the end")?;
        for (name, Openers(measured)) in ["the origin", "workerd"].iter().zip(&self.openers) {
            write!(
                f,
                "\n  {name}: {} members open a file of {} bytes at once in {} ms, {} are closed, memory grows by {} MiB; \
                 {} files on one socket open in {} ms, one time after the other, {} are refused",
                measured["members"],
                measured["bytes"],
                measured["opened_ms"],
                measured["closed"],
                measured["grown_mib"],
                measured["documents"],
                measured["each_ms"],
                measured["refused"]
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_the_growth_beyond_the_same_round_with_readers_that_read() {
        let run = |mib: f64| json!({ "grown_mib": mib });
        let rounds = Rounds(vec![[run(10.0), run(12.0)], [run(50.0), run(51.0)], [run(1.0), run(30.0)]]);
        assert_eq!(rounds.beyond_mib(), Some(2.0));
        assert_eq!(rounds.met(), Some(true));
        assert_eq!(Rounds(vec![[run(1.0), json!({ "grown_mib": null })]]).met(), None);
    }
}

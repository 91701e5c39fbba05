//! What the rounds of `bench redis` say together, and whether it is as wanted.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    super::{
        pairs::{Pairs, median},
        rounds::Rounds,
    },
    BUSY_ROOMS, FILES, KILOBYTES, ROUNDS, WAITING,
};

/// What is wanted: CPU per delivery of the origin, to that on its embedded store.
const MOST_CPU_RATIO: f64 = 1.5;
/// What is wanted: updates a second, to those with a call for each.
const LEAST_APPENDS_RATIO: f64 = 5.0;
/// What is wanted: p99 of an append while another room is populated, to that while none is.
const MOST_P99_RATIO: f64 = 2.0;

/// The figures of all rounds.
pub(super) struct Outcome {
    pub(super) members: Rounds,
    /// Updates a second: with a call for each, in batches.
    appends: Pairs,
    /// Microseconds of CPU for each update, of Redis and of its client.
    server_cpu_us: Pairs,
    client_cpu_us: Pairs,
    /// Milliseconds of an append: while nothing is populated, while something is.
    p50: Pairs,
    p99: Pairs,
    populate_ms: Vec<f64>,
}

impl Outcome {
    pub(super) fn new() -> Self {
        Self {
            members: Rounds::between("at a steady pace", ["embedded", "redis"]),
            appends: Pairs::default(),
            server_cpu_us: Pairs::default(),
            client_cpu_us: Pairs::default(),
            p50: Pairs::default(),
            p99: Pairs::default(),
            populate_ms: Vec::new(),
        }
    }

    pub(super) fn add_appends(&mut self, single: &Value, batched: &Value) -> Result<()> {
        self.appends.add(number(single, "appends_per_second")?, number(batched, "appends_per_second")?);
        for (pairs, name) in
            [(&mut self.server_cpu_us, "server_cpu_ms"), (&mut self.client_cpu_us, "client_cpu_ms")]
        {
            let us = |said: &Value| Some(said[name].as_f64()? * 1000.0 / said["appends"].as_f64()?);
            if let Some((single, batched)) = us(single).zip(us(batched)) {
                pairs.add(single, batched);
            }
        }
        Ok(())
    }

    pub(super) fn add_populates(&mut self, said: &Value) -> Result<()> {
        let [quiet, populating] = [&said["quiet"], &said["populating"]];
        self.p50.add(number(quiet, "p50_ms")?, number(populating, "p50_ms")?);
        self.p99.add(number(quiet, "p99_ms")?, number(populating, "p99_ms")?);
        self.populate_ms.push(number(said, "populate_ms")?);
        Ok(())
    }

    /// What is wanted, and whether it is so; nothing of what the system does not tell.
    fn met(&self) -> [(&'static str, Option<bool>); 3] {
        [
            ("members_cpu_ratio", self.members.cpu_ratio().map(|ratio| ratio <= MOST_CPU_RATIO)),
            ("appends_ratio", Some(self.appends.ratio() >= LEAST_APPENDS_RATIO)),
            ("populate_p99_ratio", Some(self.p99.ratio() <= MOST_P99_RATIO)),
        ]
    }

    pub(super) fn to_json(&self) -> Value {
        let ways = ["single", "batched"];
        let beside = ["quiet", "populating"];
        json!({
            "bench": "redis",
            "rounds": ROUNDS,
            "members": { "clients": 50, "writers": 5, "paced": self.members.to_json() },
            "appends": {
                "rooms": BUSY_ROOMS,
                "waiting_in_each": WAITING,
                "per_second": self.appends.to_json(ways),
                "server_cpu_us": self.server_cpu_us.to_json(ways),
                "client_cpu_us": self.client_cpu_us.to_json(ways),
            },
            "populate": {
                "files": FILES,
                "kilobytes": KILOBYTES,
                "ms": median(self.populate_ms.iter().copied()),
                "append_p50_ms": self.p50.to_json(beside),
                "append_p99_ms": self.p99.to_json(beside),
            },
            "wanted": {
                "members_cpu_ratio": MOST_CPU_RATIO,
                "appends_ratio": LEAST_APPENDS_RATIO,
                "populate_p99_ratio": MOST_P99_RATIO,
            },
            "met": self.met().into_iter().collect::<BTreeMap<_, _>>(),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "a room of 50 with 5 writers, on Redis to embedded ({ROUNDS} rounds):")?;
        writeln!(f, "  {} (wanted: at most {MOST_CPU_RATIO})", self.members)?;
        writeln!(f, "{BUSY_ROOMS} busy rooms of one origin, group commit to a call for each update:")?;
        writeln!(
            f,
            "  {:.2} times as many updates a second ({:.0} to {:.0}; rounds {:?}) (wanted: at least \
             {LEAST_APPENDS_RATIO})",
            self.appends.ratio(),
            self.appends.other(),
            self.appends.yardstick(),
            self.appends.ratios()
        )?;
        for (who, cpu) in [("Redis", &self.server_cpu_us), ("its client", &self.client_cpu_us)] {
            writeln!(f, "  CPU of {who}: {:.2} us to {:.2} us for each", cpu.other(), cpu.yardstick())?;
        }
        writeln!(f, "an append while {FILES} files of {KILOBYTES} kB are loaded, to one while none are:")?;
        write!(
            f,
            "  {:.2} times the p99 ({:.2} ms to {:.2} ms; rounds {:?}), loaded in {:.0} ms (wanted: at most \
             {MOST_P99_RATIO})",
            self.p99.ratio(),
            self.p99.other(),
            self.p99.yardstick(),
            self.p99.ratios(),
            median(self.populate_ms.iter().copied())
        )
    }
}

/// A number that a load said.
fn number(said: &Value, name: &str) -> Result<f64> {
    said[name].as_f64().with_context(|| format!("the load says no {name}"))
}

#[cfg(test)]
mod tests {
    use super::{super::super::missed, *};

    fn outcome(embedded_and_redis: [f64; 2], appends: f64, p99: f64) -> Outcome {
        let mut outcome = Outcome::new();
        let cpu = |ms: f64| json!({ "deliveries": 1000, "seconds": 2.0, "bytes": 7, "cpu_ms": ms });
        outcome.members.add(&cpu(embedded_and_redis[0]), &cpu(embedded_and_redis[1])).unwrap();
        let said = |each: f64| json!({ "appends": 10, "appends_per_second": each, "server_cpu_ms": 1.0 });
        outcome.add_appends(&said(10.0), &said(appends)).unwrap();
        let times = |ms: f64| json!({ "p50_ms": ms, "p99_ms": ms });
        let said = json!({ "quiet": times(1.0), "populating": times(p99), "populate_ms": 300 });
        outcome.add_populates(&said).unwrap();
        outcome
    }

    #[test]
    fn what_is_as_wanted_is_not_missed() {
        assert!(missed(&outcome([2.0, 3.0], 50.0, 2.0).to_json()).is_empty());
    }

    #[test]
    fn each_ratio_beyond_its_bound_is_named() {
        let missed = |outcome: Outcome| missed(&outcome.to_json()).join(" ");
        assert_eq!(missed(outcome([2.0, 3.1], 50.0, 2.0)), "members_cpu_ratio");
        assert_eq!(missed(outcome([2.0, 3.0], 49.0, 2.0)), "appends_ratio");
        assert_eq!(missed(outcome([2.0, 3.0], 50.0, 2.1)), "populate_p99_ratio");
        let said = outcome([2.0, 3.0], 49.0, 2.0);
        assert_eq!(said.to_json()["met"]["appends_ratio"], false);
        assert!(said.to_string().contains("4.90 times as many updates a second"), "{said}");
    }
}

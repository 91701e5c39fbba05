//! Rounds of the same load on a yardstick and on what is measured, one right after the other, so that what else the
//! machine does hits both. A figure is the median over the rounds; a ratio is taken within each round first.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// What one load has measured.
#[derive(Clone, Copy, Debug)]
struct Measured {
    /// Microseconds of the server's CPU for each delivery; none where the system does not tell.
    cpu_us: Option<f64>,
    deliveries_per_s: f64,
    bytes: u64,
}

/// The rounds of one load.
#[derive(Debug)]
pub(super) struct Rounds {
    load: &'static str,
    names: [&'static str; 2],
    rounds: Vec<[Measured; 2]>,
}

impl Rounds {
    pub(super) fn new(load: &'static str) -> Self {
        Self::between(load, ["yardstick", "origin"])
    }

    /// With these names for the yardstick and what is measured.
    pub(super) fn between(load: &'static str, names: [&'static str; 2]) -> Self {
        Self { load, names, rounds: Vec::new() }
    }

    /// Adds a round: what the load printed for the yardstick and for the origin.
    pub(super) fn add(&mut self, yardstick: &Value, origin: &Value) -> Result<()> {
        let round = [Measured::read(yardstick)?, Measured::read(origin)?];
        if round[0].bytes != round[1].bytes {
            let [first, second] = self.names;
            bail!("{} bytes from {first}, {} from {second}", round[0].bytes, round[1].bytes);
        }
        self.rounds.push(round);
        Ok(())
    }

    /// CPU per delivery, origin to yardstick; none where the system does not tell.
    pub(super) fn cpu_ratio(&self) -> Option<f64> {
        self.median(|[yardstick, origin]| Some(origin.cpu_us? / yardstick.cpu_us?))
    }

    /// Deliveries per second, median to median.
    pub(super) fn pace_ratio(&self) -> Option<f64> {
        Some(self.pace(1)? / self.pace(0)?)
    }

    /// Deliveries per second of the yardstick and of what is measured.
    pub(super) fn paces(&self) -> [Option<f64>; 2] {
        [self.pace(0), self.pace(1)]
    }

    /// Everything, for scripts.
    pub(super) fn to_json(&self) -> Value {
        let [first, second] = self.names;
        json!({
            "cpu_us_per_delivery": { first: self.cpu_us(0), second: self.cpu_us(1) },
            "cpu_ratio": self.cpu_ratio().map(rounded),
            "cpu_ratios": self.cpu_ratios(),
            "deliveries_per_second": { first: self.pace(0), second: self.pace(1) },
            "pace_ratio": self.pace_ratio().map(rounded),
        })
    }

    fn cpu_us(&self, which: usize) -> Option<f64> {
        self.median(|round| round[which].cpu_us).map(rounded)
    }

    fn pace(&self, which: usize) -> Option<f64> {
        self.median(|round| Some(round[which].deliveries_per_s)).map(f64::round)
    }

    fn cpu_ratios(&self) -> Vec<Option<f64>> {
        let ratio = |[yardstick, origin]: &[Measured; 2]| Some(rounded(origin.cpu_us? / yardstick.cpu_us?));
        self.rounds.iter().map(ratio).collect()
    }

    fn median(&self, figure: impl Fn(&[Measured; 2]) -> Option<f64>) -> Option<f64> {
        let mut figures = self.rounds.iter().map(figure).collect::<Option<Vec<f64>>>()?;
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied()
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.load)?;
        match (self.cpu_us(0), self.cpu_us(1), self.cpu_ratio()) {
            (Some(yardstick), Some(origin), Some(ratio)) => write!(
                f,
                "{ratio:.2} times the CPU per delivery ({origin:.2} us to {yardstick:.2} us; rounds {:?})",
                self.cpu_ratios().into_iter().flatten().collect::<Vec<_>>()
            ),
            _ => write!(f, "CPU times are not available on this system"),
        }
    }
}

impl Measured {
    fn read(measured: &Value) -> Result<Self> {
        let number = |name: &str| measured[name].as_f64().with_context(|| format!("the load says no {name}"));
        let deliveries = number("deliveries")?;
        Ok(Self {
            cpu_us: measured["cpu_ms"].as_f64().map(|ms| ms * 1000.0 / deliveries),
            deliveries_per_s: deliveries / number("seconds")?,
            bytes: measured["bytes"].as_u64().context("the load says no bytes")?,
        })
    }
}

/// To two places: there is no more in it.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(cpu_ms: Option<f64>) -> Value {
        json!({ "deliveries": 1000, "seconds": 2.0, "bytes": 7, "cpu_ms": cpu_ms })
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let mut rounds = Rounds::new("any");
        for (yardstick, origin) in [(1.0, 2.0), (10.0, 15.0), (4.0, 12.0)] {
            rounds.add(&measured(Some(yardstick)), &measured(Some(origin))).unwrap();
        }
        assert_eq!(rounds.cpu_ratio(), Some(2.0));
        assert_eq!(rounds.to_json()["cpu_us_per_delivery"]["yardstick"], 4.0);
    }

    #[test]
    fn paces_are_compared_by_their_medians() {
        let mut rounds = Rounds::new("any");
        for (yardstick, origin) in [(1.0, 2.0), (4.0, 8.0), (2.0, 2.5)] {
            let took = |seconds: f64| json!({ "deliveries": 1000, "seconds": seconds, "bytes": 7 });
            rounds.add(&took(yardstick), &took(origin)).unwrap();
        }
        assert_eq!(rounds.paces(), [Some(500.0), Some(400.0)]);
        assert_eq!(rounds.pace_ratio(), Some(0.8));
    }

    #[test]
    fn without_cpu_times_there_is_no_ratio() {
        let mut rounds = Rounds::new("any");
        rounds.add(&measured(None), &measured(None)).unwrap();
        assert_eq!(rounds.cpu_ratio(), None);
        assert!(rounds.to_string().contains("not available"));
    }

    #[test]
    fn a_server_that_sends_other_bytes_is_not_compared() {
        let mut other = measured(Some(1.0));
        other["bytes"] = json!(8);
        assert!(Rounds::new("any").add(&measured(Some(1.0)), &other).is_err());
    }
}

//! What the rounds of `bench flush` say together, and whether it is as wanted.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    super::pairs::{Pairs, median},
    FILES, JOBS, JOBS_AT_ONCE, KILOBYTES, LONG_UPDATES, ROUNDS, UPDATES,
};

/// What is wanted: jobs a second, to those of npm's `bullmq`, or as many as the server can do.
const LEAST_JOBS_RATIO: f64 = 2.0;
/// A server that needs so much of a core can do no more: it works on one core, and is never asked without a pause.
const SERVER_LIMIT: f64 = 0.75;
/// What is wanted: CPU of a job, to that of npm's `bullmq`.
const MOST_JOB_CPU_RATIO: f64 = 0.5;
/// What is wanted: p99 of an acknowledgement while files are flushed, to that while none are.
const MOST_P99_RATIO: f64 = 2.0;
/// What is wanted: CPU of a flush, to that of merging and encoding alone.
const MOST_MERGE_CPU_RATIO: f64 = 1.5;

/// The figures of all rounds.
#[derive(Default)]
pub(super) struct Outcome {
    /// Jobs a second: npm's, ours.
    jobs: Pairs,
    /// Microseconds of CPU for each job.
    job_cpu_us: Pairs,
    /// How much of a core the server needed while we did the jobs.
    server_cpu: Vec<f64>,
    /// Milliseconds of an acknowledgement: while nothing is flushed, while something is.
    p50: Pairs,
    p99: Pairs,
    flush_ms: Vec<f64>,
    /// Microseconds of CPU for each file: merged and encoded, flushed. The file was typed.
    typed_cpu_us: Pairs,
    /// The same for one that was pasted in, of which little is to be merged.
    pasted_cpu_us: Pairs,
    /// The same for one that was typed, with a log of [`LONG_UPDATES`].
    long_cpu_us: Pairs,
}

impl Outcome {
    pub(super) fn add_jobs(&mut self, stock: &Value, ours: &Value) -> Result<()> {
        let per_second =
            |said: &Value| Ok::<_, anyhow::Error>(number(said, "jobs")? / number(said, "seconds")?);
        self.jobs.add(per_second(stock)?, per_second(ours)?);
        if let Some(ms) = ours["server_cpu_ms"].as_f64() {
            self.server_cpu.push(ms / 1000.0 / number(ours, "seconds")?);
        }
        let us = |said: &Value| Some(said["cpu_ms"].as_f64()? * 1000.0 / said["jobs"].as_f64()?);
        if let Some((stock, ours)) = us(stock).zip(us(ours)) {
            self.job_cpu_us.add(stock, ours);
        }
        Ok(())
    }

    pub(super) fn add_storing(&mut self, said: &Value) -> Result<()> {
        let [quiet, flushing] = [&said["quiet"], &said["flushing"]];
        self.p50.add(number(quiet, "p50_ms")?, number(flushing, "p50_ms")?);
        self.p99.add(number(quiet, "p99_ms")?, number(flushing, "p99_ms")?);
        self.flush_ms.push(number(said, "flush_ms")?);
        Ok(())
    }

    pub(super) fn add_typed(&mut self, said: &Value) {
        add_merges(&mut self.typed_cpu_us, said);
    }

    pub(super) fn add_pasted(&mut self, said: &Value) {
        add_merges(&mut self.pasted_cpu_us, said);
    }

    pub(super) fn add_long(&mut self, said: &Value) {
        add_merges(&mut self.long_cpu_us, said);
    }

    fn server_cpu(&self) -> f64 {
        median(self.server_cpu.iter().copied())
    }

    /// What is wanted, and whether it is so; nothing of what the system does not tell.
    fn met(&self) -> [(&'static str, Option<bool>); 5] {
        let merges = |ratio: f64| ratio <= MOST_MERGE_CPU_RATIO;
        let told = |pairs: &Pairs| Some(pairs.ratio()).filter(|ratio| !ratio.is_nan());
        [
            (
                "jobs_ratio",
                told(&self.jobs).map(|ratio| ratio >= LEAST_JOBS_RATIO || self.server_cpu() >= SERVER_LIMIT),
            ),
            ("job_cpu_ratio", told(&self.job_cpu_us).map(|ratio| ratio <= MOST_JOB_CPU_RATIO)),
            ("storing_p99_ratio", told(&self.p99).map(|ratio| ratio <= MOST_P99_RATIO)),
            ("merge_cpu_ratio", told(&self.typed_cpu_us).map(merges)),
            ("long_merge_cpu_ratio", told(&self.long_cpu_us).map(merges)),
        ]
    }

    pub(super) fn to_json(&self) -> Value {
        let beside = ["quiet", "flushing"];
        json!({
            "bench": "flush",
            "rounds": ROUNDS,
            "jobs": {
                "jobs": JOBS,
                "at_once": JOBS_AT_ONCE,
                "per_second": self.jobs.to_json(["npm", "ours"]),
                "cpu_us": self.job_cpu_us.to_json(["npm", "ours"]),
                "server_cpu": Some(self.server_cpu()).filter(|cpu| cpu.is_finite()),
            },
            "storing": {
                "files": FILES,
                "kilobytes": KILOBYTES,
                "ms": median(self.flush_ms.iter().copied()),
                "acknowledged_p50_ms": self.p50.to_json(beside),
                "acknowledged_p99_ms": self.p99.to_json(beside),
            },
            "merge": {
                "kilobytes": KILOBYTES,
                "updates": UPDATES,
                "typed_cpu_us": self.typed_cpu_us.to_json(["merge", "flush"]),
                "pasted_cpu_us": self.pasted_cpu_us.to_json(["merge", "flush"]),
                "long_updates": LONG_UPDATES,
                "long_cpu_us": self.long_cpu_us.to_json(["merge", "flush"]),
            },
            "wanted": {
                "jobs_ratio": LEAST_JOBS_RATIO,
                "server_cpu": SERVER_LIMIT,
                "job_cpu_ratio": MOST_JOB_CPU_RATIO,
                "storing_p99_ratio": MOST_P99_RATIO,
                "merge_cpu_ratio": MOST_MERGE_CPU_RATIO,
                "long_merge_cpu_ratio": MOST_MERGE_CPU_RATIO,
            },
            "met": self.met().into_iter().collect::<BTreeMap<_, _>>(),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "jobs with nothing to do, {JOBS_AT_ONCE} at once, to npm's bullmq ({ROUNDS} rounds):")?;
        writeln!(
            f,
            "  {:.2} times as many a second ({:.0} to {:.0}; rounds {:?}) while Redis needs {:.2} of its core (wanted: \
             at least {LEAST_JOBS_RATIO}, or {SERVER_LIMIT} of the core)",
            self.jobs.ratio(),
            self.jobs.other(),
            self.jobs.yardstick(),
            self.jobs.ratios(),
            self.server_cpu()
        )?;
        writeln!(
            f,
            "  {:.2} times the CPU of each ({:.0} us to {:.0} us; rounds {:?}) (wanted: at most \
             {MOST_JOB_CPU_RATIO})",
            self.job_cpu_us.ratio(),
            self.job_cpu_us.other(),
            self.job_cpu_us.yardstick(),
            self.job_cpu_us.ratios()
        )?;
        writeln!(
            f,
            "an acknowledgement while {FILES} files of {KILOBYTES} kB are flushed, to one while none are:"
        )?;
        writeln!(
            f,
            "  {:.2} times the p99 ({:.2} ms to {:.2} ms; rounds {:?}), flushed in {:.0} ms (wanted: at most \
             {MOST_P99_RATIO})",
            self.p99.ratio(),
            self.p99.other(),
            self.p99.yardstick(),
            self.p99.ratios(),
            median(self.flush_ms.iter().copied())
        )?;
        writeln!(
            f,
            "the flush of a file of {KILOBYTES} kB with {UPDATES} updates, to merging and encoding it:"
        )?;
        writeln!(
            f,
            "  {:.2} times the CPU ({:.0} us to {:.0} us; rounds {:?}) if it was typed (wanted: at most \
             {MOST_MERGE_CPU_RATIO})",
            self.typed_cpu_us.ratio(),
            self.typed_cpu_us.other(),
            self.typed_cpu_us.yardstick(),
            self.typed_cpu_us.ratios()
        )?;
        writeln!(
            f,
            "  {:.2} times the CPU ({:.0} us to {:.0} us; rounds {:?}) if it was pasted in",
            self.pasted_cpu_us.ratio(),
            self.pasted_cpu_us.other(),
            self.pasted_cpu_us.yardstick(),
            self.pasted_cpu_us.ratios()
        )?;
        write!(
            f,
            "  {:.2} times the CPU ({:.0} us to {:.0} us; rounds {:?}) if it was typed and {LONG_UPDATES} updates are \
             to be flushed (wanted: at most {MOST_MERGE_CPU_RATIO})",
            self.long_cpu_us.ratio(),
            self.long_cpu_us.other(),
            self.long_cpu_us.yardstick(),
            self.long_cpu_us.ratios()
        )
    }
}

/// Adds nothing where the system does not tell the CPU time.
fn add_merges(pairs: &mut Pairs, said: &Value) {
    if let Some((merge, flush)) = said["merge_us"].as_f64().zip(said["flush_us"].as_f64()) {
        pairs.add(merge, flush);
    }
}

/// A number that a load said.
fn number(said: &Value, name: &str) -> Result<f64> {
    said[name].as_f64().with_context(|| format!("the load says no {name}"))
}

#[cfg(test)]
mod tests {
    use super::{super::super::missed, *};

    fn outcome(jobs: f64, job_cpu: f64, p99: f64, flush_us: f64) -> Outcome {
        let mut outcome = Outcome::default();
        let said = |jobs: f64, cpu: f64| json!({ "jobs": jobs, "seconds": 1.0, "cpu_ms": cpu * jobs });
        outcome.add_jobs(&said(10.0, 1.0), &said(jobs, job_cpu)).unwrap();
        let times = |ms: f64| json!({ "p50_ms": ms, "p99_ms": ms });
        let said = json!({ "quiet": times(1.0), "flushing": times(p99), "flush_ms": 300 });
        outcome.add_storing(&said).unwrap();
        outcome.add_typed(&json!({ "merge_us": 100.0, "flush_us": flush_us }));
        outcome.add_long(&json!({ "merge_us": 100.0, "flush_us": flush_us }));
        outcome
    }

    #[test]
    fn what_is_as_wanted_is_not_missed() {
        assert!(missed(&outcome(20.0, 0.5, 2.0, 150.0).to_json()).is_empty());
    }

    #[test]
    fn each_ratio_beyond_its_bound_is_named() {
        let missed = |outcome: Outcome| missed(&outcome.to_json()).join(" ");
        assert_eq!(missed(outcome(19.0, 0.5, 2.0, 150.0)), "jobs_ratio");
        let mut limited = outcome(19.0, 0.5, 2.0, 150.0);
        limited.server_cpu.push(0.8);
        assert_eq!(missed(limited), "");
        assert_eq!(missed(outcome(20.0, 0.6, 2.0, 150.0)), "job_cpu_ratio");
        assert_eq!(missed(outcome(20.0, 0.5, 2.1, 150.0)), "storing_p99_ratio");
        assert_eq!(missed(outcome(20.0, 0.5, 2.0, 151.0)), "long_merge_cpu_ratio merge_cpu_ratio");
    }

    #[test]
    fn cpu_that_the_system_does_not_tell_is_not_missed() {
        let mut outcome = Outcome::default();
        outcome.add_typed(&json!({ "merge_us": null, "flush_us": null }));
        assert_eq!(outcome.to_json()["met"]["merge_cpu_ratio"], Value::Null);
    }
}

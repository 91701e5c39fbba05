//! `cargo xtask bench`: how fast it is, as ratios to a yardstick that runs beside it. Nothing here fails because a
//! machine is slow, but each does if a figure is not as wanted. The last line of each is JSON.

mod edge;
mod fanout;
mod flush;
mod load;
mod on_redis;
mod pairs;
mod readers;
mod redis;
mod rounds;
mod served;
mod server;
mod upload;

use std::{fmt::Display, fs, path::Path, process::id};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    args::Args,
    platform::target_dir,
    site::{Parts, Site},
    tools::Toolbox,
};

/// Every benchmark.
const ALL: [&str; 5] = ["edge", "fanout", "flush", "readers", "redis"];

/// Runs the benchmarks that the command line names, or all.
pub(crate) fn run(tools: &Toolbox, mut args: Args) -> Result<()> {
    let json_only = args.flag("--json");
    let mut names = Vec::new();
    while let Some(name) = args.word() {
        names.push(name);
    }
    args.finish()?;
    if names.is_empty() {
        names.extend(ALL.map(str::to_owned));
    }
    for name in names {
        match name.as_str() {
            "edge" => edge::run(tools, json_only)?,
            "fanout" => fanout::run(tools, json_only)?,
            "flush" => flush::run(tools, json_only)?,
            "readers" => readers::run(tools, json_only)?,
            "redis" => redis::run(tools, json_only)?,
            other => bail!("no benchmark {other:?}: {}", ALL.join(" ")),
        }
    }
    Ok(())
}

/// Measures at an origin of its own on its embedded stores, with the Worker if it is to have a port; ends it, and
/// removes what it has stored.
fn on_site<T>(
    tools: &Toolbox,
    programs: &Path,
    edge: Option<u16>,
    measure: impl FnOnce(&Site, &mut Parts) -> Result<T>,
) -> Result<T> {
    let data_dir = target_dir().join(format!("bench/data-{}", id()));
    let site = Site::plan(edge, 0, &data_dir)?;
    let mut parts = site.start(tools, &programs.join("origin"))?;
    let measured = measure(&site, &mut parts);
    parts.end(tools.stop())?;
    fs::remove_dir_all(&data_dir).with_context(|| format!("removing {}", data_dir.display()))?;
    measured
}

/// Prints the outcome, for people and for scripts. An error if something is not as wanted.
fn tell(outcome: &impl Display, json: &Value, json_only: bool) -> Result<()> {
    if !json_only {
        println!("{outcome}");
    }
    println!("{json}");
    match missed(json).as_slice() {
        [] => Ok(()),
        missed => bail!("not as wanted: {}", missed.join(", ")),
    }
}

/// What an outcome says that was not met. What the system does not tell is not missed.
fn missed(outcome: &Value) -> Vec<&str> {
    let met = outcome["met"].as_object().into_iter().flatten();
    met.filter(|(_, met)| **met == false).map(|(name, _)| name.as_str()).collect()
}

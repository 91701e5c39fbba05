//! `cargo xtask bench`: how fast it is, as ratios to a yardstick that runs beside it. Nothing here fails because a
//! machine is slow; `redis` fails if a ratio is not as wanted. The last line of each is JSON.

mod edge;
mod fanout;
mod pairs;
mod readers;
mod redis;
mod rounds;
mod served;
mod server;
mod upload;

use anyhow::{Result, bail};

use crate::{args::Args, tools::Toolbox};

/// Every benchmark.
const ALL: [&str; 4] = ["edge", "fanout", "readers", "redis"];

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
            "readers" => readers::run(tools, json_only)?,
            "redis" => redis::run(tools, json_only)?,
            other => bail!("no benchmark {other:?}: {}", ALL.join(" ")),
        }
    }
    Ok(())
}

//! `cargo xtask bench`: how fast it is, as ratios to a yardstick that runs beside it. Nothing here fails because a
//! machine is slow; the last line of each is JSON.

mod edge;
mod fanout;
mod readers;
mod rounds;
mod served;
mod upload;

use anyhow::{Result, bail};

use crate::{args::Args, tools::Toolbox};

/// Every benchmark.
const ALL: [&str; 3] = ["edge", "fanout", "readers"];

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
            other => bail!("no benchmark {other:?}: {}", ALL.join(" ")),
        }
    }
    Ok(())
}

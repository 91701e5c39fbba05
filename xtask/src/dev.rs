//! `cargo xtask dev`: the Worker in workerd and one origin on its embedded stores, until Ctrl-C, SIGTERM, or
//! the end of one of them (with `--json`, one that is killed is let go). Everything that it started is stopped.

use std::{
    io::{self, Write},
    path::PathBuf,
    thread,
    time::Duration,
};

use anyhow::{Result, bail};
use serde_json::json;

use crate::{
    args::Args,
    build,
    site::{Parts, Site, url},
    surroundings::Stop,
    tools::Toolbox,
};

/// The regions that a hub can be placed in.
const REGIONS: [&str; 9] = ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"];
const POLL: Duration = Duration::from_millis(100);

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Options {
    port: u16,
    origin_port: u16,
    regions: Vec<String>,
    edge: bool,
    data_dir: PathBuf,
    json: bool,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read(mut args: Args) -> Result<Self> {
        let regions: String = args.value("--regions")?.unwrap_or_default();
        let regions: Vec<_> = regions.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if let Some(unknown) = regions.iter().find(|name| !REGIONS.contains(&name.as_str())) {
            bail!("no region {unknown:?}; there are {}", REGIONS.join(", "));
        }
        let data_dir: Option<PathBuf> = args.value("--data-dir")?;
        let options = Self {
            port: args.value("--port")?.unwrap_or(8787),
            origin_port: args.value("--origin-port")?.unwrap_or(8080),
            regions,
            edge: !args.flag("--no-edge"),
            data_dir: std::env::current_dir()?.join(data_dir.unwrap_or_else(|| PathBuf::from("data"))),
            json: args.flag("--json"),
        };
        args.finish()?;
        Ok(options)
    }
}

/// Runs until somebody wants the end, or something ends by itself, which is an error.
pub(crate) fn run(tools: &Toolbox, options: &Options) -> Result<()> {
    let origin_binary = build::origin(tools)?;
    if options.edge {
        build::worker(tools, false)?;
    }
    build::page(tools)?;

    let edge = options.edge.then_some(options.port);
    let site = Site::plan(edge, options.origin_port, &options.data_dir)?;
    let mut parts = site.start(tools, &origin_binary)?;
    let outcome = run_parts(&mut parts, tools, &site, options);
    parts.end(tools.stop())?;
    outcome
}

fn run_parts(parts: &mut Parts, tools: &Toolbox, site: &Site, options: &Options) -> Result<()> {
    if !parts.rise(tools, site)? {
        return Ok(());
    }
    announce(parts, site, options)?;
    until_the_end(parts, tools.stop(), options)
}

fn announce(parts: &Parts, site: &Site, options: &Options) -> Result<()> {
    if options.json {
        let ids = parts.ids();
        let edge = site.edge().map(|port| json!({ "url": url(port), "pid": ids.get(1) }));
        let origins = [json!({ "url": url(site.origin()), "pid": ids.first() })];
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", json!({ "edge": edge, "origins": origins }))?;
        stdout.flush()?;
    }
    eprintln!("\nready: {}", url(site.edge().unwrap_or(site.origin())));
    for region in &options.regions {
        eprintln!("  region {region}: add ?region={region}");
    }
    eprintln!("Ctrl-C stops everything; data in {}\n", options.data_dir.display());
    Ok(())
}

fn until_the_end(parts: &mut Parts, stop: &Stop, options: &Options) -> Result<()> {
    while !stop.asked() {
        if options.json {
            parts.let_the_killed_go()?;
        }
        parts.all_run()?;
        thread::sleep(POLL);
    }
    Ok(())
}

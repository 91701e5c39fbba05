//! `cargo xtask dev`: the Worker in workerd and one origin on its embedded stores, or several that share a Redis,
//! until Ctrl-C, SIGTERM, or the end of one of them (with `--json`, one that is killed is let go). Everything that
//! it started is stopped.

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
    platform::Stop,
    site::{Parts, Site, Stores, check_origins, url},
    tools::Toolbox,
};

/// The regions that a hub can be placed in.
const REGIONS: [&str; 11] =
    ["wnam", "enam", "sam", "weur", "eeur", "apac", "apac-ne", "apac-se", "oc", "afr", "me"];
const POLL: Duration = Duration::from_millis(100);

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Options {
    port: u16,
    origin_port: u16,
    origins: u16,
    stores: Stores,
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
            origins: args.value("--origins")?.unwrap_or(1),
            stores: Stores { redis: args.value("--redis")?, mongo: args.value("--mongo")? },
            regions,
            edge: !args.flag("--no-edge"),
            data_dir: std::env::current_dir()?.join(data_dir.unwrap_or_else(|| PathBuf::from("data"))),
            json: args.flag("--json"),
        };
        args.finish()?;
        check_origins(&options.stores, options.origins)?;
        Ok(options)
    }
}

/// Runs until the user wants the end, or something ends by itself, which is an error. What the first page needs is built
/// first: page and origin answer while the Worker is still being built.
pub(crate) fn run(tools: &Toolbox, options: &Options) -> Result<()> {
    let origin_binary = thread::scope(|scope| {
        // npm waits for the network while cargo compiles.
        let page = scope.spawn(|| build::page(tools));
        let origin = build::origin(tools)?;
        page.join().unwrap_or_else(|_| bail!("building the page has panicked"))?;
        Ok::<_, anyhow::Error>(origin)
    })?;

    let edge = options.edge.then_some(options.port);
    let Options { stores, origin_port, origins, data_dir, .. } = options;
    let site = Site::plan_on(stores.clone(), edge, *origin_port, *origins, data_dir)?;
    let mut parts = site.start(tools, &origin_binary)?;
    let outcome = run_parts(&mut parts, tools, &site, options);
    parts.end(tools.stop())?;
    outcome
}

fn run_parts(parts: &mut Parts, tools: &Toolbox, site: &Site, options: &Options) -> Result<()> {
    if let Some(edge) = site.edge() {
        if !build::worker_is_built(tools)? {
            if !parts.until_origins(tools, site)? {
                return Ok(());
            }
            eprintln!("\nthe page is at {}, straight from the origin", url(site.origin()));
            eprintln!("the Worker is being built, minutes the first time; it will be at {}\n", url(edge));
        }
        build::worker(tools, false)?;
    }
    if !parts.rise(tools, site)? {
        return Ok(());
    }
    announce(parts, site, options)?;
    until_the_end(parts, tools.stop(), options)
}

fn announce(parts: &Parts, site: &Site, options: &Options) -> Result<()> {
    if options.json {
        let ids = parts.ids();
        let (origins, rest) = ids.split_at(site.origins().len().min(ids.len()));
        let edge = site.edge().map(|port| json!({ "url": url(port), "pid": rest.first() }));
        let origins = site.origins().iter().zip(origins);
        let origins: Vec<_> = origins.map(|(port, pid)| json!({ "url": url(*port), "pid": pid })).collect();
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", json!({ "edge": edge, "origins": origins }))?;
        stdout.flush()?;
    }
    eprintln!("\nready: {}", url(site.edge().unwrap_or(site.origin())));
    if let [_, _, ..] = site.origins() {
        let all: Vec<String> = site.origins().iter().map(|port| url(*port)).collect();
        eprintln!("  origins: {}", all.join(" "));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options> {
        Options::read(Args::of_line(line))
    }

    #[test]
    fn one_origin_on_its_embedded_stores_is_the_default() {
        let options = read("--json").unwrap();
        assert_eq!((options.port, options.origin_port, options.origins), (8787, 8080, 1));
        assert!(options.stores.redis.is_none() && options.stores.mongo.is_none() && options.edge);
    }

    #[test]
    fn more_than_one_origin_needs_a_redis() {
        let said = read("--origins 2 --mongo mongodb://127.0.0.1").unwrap_err().to_string();
        assert!(said.contains("--origins 2 needs --redis"), "{said}");
        let options = read("--origins 2 --redis redis://127.0.0.1 --regions enam,weur").unwrap();
        assert_eq!((options.origins, options.regions.len()), (2, 2));
        assert_eq!(options.stores.redis.as_deref(), Some("redis://127.0.0.1"));
    }

    #[test]
    fn a_region_that_there_is_not_is_refused_by_name() {
        assert!(read("--regions enam,mars").unwrap_err().to_string().contains("mars"));
    }

    #[test]
    fn every_region_that_the_worker_knows_is_offered() {
        let worker = include_str!("../../edge-worker/src/region.rs");
        let (_, names) = worker.split_once("const NAMES: ").unwrap();
        let (names, _) = names.split_once("];").unwrap();
        assert_eq!(names.split('"').skip(1).step_by(2).collect::<Vec<_>>(), REGIONS);
    }
}

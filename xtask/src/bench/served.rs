//! Servers in workerd that are reached straight, without the proxy of `wrangler dev`: the built Worker, and the bare
//! fan-out object. `edge-worker/bench/serve.mjs` serves either.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::{
    platform::{now, target_dir},
    process::Group,
    site::{Parts, Site, url},
    tools::Toolbox,
};

const START_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A server of workerd that answers.
#[derive(Clone, Debug)]
pub(super) struct Served {
    /// Host and port.
    pub(super) host: String,
    /// The process of workerd, which is not the one that has started it.
    pub(super) process: u32,
}

impl Served {
    /// Starts the built Worker, with the origin of this site, and adds it to the parts.
    pub(super) fn worker(tools: &Toolbox, site: &Site, parts: &mut Parts) -> Result<Self> {
        Self::start("worker", tools, site, parts)
    }

    /// Starts the bare object, and adds it to the parts.
    pub(super) fn bare(tools: &Toolbox, site: &Site, parts: &mut Parts) -> Result<Self> {
        Self::start("bare", tools, site, parts)
    }

    fn start(kind: &str, tools: &Toolbox, site: &Site, parts: &mut Parts) -> Result<Self> {
        let logs = target_dir().join("dev");
        let log = logs.join(format!("{kind}-{}.log", site.origin()));
        eprintln!("starting {kind} in workerd, log in {}", log.display());
        let mut node = tools.command("node")?;
        node.args(["--no-warnings", "edge-worker/bench/serve.mjs", kind]);
        node.env("ORIGIN_URLS", url(site.origin())).env("LINK_KEYS", site.link_keys());
        Toolbox::keep_wrangler_local(&mut node, &logs.join(format!("wrangler-{kind}")));
        parts.add(Group::start(&mut node, kind, Some(&log))?);
        let start = now();
        loop {
            if let Some(served) = Self::said(&log) {
                return Ok(served);
            }
            parts.all_run()?;
            if tools.stop().asked() {
                bail!("stopped");
            }
            if start.elapsed() > START_LIMIT {
                bail!("{kind} does not say where it is");
            }
            thread::sleep(POLL);
        }
    }

    /// What a line of the log says; none has to be whole yet.
    fn said(log: &Path) -> Option<Self> {
        fs::read_to_string(log).ok()?.lines().find_map(Self::read)
    }

    fn read(line: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(line).ok()?;
        let host = said["url"].as_str()?.strip_prefix("http://")?.to_owned();
        Some(Self { host, process: said["pid"].as_u64()?.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_that_names_both_says_where_it_is() {
        let served = Served::read(r#"{"url":"http://127.0.0.1:8080","pid":7}"#).unwrap();
        assert_eq!((served.host.as_str(), served.process), ("127.0.0.1:8080", 7));
        for line in ["", "a warning", "{}", r#"{"url":"http://127.0.0.1:1"}"#, r#"{"url":"http://127.0"#] {
            assert!(Served::read(line).is_none(), "{line}");
        }
    }
}

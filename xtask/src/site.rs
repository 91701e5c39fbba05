//! The Worker in workerd and its origins, side by side on this machine: where everything is, how it starts, and
//! that all of it ends. One origin runs on its embedded stores; several share what `Stores` names.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::{
    platform::{Stop, now, target_dir},
    process::Group,
    tools::Toolbox,
};

/// Settings of the caller's shell that would make an origin other than the one that is promised.
const FOREIGN_SETTINGS: [&str; 7] =
    ["REDIS_URL", "MONGODB_URL", "DATABASE_URL", "PORT", "FRONTEND_URL", "JWT_KEYS", "ALLOW_OPEN"];
/// Few enough for one machine.
const MOST_ORIGINS: u16 = 32;
const START_LIMIT: Duration = Duration::from_secs(120);
/// Longer than the origin's `SHUTDOWN_GRACE_MS`.
const END_LIMIT: Duration = Duration::from_secs(25);
const POLL: Duration = Duration::from_millis(100);

/// The addresses of stores that run already; where there is none, what is embedded is used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores {
    /// For `REDIS_URL`: needed by more than one origin.
    pub(crate) redis: Option<String>,
    /// For `MONGODB_URL`.
    pub(crate) mongo: Option<String>,
}

/// Where everything is: ports, stores, logs, the key of the link.
#[derive(Debug)]
pub(crate) struct Site {
    edge: Option<u16>,
    origins: Vec<u16>,
    stores: Stores,
    data_dir: PathBuf,
    logs: PathBuf,
    link_keys: String,
}

impl Site {
    /// Takes these ports (0 picks one), the Worker's only if there is to be one, for an origin on its embedded
    /// stores.
    pub(crate) fn plan(edge: Option<u16>, origin: u16, data_dir: &Path) -> Result<Self> {
        Self::plan_on(Stores::default(), edge, origin, 1, data_dir)
    }

    /// The same for so many origins on these stores: their ports follow `first` (0 picks each).
    pub(crate) fn plan_on(
        stores: Stores,
        edge: Option<u16>,
        first: u16,
        origins: u16,
        data_dir: &Path,
    ) -> Result<Self> {
        check_origins(&stores, origins)?;
        let logs = target_dir().join("dev");
        fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
        let origins = free_ports(first, origins, "--origin-port")?;
        let edge = edge.map(|port| free_port(port, "--port")).transpose()?;
        Ok(Self { edge, origins, stores, data_dir: data_dir.to_owned(), logs, link_keys: new_link_key()? })
    }

    /// The Worker's port, if there is one.
    pub(crate) fn edge(&self) -> Option<u16> {
        self.edge
    }

    /// The port of the first origin.
    pub(crate) fn origin(&self) -> u16 {
        self.origins.first().copied().unwrap_or_default()
    }

    /// The ports of all origins.
    pub(crate) fn origins(&self) -> &[u16] {
        &self.origins
    }

    /// The key of the link, for a Worker that is started elsewhere.
    pub(crate) fn link_keys(&self) -> &str {
        &self.link_keys
    }

    /// Starts the origins, the first of the parts.
    pub(crate) fn start(&self, tools: &Toolbox, origin: &Path) -> Result<Parts> {
        self.start_as(tools, origin, &[], &[])
    }

    /// The same, each with its own of these roles, where there is one, and all with these settings.
    pub(crate) fn start_as(
        &self,
        tools: &Toolbox,
        origin: &Path,
        roles: &[&str],
        settings: &[(&str, &str)],
    ) -> Result<Parts> {
        let roles = roles.iter().copied().map(Some).chain(std::iter::repeat(None));
        let start = |(port, role): (&u16, Option<&str>)| {
            let mut command = Command::new(origin);
            command.args(role).envs(settings.iter().copied());
            self.start_origin(tools, command, *port)
        };
        Ok(Parts(self.origins.iter().zip(roles).map(start).collect::<Result<_>>()?))
    }

    fn start_origin(&self, tools: &Toolbox, mut origin: Command, port: u16) -> Result<Group> {
        let (name, log) = (self.name(port), self.log("origin", port));
        eprintln!("starting {name}, log in {}", log.display());
        for setting in FOREIGN_SETTINGS {
            origin.env_remove(setting);
        }
        origin
            .current_dir(tools.top())
            .env("LISTEN", format!("127.0.0.1:{port}"))
            .env("ORIGIN_ID", format!("dev-{port}"))
            .env("DATA_DIR", &self.data_dir)
            .env("AUTH", "open")
            .env("LINK_KEYS", &self.link_keys)
            .env("ALLOWED_ORIGINS", self.browser_origins());
        // Not on the command line, where everybody could read a password.
        for (name, address) in [("REDIS_URL", &self.stores.redis), ("MONGODB_URL", &self.stores.mongo)] {
            origin.envs(address.as_ref().map(|address| (name, address)));
        }
        if let Some(port) = self.edge {
            origin.env("EDGE_URLS", url(port));
        }
        Group::start(&mut origin, &name, Some(&log))
    }

    fn start_edge(&self, tools: &Toolbox, port: u16) -> Result<Group> {
        let log = self.log("edge", port);
        eprintln!("starting the Worker, log in {}", log.display());
        // Instead of the user's own .dev.vars, and not on a command line that everybody can read.
        let vars = self.logs.join(format!("edge-{port}.env"));
        let lines = [
            format!("ORIGIN_URLS={}", self.origin_urls()),
            format!("ALLOWED_ORIGINS={}", self.browser_origins()),
            format!("LINK_KEYS={}", self.link_keys),
            "AUTH=open".to_owned(),
            "REGION_PARAM=1\n".to_owned(),
        ];
        fs::write(&vars, lines.join("\n")).with_context(|| format!("writing {}", vars.display()))?;

        let mut wrangler = tools.command("node")?;
        // Not the `wrangler` program, which would be one more process between this one and workerd.
        wrangler.args(["--no-warnings", "node_modules/wrangler/wrangler-dist/cli.js", "dev"]);
        wrangler.args(["--local", "--ip", "127.0.0.1", "--port", &port.to_string(), "--inspector-port", "0"]);
        wrangler.args(["--show-interactive-dev-session=false", "--env-file"]).arg(&vars);
        wrangler.arg("--persist-to").arg(self.data_dir.join("edge"));
        Toolbox::keep_wrangler_local(&mut wrangler, &self.logs.join(format!("wrangler-{port}")));
        Group::start(&mut wrangler, "the Worker", Some(&log))
    }

    fn log(&self, name: &str, port: u16) -> PathBuf {
        self.logs.join(format!("{name}-{port}.log"))
    }

    fn origin_urls(&self) -> String {
        self.origins.iter().map(|port| url(*port)).collect::<Vec<_>>().join(",")
    }

    /// What to call the origin on this port.
    fn name(&self, port: u16) -> String {
        if self.origins.len() == 1 { "the origin".to_owned() } else { format!("the origin on {port}") }
    }

    fn browser_origins(&self) -> String {
        let ports = self.edge.into_iter().chain(self.origins.iter().copied());
        ports
            .map(|port| format!("http://127.0.0.1:{port},http://localhost:{port}"))
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// What runs; the origins first.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Group>);

impl Parts {
    /// Starts the Worker, if there is to be one, and waits until all answer; false if the user wants the end before that.
    pub(crate) fn rise(&mut self, tools: &Toolbox, site: &Site) -> Result<bool> {
        if let Some(port) = site.edge {
            self.0.push(site.start_edge(tools, port)?);
        }
        if !self.until_origins(tools, site)? {
            return Ok(false);
        }
        let Some(port) = site.edge else { return Ok(true) };
        eprintln!("waiting for the Worker");
        self.until_healthy("the Worker", port, tools.stop())
    }

    /// Waits until the origins answer; false if the user wants the end before that.
    pub(crate) fn until_origins(&mut self, tools: &Toolbox, site: &Site) -> Result<bool> {
        for port in &site.origins {
            let name = site.name(*port);
            eprintln!("waiting for {name}");
            if !self.until_healthy(&name, *port, tools.stop())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds another process to what must run and is ended with the rest.
    pub(crate) fn add(&mut self, part: Group) {
        self.0.push(part);
    }

    /// Waits until the part of that name answers; false if somebody wants the end before that.
    pub(crate) fn until_healthy(&mut self, name: &str, port: u16, stop: &Stop) -> Result<bool> {
        let start = now();
        while !is_healthy(port) {
            self.all_run()?;
            if stop.asked() {
                return Ok(false);
            }
            if start.elapsed() > START_LIMIT {
                let lines = self.0.iter().find(|part| part.name() == name).map(|part| part.last_lines(20));
                bail!("{name} does not answer at {}/healthz:\n{}", url(port), lines.unwrap_or_default());
            }
            thread::sleep(POLL);
        }
        Ok(true)
    }

    /// The process ids: of the origins, of the Worker, of what was added.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.0.iter().map(Group::id).collect()
    }

    /// Lets go of what was killed: whoever reads the process ids may kill a part to see what the others do.
    pub(crate) fn let_the_killed_go(&mut self) -> Result<()> {
        for index in (0..self.0.len()).rev() {
            let ended = self.0[index].ended()?;
            if ended.is_some_and(|status| status.signal() == Some(Signal::SIGKILL as i32)) {
                eprintln!("{} was killed; the rest runs on", self.0[index].name());
                self.0.remove(index);
            }
        }
        Ok(())
    }

    /// An error with its last lines if one of them has ended.
    pub(crate) fn all_run(&mut self) -> Result<()> {
        for part in &mut self.0 {
            if let Some(status) = part.ended()? {
                bail!("{} ended with {status}; its last lines:\n{}", part.name(), part.last_lines(20));
            }
        }
        Ok(())
    }

    /// Ends all of them, with time for the origin to store what is dirty.
    pub(crate) fn end(self, stop: &Stop) -> Result<()> {
        eprintln!("stopping");
        self.0.iter().for_each(Group::ask_to_end);
        self.0.into_iter().rev().try_for_each(|part| part.wait_for_end(END_LIMIT, stop))
    }
}

/// Where a port of this machine is reached.
pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The port that is wanted, or one that is free if that is 0.
pub(crate) fn free_port(wanted: u16, flag: &str) -> Result<u16> {
    Ok(listen(wanted, flag)?.local_addr()?.port())
}

/// So many ports from `first` on, or any that are free if that is 0.
fn free_ports(first: u16, count: u16, flag: &str) -> Result<Vec<u16>> {
    // All are held until the last one is found, so that none is given out twice.
    let listen_nth = |nth: u16| match first.checked_add(nth) {
        Some(wanted) => listen(if first == 0 { 0 } else { wanted }, flag),
        None => bail!("there are no {count} ports from {first} on; choose another with {flag}"),
    };
    let listeners = (0..count).map(listen_nth).collect::<Result<Vec<_>>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

fn listen(wanted: u16, flag: &str) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))
        .with_context(|| format!("port {wanted} is taken; choose another with {flag} (0 picks one)"))
}

/// Whether so many origins can run on these stores.
pub(crate) fn check_origins(stores: &Stores, origins: u16) -> Result<()> {
    if origins == 0 || origins > MOST_ORIGINS {
        bail!("--origins is at least 1 and at most {MOST_ORIGINS}");
    }
    if origins > 1 && stores.redis.is_none() {
        bail!("--origins {origins} needs --redis URL: without it each origin would have rooms of its own");
    }
    Ok(())
}

fn new_link_key() -> Result<String> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("making a key")?;
    Ok(format!("dev:{}", bytes.map(|byte| format!("{byte:02x}")).concat()))
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(String::from_utf8_lossy(&status).into_owned())
    };
    ask().is_ok_and(|status| status.ends_with(" 200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_that_share_no_redis_are_refused() {
        let redis = Stores { redis: Some("redis://127.0.0.1".to_owned()), mongo: None };
        let refused = |stores: &Stores, origins| check_origins(stores, origins).unwrap_err().to_string();
        assert!(refused(&Stores::default(), 2).contains("--redis"));
        assert!(refused(&redis, 0).contains("at least 1"));
        assert!(check_origins(&redis, 2).is_ok() && check_origins(&Stores::default(), 1).is_ok());
    }

    #[test]
    fn ports_follow_the_first_one_or_are_picked_each() {
        let picked = free_ports(0, 3, "--x").unwrap();
        let distinct: std::collections::BTreeSet<_> = picked.iter().collect();
        assert_eq!(distinct.len(), 3);
        assert!(free_ports(u16::MAX, 2, "--x").is_err());

        // Others may take one of them in between.
        let mut found = (0..50).filter_map(|_| {
            let first = free_port(0, "--x").ok()?;
            Some((first, free_ports(first, 2, "--x").ok()?))
        });
        let (first, both) = found.next().expect("two ports beside each other");
        assert_eq!(both, [first, first + 1]);
    }
}

//! `cargo xtask dev`: the Worker in workerd and one origin on its embedded stores, until Ctrl-C, SIGTERM, or
//! the end of one of them (with `--json`, one that is killed is let go). Everything that it started is stopped.

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
use serde_json::json;

use crate::{
    args::Args,
    build,
    process::Group,
    surroundings::{Stop, now, target_dir},
    tools::Toolbox,
};

/// The regions that a hub can be placed in.
const REGIONS: [&str; 9] = ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"];
/// Settings of the caller's shell that would make an origin other than the one this command promises.
const FOREIGN_SETTINGS: [&str; 7] =
    ["REDIS_URL", "MONGODB_URL", "DATABASE_URL", "PORT", "FRONTEND_URL", "JWT_KEYS", "ALLOW_OPEN"];
const START_LIMIT: Duration = Duration::from_secs(120);
/// Longer than the origin's `SHUTDOWN_GRACE_MS`, in which it stores what is dirty.
const END_LIMIT: Duration = Duration::from_secs(25);
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

    let site = Site::plan(options)?;
    let mut parts = Parts(vec![site.start_origin(tools, &origin_binary)?]);
    let outcome = parts.run(tools, &site, options);
    parts.end(tools.stop())?;
    outcome
}

/// Where everything is: ports, logs, the key of the link.
#[derive(Debug)]
struct Site {
    edge: Option<u16>,
    origin: u16,
    data_dir: PathBuf,
    logs: PathBuf,
    link_keys: String,
}

impl Site {
    fn plan(options: &Options) -> Result<Self> {
        let logs = target_dir().join("dev");
        fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
        let origin = free_port(options.origin_port, "--origin-port")?;
        let edge = options.edge.then(|| free_port(options.port, "--port")).transpose()?;
        Ok(Self { edge, origin, data_dir: options.data_dir.clone(), logs, link_keys: new_link_key()? })
    }

    fn start_origin(&self, tools: &Toolbox, binary: &Path) -> Result<Group> {
        let log = self.log("origin", self.origin);
        eprintln!("starting the origin, log in {}", log.display());
        let mut origin = Command::new(binary);
        for setting in FOREIGN_SETTINGS {
            origin.env_remove(setting);
        }
        origin
            .current_dir(tools.top())
            .env("LISTEN", format!("127.0.0.1:{}", self.origin))
            .env("DATA_DIR", &self.data_dir)
            .env("AUTH", "open")
            .env("LINK_KEYS", &self.link_keys)
            .env("ALLOWED_ORIGINS", self.browser_origins());
        if let Some(port) = self.edge {
            origin.env("EDGE_URLS", url(port));
        }
        Group::start(&mut origin, "the origin", Some(&log))
    }

    fn start_edge(&self, tools: &Toolbox, port: u16) -> Result<Group> {
        let log = self.log("edge", port);
        eprintln!("starting the Worker, log in {}", log.display());
        // Instead of the user's own .dev.vars, and not on a command line that everybody can read.
        let vars = self.logs.join(format!("edge-{port}.env"));
        let lines = [
            format!("ORIGIN_URLS={}", url(self.origin)),
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

    fn browser_origins(&self) -> String {
        let ports = self.edge.into_iter().chain([self.origin]);
        ports
            .map(|port| format!("http://127.0.0.1:{port},http://localhost:{port}"))
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// What runs; the origin first.
#[derive(Debug)]
struct Parts(Vec<Group>);

impl Parts {
    fn run(&mut self, tools: &Toolbox, site: &Site, options: &Options) -> Result<()> {
        if let Some(port) = site.edge {
            self.0.push(site.start_edge(tools, port)?);
        }
        for (name, port) in [("the origin", Some(site.origin)), ("the Worker", site.edge)] {
            let Some(port) = port else { continue };
            eprintln!("waiting for {name}");
            if !self.until_healthy(name, port, tools.stop())? {
                return Ok(());
            }
        }
        self.announce(site, options)?;
        self.until_the_end(tools.stop(), options)
    }

    /// False if somebody wants the end before it answers.
    fn until_healthy(&mut self, name: &str, port: u16, stop: &Stop) -> Result<bool> {
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

    fn announce(&self, site: &Site, options: &Options) -> Result<()> {
        let id = |index: usize| self.0.get(index).map(Group::id);
        if options.json {
            let edge = site.edge.map(|port| json!({ "url": url(port), "pid": id(1) }));
            let origins = [json!({ "url": url(site.origin), "pid": id(0) })];
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{}", json!({ "edge": edge, "origins": origins }))?;
            stdout.flush()?;
        }
        eprintln!("\nready: {}", url(site.edge.unwrap_or(site.origin)));
        for region in &options.regions {
            eprintln!("  region {region}: add ?region={region}");
        }
        eprintln!("Ctrl-C stops everything; data in {}\n", site.data_dir.display());
        Ok(())
    }

    fn until_the_end(&mut self, stop: &Stop, options: &Options) -> Result<()> {
        while !stop.asked() {
            if options.json {
                self.let_the_killed_go()?;
            }
            self.all_run()?;
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Whoever reads the process ids may kill a part to see what the others do: these run on.
    fn let_the_killed_go(&mut self) -> Result<()> {
        for index in (0..self.0.len()).rev() {
            let ended = self.0[index].ended()?;
            if ended.is_some_and(|status| status.signal() == Some(Signal::SIGKILL as i32)) {
                eprintln!("{} was killed; the rest runs on", self.0[index].name());
                self.0.remove(index);
            }
        }
        Ok(())
    }

    fn all_run(&mut self) -> Result<()> {
        for part in &mut self.0 {
            if let Some(status) = part.ended()? {
                bail!("{} ended with {status}; its last lines:\n{}", part.name(), part.last_lines(20));
            }
        }
        Ok(())
    }

    fn end(self, stop: &Stop) -> Result<()> {
        eprintln!("stopping");
        self.0.iter().for_each(Group::ask_to_end);
        self.0.into_iter().rev().try_for_each(|part| part.wait_for_end(END_LIMIT, stop))
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn free_port(wanted: u16, flag: &str) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))
        .with_context(|| format!("port {wanted} is taken; choose another with {flag} (0 picks one)"))?;
    Ok(listener.local_addr()?.port())
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

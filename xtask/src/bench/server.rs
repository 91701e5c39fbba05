//! A Redis for a benchmark, as `docs/OPERATIONS.md` wants it: with an append-only file, and nothing thrown away.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{platform::now, process::Group, site::free_port, tools::Toolbox};

const START_LIMIT: Duration = Duration::from_secs(30);
const END_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// A server of this run alone.
pub(super) struct Redis {
    group: Group,
    port: u16,
}

impl Redis {
    /// Starts one that keeps its file in `dir`, and waits until it answers.
    pub(super) fn start(tools: &Toolbox, dir: &Path, log: &Path) -> Result<Self> {
        tools.redis_server()?;
        let port = free_port(0, "the port of Redis")?;
        let mut server = Command::new("redis-server");
        server.current_dir(dir).args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        server.args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]);
        server.args(["--maxmemory-policy", "noeviction"]);
        eprintln!("starting Redis at {port}");
        let mut redis = Self { group: Group::start(&mut server, "Redis", Some(log))?, port };
        let start = now();
        while !redis.answers() {
            if redis.group.ended()?.is_some() || start.elapsed() > START_LIMIT || tools.stop().asked() {
                bail!("Redis does not answer:\n{}", redis.group.last_lines(20));
            }
            thread::sleep(POLL);
        }
        Ok(redis)
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The server's process.
    pub(super) fn id(&self) -> u32 {
        self.group.id()
    }

    pub(super) fn end(self, tools: &Toolbox) -> Result<()> {
        self.group.ask_to_end();
        self.group.wait_for_end(END_LIMIT, tools.stop())
    }

    fn answers(&self) -> bool {
        let ask = || -> io::Result<[u8; 5]> {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer == *b"+PONG")
    }
}

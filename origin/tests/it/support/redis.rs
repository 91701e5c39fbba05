//! Redis for the tests: one server and one cluster of three for the whole run, and servers of their own for those
//! that break theirs.
//!
//! An origin gets a server of its own too: its sweeper would look after the rooms of every other test.
//!
//! The shared server is that of `REDIS_URL`, else a `redis-server` from the `PATH`; the others are always started
//! here. What was started ends with this process, however that ends.

mod cluster;

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use origin::{
    connections::Connections,
    redis::{
        Fault,
        permissions::{QUEUE_PERMISSIONS, ROOM_PERMISSIONS},
    },
    store::redis::{RedisSettings, RedisStore},
};
use redis::{AsyncConnectionConfig, FromRedisValue, Value, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::time::sleep;

pub(crate) use self::cluster::Cluster;
use self::cluster::cluster_options;
use super::PATIENCE;

const FIX: &str = "the tests need Redis 7: install redis-server (`apt-get install redis-server`; `cargo xtask test` \
                   does where it may), or set REDIS_URL for the tests that can share a server";

/// Runs "$@", says its process id, and ends it when its own stdin ends, which is when the tests end.
const KEEPER: &str = r#"
"$@" < /dev/null > /dev/null 2>&1 &
echo $!
cat > /dev/null
kill -KILL $! 2> /dev/null
wait $! 2> /dev/null
[ -z "$REMOVE" ] || rm -rf "$REMOVE"
"#;

/// A server of a test's own.
pub(crate) struct Redis {
    port: u16,
    options: Vec<String>,
    keeper: Keeper,
    dir: TempDir,
}

/// A store, and the connections that it was made with.
pub(crate) struct Opened {
    pub(crate) store: Arc<RedisStore>,
    pub(crate) connections: Connections,
}

/// The process that keeps a server.
struct Keeper {
    process: Child,
    server: String,
}

impl Redis {
    /// Starts one with an append-only file, `noeviction`, and these options.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("edgeroom-redis-").tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let port = free_port();
        let keeper = keep(port, dir.path(), &options, None);
        let redis = Self { port, options, keeper, dir };
        redis.until_it_answers().await;
        redis
    }

    /// Starts one that can become part of a cluster.
    pub(crate) async fn start_in_cluster(options: &[&str]) -> Self {
        let bus = free_port().to_string();
        Self::start(&[options, &cluster_options(&bus)].concat()).await
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Asks the server something, as its administrator.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        ask(&self.url(), words).await
    }

    /// A connection for who asks again and again.
    pub(crate) async fn administrator(&self) -> MultiplexedConnection {
        administrator(&self.url()).await.unwrap()
    }

    /// Stops the process where it is; its sockets stay open.
    pub(crate) fn freeze(&self) {
        signal("-STOP", &self.keeper.server);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        signal("-CONT", &self.keeper.server);
    }

    /// Kills it (SIGKILL) and starts it again on what it left.
    pub(crate) async fn crash(&mut self) {
        self.kill();
        self.revive().await;
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.keeper.end();
    }

    /// Starts it again on what it left.
    pub(crate) async fn revive(&mut self) {
        self.keeper = keep(self.port, self.dir.path(), &self.options, None);
        self.until_it_answers().await;
    }

    async fn until_it_answers(&self) {
        until_it_answers(self.port).await;
    }
}

impl Keeper {
    fn end(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

/// A store on the shared server, logged in as a user that may do only what is needed.
pub(crate) async fn shared_store() -> Opened {
    open(&shared_url().await)
}

/// A store on the shared cluster.
pub(crate) async fn cluster_store() -> Opened {
    open(&cluster_url().await)
}

/// The address of the shared cluster, with the user.
pub(crate) async fn cluster_url() -> String {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start).url().await
}

/// A store with short intervals.
pub(crate) fn open(url: &str) -> Opened {
    open_with(url, PATIENCE, None)
}

/// A deadline for what is to fail by it. A server that is there answers sooner, also on a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// A store that gives up calls after `deadline`, probes every 200 ms and loses what the fault says.
pub(crate) fn open_with(url: &str, deadline: Duration, fault: Option<Fault>) -> Opened {
    let probe = Duration::from_millis(200);
    open_as(RedisSettings { url: url.into(), deadline, replica: false, probe, fault })
}

/// A store that acknowledges only what a replica has.
pub(crate) fn open_replicated(url: &str, deadline: Duration) -> Opened {
    let probe = Duration::from_millis(200);
    open_as(RedisSettings { url: url.into(), deadline, replica: true, probe, fault: None })
}

fn open_as(settings: RedisSettings) -> Opened {
    let connections = Connections::new();
    let store = RedisStore::connect(settings, &connections).unwrap();
    Opened { store, connections }
}

/// The address of the shared server, with the user.
pub(crate) async fn shared_url() -> String {
    let url = shared_server();
    until_answer(&url).await;
    with_user(&url).await
}

/// The shared server's address for its administrator.
pub(crate) fn shared_server() -> String {
    static SHARED: OnceLock<(String, Option<Keeper>)> = OnceLock::new();
    let shared = SHARED.get_or_init(|| match variable("REDIS_URL") {
        Some(url) => (url, None),
        None => {
            let port = free_port();
            let dir = kept_dir();
            (format!("redis://127.0.0.1:{port}"), Some(keep(port, &dir, &[], Some(&dir))))
        }
    });
    shared.0.clone()
}

/// The name of the user.
const USER: &str = "edgeroom";

/// Asks a server something.
pub(crate) async fn ask<T: FromRedisValue>(url: &str, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut administrator(url).await.unwrap()).await.unwrap()
}

/// Makes the user and gives the address to log in as it.
pub(crate) async fn with_user(url: &str) -> String {
    let mut words = vec!["ACL", "SETUSER", USER, "reset", "on", ">secret"];
    words.extend(ROOM_PERMISSIONS);
    words.extend(QUEUE_PERMISSIONS);
    let _: Value = ask(url, &words).await;
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{USER}:secret@{host}")
}

/// Waits until something is so.
pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    let so = async {
        while !is_so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, so).await.expect("it did not come about in time");
}

async fn until_it_answers(port: u16) {
    until_answer(&format!("redis://127.0.0.1:{port}")).await;
}

async fn until_answer(url: &str) {
    let answers = async || match administrator(url).await {
        // While it reads its files it answers, but nothing else.
        Ok(mut redis) => redis::cmd("DBSIZE").query_async::<u64>(&mut redis).await.is_ok(),
        Err(_) => false,
    };
    let answered = async { until(answers).await };
    tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| panic!("no answer of {url}: {FIX}"));
}

async fn administrator(url: &str) -> Result<MultiplexedConnection, redis::RedisError> {
    // The client's own bounds are short for a machine on which everything runs at once.
    let patient = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await
}

fn keep(port: u16, dir: &Path, options: &[String], remove: Option<&Path>) -> Keeper {
    let port = port.to_string();
    let mut keeper = Command::new("sh");
    keeper.args([
        "-c",
        KEEPER,
        "keeper",
        "redis-server",
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
    ]);
    keeper.args([
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--maxmemory-policy",
        "noeviction",
        "--dir",
    ]);
    keeper.arg(dir).args(options).env("REMOVE", remove.unwrap_or(Path::new("")));
    let mut process =
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut server = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut server).unwrap();
    assert!(has_redis(), "{FIX}");
    Keeper { process, server: server.trim().to_owned() }
}

fn has_redis() -> bool {
    let mut version = Command::new("redis-server");
    version
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|one| one.success())
}

fn kept_dir() -> std::path::PathBuf {
    tempfile::Builder::new().prefix("edgeroom-redis-").tempdir().unwrap().keep()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn signal(name: &str, process: &str) {
    assert!(Command::new("kill").args([name, process]).status().unwrap().success());
}

#[expect(clippy::disallowed_methods, reason = "tells the tests which server to use, not an origin")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

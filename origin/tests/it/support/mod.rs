//! What the tests over real sockets share: an origin of their own, plain HTTP, and a client of a room.

pub(crate) mod archive;
pub(crate) mod documents;
mod http;
mod client;
mod edge;
pub(crate) mod mongo;
mod process;
pub(crate) mod redis;
pub(crate) mod proxy;

use std::{net::SocketAddr, time::Duration};

use origin::{
    app::{App, Origin},
    config::{Cli, Role},
    redis::Fault,
    server,
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

pub(crate) use self::{
    client::Client,
    edge::{Edge, LINK_KEYS},
    http::Answer,
    process::Process,
};

/// A hang fails by this. It is far above what anything takes on a slow machine that is busy besides.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// An origin on a port and in a folder of its own.
pub(crate) struct TestOrigin {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<anyhow::Result<bool>>,
    folder: TempDir,
}

impl TestOrigin {
    /// Starts one with `AUTH=open`, short intervals, and these flags.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), flags).await
    }

    /// Starts one that does not hear what the fault says.
    pub(crate) async fn start_losing(fault: Fault, flags: &[&str]) -> Self {
        Self::open(Role::Both, tempfile::tempdir().unwrap(), flags, Some(fault)).await
    }

    /// Starts one on what another has left.
    pub(crate) async fn start_in(folder: TempDir, flags: &[&str]) -> Self {
        Self::open(Role::Both, folder, flags, None).await
    }

    /// Starts one that does only this.
    pub(crate) async fn start_as(role: Role, flags: &[&str]) -> Self {
        Self::open(role, tempfile::tempdir().unwrap(), flags, None).await
    }

    async fn open(role: Role, folder: TempDir, flags: &[&str], fault: Option<Fault>) -> Self {
        let data_dir = folder.path().join("data");
        let own = [
            "origin",
            "--auth=open",
            "--page-dir=none",
            "--flush-delay-ms=50",
            // Nothing that works fails by these, however slow the machine.
            "--redis-deadline-ms=30000",
            "--shutdown-grace-ms=120000",
            // What the environment names is for the tests that ask for it.
            "--redis-url=",
            "--mongodb-url=",
            "--database-url=",
            "--data-dir",
            data_dir.to_str().unwrap(),
        ];
        let settings = Cli::read(own.iter().chain(flags)).unwrap().settings;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = Origin::open_losing(role, settings, fault).await.unwrap();
        let app = origin.app.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving =
            TaskTracker::new().spawn(server::serve(origin, listener, async move { drop(stopped.await) }));
        Self { address, app, stop, serving, folder }
    }

    /// Drains it; everything must end within the grace. What it stored is left behind.
    pub(crate) async fn stop(self) -> TempDir {
        drop(self.stop);
        drop(self.app);
        assert!(self.serving.await.unwrap().unwrap(), "not drained within the grace");
        self.folder
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        http::send(self.address, method, path, headers, body).await
    }

    /// Waits until a metric has a value.
    pub(crate) async fn until_counted(&self, line: &str) {
        let counted = async {
            while !self.get("/metrics").await.text.lines().any(|known| known == line) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("not counted: {line}"));
    }

    /// The value of a metric.
    pub(crate) async fn counted(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics").await.text;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    }

    /// Waits until the archive has this text of a file.
    pub(crate) async fn until_stored(&self, path: &str, text: &str) {
        let stored = async {
            while self.get(&format!("{path}?from=archive")).await.text != text {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, stored).await.unwrap_or_else(|_| panic!("not stored: {path}"));
    }

    /// A client of a room, in the Hocuspocus envelope.
    pub(crate) async fn client(&self, room: &str) -> Client {
        Client::connect(&format!("ws://{}/rooms/{room}?name=Ada", self.address)).await
    }
}

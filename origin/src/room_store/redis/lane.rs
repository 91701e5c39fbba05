//! One connection for calls, supervised: made again for ever when it is lost, black-holed or answers too late.
//!
//! Every call has a deadline. One that is not answered by then has an unknown outcome, and its connection is
//! given up: no client of Redis notices by itself that a connection leads nowhere.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    address::{self, Address},
    script::{Call, refusal},
};
use crate::{
    connections::{Connection, Connections, Health},
    room_store::StoreError,
};

/// Calls that are handed to a connection before it takes no more.
const PIPELINED: usize = 512;

/// A way to Redis for calls of one purpose. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lane {
    live: watch::Receiver<Option<Live>>,
    broken: Arc<watch::Sender<u64>>,
    health: Health,
    deadline: Duration,
}

/// A connection that is up, and the server it leads to.
#[derive(Clone)]
struct Live {
    wire: Wire,
    run_id: Arc<str>,
    generation: u64,
}

/// What a connection to one server says of itself.
type Said = mpsc::UnboundedReceiver<PushInfo>;

impl Lane {
    /// Starts to connect to `address`, and watches the connection every `probe`.
    pub(super) fn start(
        address: Address,
        deadline: Duration,
        probe: Duration,
        connection: Connection,
        connections: &Connections,
    ) -> Self {
        let (live, shown) = watch::channel(None);
        let (broken, heard) = watch::channel(0);
        let health = connection.health().clone();
        let supervisor = Supervisor { address, deadline, probe, connection, live, broken: heard };
        let closing = connections.closing().clone();
        connections.tracker().spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = supervisor.run() => {}
            }
        });
        Self { live: shown, broken: Arc::new(broken), health, deadline }
    }

    /// Runs a script.
    pub(super) async fn run(&self, call: &Call) -> Result<Value, StoreError> {
        self.in_time(call.name(), async |live| call.run(&mut live.wire, &live.run_id).await).await
    }

    /// Runs a script whose outcome counts only once a replica has it too.
    pub(super) async fn run_replicated(&self, call: &Call, patience: Duration) -> Result<Value, StoreError> {
        self.in_time(call.name(), async |live| {
            call.run_replicated(&mut live.wire, &live.run_id, patience).await
        })
        .await
    }

    /// Runs a command.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.in_time("a command", async |live| command.query_async(&mut live.wire).await).await
    }

    async fn in_time<T>(
        &self,
        doing: &'static str,
        call: impl AsyncFnOnce(&mut Live) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let mut generation = 0;
        let answered = timeout(self.deadline, async {
            let mut live = self.live().await?;
            generation = live.generation;
            let answer = call(&mut live).await;
            match &answer {
                Err(error) if is_not_allowed(error) => self.health.refused(doing, &error.to_string()),
                // Whatever else came of it, it was allowed.
                Ok(_) => self.health.done(doing),
                Err(error) if error.code().is_some() => self.health.done(doing),
                Err(_) => {}
            }
            answer.map_err(|error| {
                if error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error() {
                    self.broken.send_replace(live.generation);
                }
                refusal(&error)
            })
        });
        answered.await.unwrap_or_else(|_| {
            if generation > 0 {
                self.broken.send_replace(generation);
            }
            Err(StoreError::Failed(format!("no answer within {} ms", self.deadline.as_millis())))
        })
    }

    async fn live(&self) -> Result<Live, StoreError> {
        let mut shown = self.live.clone();
        let closed = || StoreError::Failed("the connections are closed".to_owned());
        let live = shown.wait_for(Option::is_some).await.map_err(|_| closed())?;
        live.clone().ok_or_else(closed)
    }
}

struct Supervisor {
    address: Address,
    deadline: Duration,
    probe: Duration,
    connection: Connection,
    live: watch::Sender<Option<Live>>,
    broken: watch::Receiver<u64>,
}

impl Supervisor {
    async fn run(mut self) {
        let (mut generation, mut failures) = (0, 0);
        // Until nobody can call any more.
        while self.broken.has_changed().is_ok() {
            generation += 1;
            match timeout(self.deadline, self.connect(generation)).await {
                Ok(Ok((live, said))) => {
                    failures = 0;
                    self.connection.is_up(true);
                    self.live.send_replace(Some(live.clone()));
                    self.watch(live, said).await;
                    self.live.send_replace(None);
                    self.connection.is_up(false);
                }
                Ok(Err(error)) => {
                    failures += 1;
                    self.connection.health().failed("connecting", &error.to_string());
                }
                Err(_) => {
                    failures += 1;
                    self.connection.health().failed("connecting", "no answer in time");
                }
            }
            tokio::time::sleep(backoff(failures)).await;
        }
    }

    async fn connect(&self, generation: u64) -> Result<(Live, Said), StoreError> {
        let failed = |error: RedisError| StoreError::Failed(error.to_string());
        let (say, said) = mpsc::unbounded_channel();
        match &self.address {
            Address::Single(info) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(self.deadline))
                    .set_response_timeout(Some(self.deadline))
                    .set_pipeline_buffer_size(PIPELINED)
                    .set_push_sender(say);
                let client = address::client((**info).clone())?;
                let mut wire =
                    client.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)?;
                let server: String =
                    redis::cmd("INFO").arg("server").query_async(&mut wire).await.map_err(failed)?;
                let run_id = server.lines().find_map(|line| line.strip_prefix("run_id:"));
                let run_id = Arc::from(run_id.unwrap_or_default().trim());
                Ok((Live { wire: Wire::Single(wire), run_id, generation }, said))
            }
            Address::Cluster(nodes, certificates) => {
                let client = address::cluster(nodes, certificates.as_ref(), self.deadline, say)?;
                let wire = client.get_async_connection().await.map_err(failed)?;
                Ok((Live { wire: Wire::Cluster(wire), run_id: Arc::from(""), generation }, said))
            }
        }
    }

    /// Ends when the connection is to be given up.
    async fn watch(&mut self, mut live: Live, mut said: Said) {
        let is_single = matches!(live.wire, Wire::Single(_));
        let mut probes = tokio::time::interval(self.probe);
        probes.tick().await;
        loop {
            tokio::select! {
                broken = self.broken.changed() => {
                    if broken.is_err() {
                        return;
                    }
                    if *self.broken.borrow_and_update() >= live.generation {
                        return self.connection.health().failed("serving calls", "one was not answered");
                    }
                }
                // A cluster's client makes the connection to a node again by itself.
                Some(push) = said.recv() => {
                    if is_single && push.kind == PushKind::Disconnection {
                        return self.connection.health().failed("serving calls", "it was closed");
                    }
                }
                _ = probes.tick() => {
                    let ping = redis::cmd("PING");
                    let pong = ping.query_async::<Value>(&mut live.wire);
                    match timeout(self.deadline, pong).await {
                        Ok(Ok(_)) => self.connection.health().works(),
                        Ok(Err(error)) => {
                            return self.connection.health().failed("trying it out", &error.to_string());
                        }
                        Err(_) => {
                            return self.connection.health().failed("trying it out", "no answer in time");
                        }
                    }
                }
            }
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Those who can still call must not keep the connection.
        self.live.send_replace(None);
    }
}

/// Whether the server does not know its user, or does not let it do this.
fn is_not_allowed(error: &RedisError) -> bool {
    // What a script may not do has the code ERR in Redis 7.0.
    let in_script = |detail: &str| detail.trim_start().starts_with("The user executing the script can't");
    matches!(error.code(), Some("NOPERM" | "NOAUTH" | "WRONGPASS")) || error.detail().is_some_and(in_script)
}

/// How long to wait after so many failures in a row: at most 2 s, not all at the same time.
pub(crate) fn backoff(failures: u32) -> Duration {
    let most = Duration::from_millis(25 << failures.min(7)).min(Duration::from_secs(2));
    most.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

/// A connection to one server or to a cluster.
#[derive(Clone)]
enum Wire {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(wire) => wire.req_packed_command(command),
            Self::Cluster(wire) => wire.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(wire) => wire.req_packed_commands(commands, offset, count),
            Self::Cluster(wire) => wire.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(wire) => wire.get_db(),
            Self::Cluster(wire) => wire.get_db(),
        }
    }
}

//! A connection for calls of one purpose, to one server or to a cluster.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::{
    address::{self, Address},
    calls::{Breaks, CallError, Calls, Dial},
};
use crate::connections::{Connection, Connections, Health};

/// Calls that are handed to a connection before it takes no more.
const PIPELINED: usize = 512;

/// Where Redis is, and how patient its clients are.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// Where it is.
    pub(crate) address: Address,
    /// How long connecting, or a call, may take.
    pub(crate) deadline: Duration,
    /// How often an idle connection is tried out.
    pub(crate) probe: Duration,
}

/// A supervised connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RedisConnection {
    calls: Calls<Server>,
    health: Health,
}

/// A connection that is up.
#[derive(Clone)]
pub(crate) struct Server {
    /// The connection.
    pub(crate) wire: Wire,
    /// The run id of the server that it leads to; empty for a cluster.
    pub(crate) run_id: Arc<str>,
}

/// A connection to one server or to a cluster.
#[derive(Clone)]
pub(crate) enum Wire {
    /// One server.
    Single(MultiplexedConnection),
    /// A cluster.
    Cluster(ClusterConnection),
}

impl RedisConnection {
    /// Starts to connect; goes on until the connections are closed.
    pub(crate) fn start(endpoint: &Endpoint, connection: Connection, connections: &Connections) -> Self {
        let health = connection.health().clone();
        let (calls, keeping) = Calls::over(endpoint.clone(), endpoint.deadline, endpoint.probe, connection);
        let closing = connections.closing().clone();
        connections.tracker().spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = keeping => {}
            }
        });
        Self { calls, health }
    }

    /// Makes a call; `doing` says which, in a word.
    pub(crate) async fn call<T>(
        &self,
        doing: &'static str,
        call: impl AsyncFnOnce(&mut Server) -> Result<T, RedisError>,
    ) -> Result<T, CallError<RedisError>> {
        let answer = self.calls.call(call).await;
        match &answer {
            Err(CallError::Answered(error)) if is_not_allowed(error) => {
                self.health.refused(doing, &error.to_string());
            }
            // Whatever else came of it, it was allowed.
            Ok(_) => self.health.done(doing),
            Err(CallError::Answered(error)) if error.code().is_some() => self.health.done(doing),
            Err(_) => {}
        }
        answer
    }

    /// Runs a command.
    pub(crate) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, CallError<RedisError>> {
        self.call("a command", async |server| command.query_async(&mut server.wire).await).await
    }
}

impl Dial for Endpoint {
    type Client = Server;

    async fn connect(&self) -> Result<(Server, BoxFuture<'static, ()>), String> {
        let (push, pushed) = mpsc::unbounded_channel();
        match &self.address {
            Address::Single(info) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(self.deadline))
                    .set_response_timeout(Some(self.deadline))
                    .set_pipeline_buffer_size(PIPELINED)
                    .set_push_sender(push);
                let client = address::client((**info).clone()).map_err(text)?;
                let mut wire =
                    client.get_multiplexed_async_connection_with_config(&config).await.map_err(text)?;
                let server: String =
                    redis::cmd("INFO").arg("server").query_async(&mut wire).await.map_err(text)?;
                let run_id = server.lines().find_map(|line| line.strip_prefix("run_id:"));
                let run_id = Arc::from(run_id.unwrap_or_default().trim());
                Ok((Server { wire: Wire::Single(wire), run_id }, until_closed(pushed).boxed()))
            }
            Address::Cluster(nodes, certificates) => {
                let client =
                    address::cluster(nodes, certificates.as_ref(), self.deadline, push).map_err(text)?;
                let wire = client.get_async_connection().await.map_err(text)?;
                Ok((Server { wire: Wire::Cluster(wire), run_id: Arc::from("") }, drained(pushed).boxed()))
            }
        }
    }

    async fn probe(&self, server: &Server) -> Result<(), String> {
        redis::cmd("PING").query_async::<Value>(&mut server.wire.clone()).await.map(drop).map_err(text)
    }
}

fn text(error: RedisError) -> String {
    error.to_string()
}

/// Ends when the client says that its connection is gone.
async fn until_closed(mut pushed: UnboundedReceiver<PushInfo>) {
    while let Some(push) = pushed.recv().await {
        if push.kind == PushKind::Disconnection {
            return;
        }
    }
    std::future::pending().await
}

/// A cluster's client makes the connection to a node again by itself.
async fn drained(mut pushed: UnboundedReceiver<PushInfo>) {
    while pushed.recv().await.is_some() {}
    std::future::pending().await
}

impl Breaks for RedisError {
    fn breaks(&self) -> bool {
        self.is_unrecoverable_error() || self.is_timeout() || self.is_io_error()
    }
}

/// Whether the server does not know its user, or does not let it do this.
fn is_not_allowed(error: &RedisError) -> bool {
    // What a script may not do has the code ERR in Redis 7.0.
    let in_script = |detail: &str| detail.trim_start().starts_with("The user executing the script can't");
    matches!(error.code(), Some("NOPERM" | "NOAUTH" | "WRONGPASS")) || error.detail().is_some_and(in_script)
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

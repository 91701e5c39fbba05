//! The connection of a feed: what is asked of the server over it.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, ConnectionInfo, PushInfo, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::redis::{address, supervisor::in_time};

/// A connection that receives what is published. Cheap to clone.
#[derive(Clone)]
pub(super) struct Wire {
    connection: MultiplexedConnection,
    /// Whether it leads to a node of a cluster, which has channels of its own.
    pub(super) sharded: bool,
}

/// What is asked of the server.
pub(super) enum Ask {
    /// To begin these subscriptions.
    Subscribe(Vec<String>),
    /// To end them.
    Unsubscribe(Vec<String>),
}

impl Wire {
    /// Connects within the deadline; every later answer has as long.
    pub(super) async fn connect(
        info: ConnectionInfo,
        sharded: bool,
        deadline: Duration,
    ) -> Result<(Self, UnboundedReceiver<PushInfo>), String> {
        let (push, pushed) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_push_sender(push)
            .set_connection_timeout(Some(deadline))
            .set_response_timeout(Some(deadline));
        let client = address::client(info).map_err(|error| error.to_string())?;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Ok((Self { connection: in_time(deadline, connection).await?, sharded }, pushed))
    }

    pub(super) async fn ask(&mut self, ask: &Ask) -> RedisResult<()> {
        match (ask, self.sharded) {
            (Ask::Subscribe(channels), false) => self.connection.subscribe(channels).await,
            (Ask::Unsubscribe(channels), false) => self.connection.unsubscribe(channels).await,
            (Ask::Subscribe(channels), true) => self.each("SSUBSCRIBE", channels).await,
            (Ask::Unsubscribe(channels), true) => self.each("SUNSUBSCRIBE", channels).await,
        }
    }

    /// Publishes nothing on a channel that is subscribed to. A node of a cluster is only asked whether it answers.
    pub(super) async fn probe(mut self, channel: String) -> Result<(), RedisError> {
        let command = match self.sharded {
            true => redis::cmd("PING"),
            false => redis::cmd("PUBLISH").arg(channel).arg("").take(),
        };
        command.query_async::<Value>(&mut self.connection).await.map(drop)
    }

    /// Channels of different slots cannot share a command.
    async fn each(&mut self, verb: &str, channels: &[String]) -> RedisResult<()> {
        let mut commands = redis::pipe();
        for channel in channels {
            commands.cmd(verb).arg(channel);
        }
        commands.query_async::<Vec<Value>>(&mut self.connection).await.map(drop)
    }
}

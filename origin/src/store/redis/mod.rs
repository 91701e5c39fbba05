//! The room store that several origins share: Redis, or a Redis Cluster.
//!
//! Promise: what must be atomic is one script (`lua/`), its reply is the acknowledgement, and a call without an
//! answer within the deadline fails with an unknown outcome. What others log is heard over pub/sub, and a
//! subscriber that may have missed something is ended (`listener.rs`). How lasting an answer is, is up to the server's
//! configuration: append-only file, `noeviction`.

mod keys;
mod script;
mod record;
mod reply;
mod listing;
mod outcome;
mod listener;
mod log;
mod leases;
mod catalog;
mod subscriptions;

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use self::{keys::Keys, script::Call};
use super::RoomStore;
use crate::{
    connections::{Connections, Purpose},
    redis::{Address, Endpoint, Fault, PubSub, RedisConnection},
};

/// How often a room's files may change while a call names them.
const TRIES: usize = 20;

/// How to reach Redis.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://`, `rediss://`, or `redis+cluster://host,host`, with user and password.
    pub url: secrecy::SecretString,
    /// How long a call may take until its outcome counts as unknown.
    pub deadline: Duration,
    /// Whether an append is acknowledged only once a replica has it too.
    pub replica: bool,
    /// How often an idle connection is tried out. A room that is quiet for twice as long is looked after.
    pub probe: Duration,
    /// Drops published messages before they are heard: for tests.
    pub fault: Option<Fault>,
}

/// Rooms in Redis.
pub struct RedisStore {
    commands: RedisConnection,
    bulk: RedisConnection,
    /// Where appends go that wait for a replica, and for how long: whatever else is behind them waits too.
    replicated: Option<(RedisConnection, Duration)>,
    pubsub: PubSub,
    /// How long a subscription may take to begin.
    deadline: Duration,
    /// How long a room may be quiet before it is asked for.
    silence: Duration,
    tracker: TaskTracker,
    publish: &'static str,
}

impl RedisStore {
    /// Starts to connect and answers at once: while Redis is away, calls fail by their deadline.
    /// An address that is none is refused. Needs a running tokio runtime.
    pub fn connect(settings: RedisSettings, connections: &Connections) -> anyhow::Result<Arc<Self>> {
        let RedisSettings { url, deadline, replica, probe, fault } = settings;
        let address = Address::parse(secrecy::ExposeSecret::expose_secret(&url))?;
        let publish = if matches!(address, Address::Cluster(..)) { "SPUBLISH" } else { "PUBLISH" };
        let endpoint = Endpoint { address, deadline, probe };
        let connect = |name: &str, purpose| -> anyhow::Result<_> {
            Ok(RedisConnection::start(&endpoint, connections.enter(name, purpose)?, connections))
        };
        let commands = connect("redis-commands", Purpose::Commands)?;
        let bulk = connect("redis-bulk", Purpose::Bulk)?;
        let replicated = match replica {
            true => Some((connect("redis-appends", Purpose::Commands)?, deadline / 2)),
            false => None,
        };
        let pubsub = PubSub::start(&endpoint, fault, &commands, connections)?;
        let (silence, tracker) = (probe * 2, connections.tracker().clone());
        Ok(Arc::new(Self { commands, bulk, replicated, publish, pubsub, deadline, silence, tracker }))
    }

    /// A call that ends with the publish command and the room's channel.
    fn publishing(&self, call: Call, keys: &Keys) -> Call {
        call.text(self.publish).text(keys.channel())
    }
}

impl RoomStore for RedisStore {
    fn is_shared(&self) -> bool {
        true
    }
}

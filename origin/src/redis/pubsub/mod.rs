//! What is published: over one supervised connection per process, per node in a cluster.
//!
//! Promise: a subscriber gets every message of its channel from the moment its subscription has begun, in order, or it
//! is dropped: when its queue is full, when the connection was lost, when a probe did not come back.

mod channels;
mod wire;
mod nodes;
mod feed;
mod cluster;

pub use self::feed::Fault;
use self::{channels::Subscriber, cluster::Cluster, feed::Feed};
use super::{
    address::Address,
    connection::{Endpoint, RedisConnection},
    slots::slot,
};
use crate::connections::{Connections, Purpose};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// The way to subscribe.
pub(crate) enum PubSub {
    /// To one server.
    Single(Feed),
    /// To the nodes of a cluster.
    Cluster(Box<Cluster>),
}

impl PubSub {
    /// Starts to connect. In a cluster `commands` is asked which node has which slots.
    pub(crate) fn start(
        endpoint: &Endpoint,
        fault: Option<Fault>,
        commands: &RedisConnection,
        connections: &Connections,
    ) -> anyhow::Result<Self> {
        let Address::Single(info) = &endpoint.address else {
            let cluster = Cluster::new(endpoint.clone(), fault, commands.clone(), connections.clone());
            return Ok(Self::Cluster(Box::new(cluster)));
        };
        let settings = feed::Settings {
            info: (**info).clone(),
            deadline: endpoint.deadline,
            probe: endpoint.probe,
            fault,
            node: None,
        };
        let connection = connections.enter("redis-subscriber", Purpose::Subscriber)?;
        Ok(Self::Single(Feed::start(settings, connection, connections)))
    }

    /// Passes what is published on a channel to `to`; answers once the subscription has begun, however long that takes.
    pub(crate) async fn subscribe(&self, channel: String, to: mpsc::Sender<Bytes>) -> anyhow::Result<()> {
        let feed = match self {
            Self::Single(feed) => feed.clone(),
            Self::Cluster(cluster) => cluster.feed(slot(&channel)).await?,
        };
        let (begun, begins) = oneshot::channel();
        feed.subscribe(Subscriber { channel, to, begun }).await;
        Ok(begins.await?)
    }
}

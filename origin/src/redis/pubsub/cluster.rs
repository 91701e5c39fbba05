//! A feed to each node of a cluster that is needed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    feed::{self, Fault, Feed},
    nodes::{Node, Nodes},
};
use crate::{
    connections::{Connections, Purpose},
    redis::connection::{Endpoint, RedisConnection},
};

/// The nodes of a cluster that publish to this process.
pub(crate) struct Cluster {
    endpoint: Endpoint,
    fault: Option<Fault>,
    connections: Connections,
    nodes: Arc<Nodes>,
    feeds: Mutex<HashMap<Node, Feed>>,
}

impl Cluster {
    pub(super) fn new(
        endpoint: Endpoint,
        fault: Option<Fault>,
        commands: RedisConnection,
        connections: Connections,
    ) -> Self {
        let nodes = Arc::new(Nodes::new(commands));
        Self { endpoint, fault, connections, nodes, feeds: Mutex::default() }
    }

    /// The feed of the node that has this slot.
    pub(super) async fn feed(&self, slot: u16) -> anyhow::Result<Feed> {
        let node = self.nodes.owner(slot).await?;
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds.get(&node).filter(|feed| !feed.has_ended()) {
            return Ok(feed.clone());
        }
        let feed = self.start(&node)?;
        feeds.insert(node, feed.clone());
        Ok(feed)
    }

    fn start(&self, node: &Node) -> anyhow::Result<Feed> {
        let Endpoint { address, deadline, probe } = &self.endpoint;
        let settings = feed::Settings {
            info: address.node(&node.0, node.1)?,
            deadline: *deadline,
            probe: *probe,
            fault: self.fault.clone(),
            node: Some((self.nodes.clone(), node.clone())),
        };
        let name = format!("redis-subscriber-{}:{}", node.0, node.1);
        let connection = self.connections.enter(name, Purpose::Subscriber)?;
        Ok(Feed::start(settings, connection, &self.connections))
    }
}

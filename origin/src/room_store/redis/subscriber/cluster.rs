//! Which node of a cluster has which slots, as last asked, and a feed to each node that is needed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::FutureExt;
use redis::{FromRedisValue, Value};

use super::{
    super::{lane::Lane, record::damaged},
    Settings,
    feed::{self, Feed, Wanted},
};
use crate::{
    connections::{Connections, Purpose},
    room_store::StoreError,
};

/// Host and port.
type Node = (String, u16);

/// The nodes of a cluster that publish to this process.
pub(super) struct Cluster {
    settings: Settings,
    connections: Connections,
    map: Arc<Map>,
    feeds: Mutex<HashMap<Node, Feed>>,
}

/// Slots, first and last, and the node that has them.
struct Map {
    commands: Lane,
    slots: Mutex<Vec<(u16, u16, Node)>>,
}

impl Cluster {
    pub(super) fn new(settings: Settings, commands: Lane, connections: Connections) -> Self {
        let map = Arc::new(Map { commands, slots: Mutex::default() });
        Self { settings, connections, map, feeds: Mutex::default() }
    }

    /// The feed of the node that has this slot.
    pub(super) async fn feed(&self, slot: u16) -> Result<Feed, StoreError> {
        let node = match self.map.owner(slot) {
            Some(node) => node,
            None => {
                self.map.refresh().await?;
                let nobody = || StoreError::Failed(format!("no node of the cluster has slot {slot}"));
                self.map.owner(slot).ok_or_else(nobody)?
            }
        };
        let mut feeds = lock(&self.feeds);
        if let Some(feed) = feeds.get(&node).filter(|feed| !feed.has_ended()) {
            return Ok(feed.clone());
        }
        let feed = self.start(&node)?;
        feeds.insert(node, feed.clone());
        Ok(feed)
    }

    fn start(&self, node: &Node) -> Result<Feed, StoreError> {
        let Settings { address, deadline, probe, fault, .. } = &self.settings;
        let (map, own) = (self.map.clone(), node.clone());
        let parts = feed::Parts {
            info: address.node(&node.0, node.1)?,
            sharded: true,
            deadline: *deadline,
            probe: *probe,
            fault: fault.clone(),
            serves: Arc::new(move || {
                let (map, own) = (map.clone(), own.clone());
                async move { Wanted::Slots(map.slots_of(&own).await) }.boxed()
            }),
        };
        let name = format!("redis-subscriber-{}:{}", node.0, node.1);
        let failed = |error: crate::connections::NameTaken| StoreError::Failed(error.to_string());
        let connection = self.connections.enter(name, Purpose::Subscriber).map_err(failed)?;
        Ok(Feed::start(parts, connection, &self.connections))
    }
}

impl Map {
    fn owner(&self, slot: u16) -> Option<Node> {
        let slots = lock(&self.slots);
        let owner = slots.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        owner.map(|(_, _, node)| node.clone())
    }

    /// The slots of a node, asked anew; those known last if nobody answers.
    async fn slots_of(&self, node: &Node) -> Vec<(u16, u16)> {
        if let Err(error) = self.refresh().await {
            tracing::debug!(%error, "the cluster does not say who has which slots");
        }
        let slots = lock(&self.slots);
        slots.iter().filter(|(_, _, own)| own == node).map(|(first, last, _)| (*first, *last)).collect()
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let ranges: Vec<Value> = self.commands.command(redis::cmd("CLUSTER").arg("SLOTS")).await?;
        let slots = ranges.into_iter().map(range).collect::<Result<_, _>>()?;
        *lock(&self.slots) = slots;
        Ok(())
    }
}

/// First slot, last slot, the primary's host and port and more, its replicas.
fn range(value: Value) -> Result<(u16, u16, Node), StoreError> {
    let Value::Array(parts) = value else { return Err(damaged("a range of slots")) };
    let mut parts = parts.into_iter();
    let (Some(first), Some(last), Some(Value::Array(primary))) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(damaged("a range of slots"));
    };
    let mut primary = primary.into_iter();
    let (Some(host), Some(port)) = (primary.next(), primary.next()) else {
        return Err(damaged("a node of the cluster"));
    };
    let number = |value| u16::from_redis_value(value).map_err(damaged);
    let host = String::from_redis_value(host).map_err(damaged)?;
    Ok((number(first)?, number(last)?, (host, number(port)?)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Which node of a cluster has which slots, as last asked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use redis::{FromRedisValue, Value};

use crate::redis::connection::RedisConnection;

/// Host and port.
pub(super) type Node = (String, u16);

/// The slots of a node, first and last.
pub(super) type Range = (u16, u16);

/// The slots of all nodes.
pub(super) struct Nodes {
    commands: RedisConnection,
    slots: Mutex<Vec<(Range, Node)>>,
}

impl Nodes {
    pub(super) fn new(commands: RedisConnection) -> Self {
        Self { commands, slots: Mutex::default() }
    }

    /// The node that has a slot; the cluster is asked if none is known.
    pub(super) async fn owner(&self, slot: u16) -> anyhow::Result<Node> {
        let known = |nodes: &Self| {
            let slots = nodes.slots();
            let owner = slots.iter().find(|((first, last), _)| (*first..=*last).contains(&slot));
            owner.map(|(_, node)| node.clone())
        };
        if let Some(node) = known(self) {
            return Ok(node);
        }
        self.refresh().await?;
        known(self).with_context(|| format!("no node of the cluster has slot {slot}"))
    }

    /// The slots of a node, asked again; those known last if nobody answers.
    pub(super) async fn slots_of(&self, node: &Node) -> Vec<Range> {
        if let Err(error) = self.refresh().await {
            tracing::debug!(%error, "the cluster does not say who has which slots");
        }
        self.slots().iter().filter(|(_, own)| own == node).map(|(range, _)| *range).collect()
    }

    async fn refresh(&self) -> anyhow::Result<()> {
        let ranges: Vec<Value> = self.commands.command(redis::cmd("CLUSTER").arg("SLOTS")).await?;
        let slots = ranges.into_iter().map(range).collect::<Result<_, _>>()?;
        *self.slots() = slots;
        Ok(())
    }

    fn slots(&self) -> MutexGuard<'_, Vec<(Range, Node)>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// First slot, last slot, the primary's host and port and more, its replicas.
fn range(value: Value) -> anyhow::Result<(Range, Node)> {
    let Value::Array(parts) = value else { bail!("a range of slots") };
    let mut parts = parts.into_iter();
    let (Some(first), Some(last), Some(Value::Array(primary))) = (parts.next(), parts.next(), parts.next())
    else {
        bail!("a range of slots");
    };
    let mut primary = primary.into_iter();
    let (Some(host), Some(port)) = (primary.next(), primary.next()) else {
        bail!("a node of the cluster");
    };
    let slots = (u16::from_redis_value(first)?, u16::from_redis_value(last)?);
    Ok((slots, (String::from_redis_value(host)?, u16::from_redis_value(port)?)))
}

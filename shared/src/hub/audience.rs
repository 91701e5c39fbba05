//! Who has a document open, grouped so that one encoded frame serves many receivers.

use std::collections::{BTreeMap, BTreeSet};

use super::routing_key::RoutingKey;
use crate::id::{ChannelId, SessionId};

/// The channels of one document. Channels with the same routing key get the same bytes, as do all y-websockets.
#[derive(Clone, Debug, Default)]
pub(super) struct Audience {
    groups: BTreeMap<RoutingKey, BTreeSet<ChannelId>>,
    keys: BTreeMap<ChannelId, RoutingKey>,
}

impl Audience {
    /// Adds a channel.
    pub(super) fn add(&mut self, key: &RoutingKey, channel: ChannelId) {
        self.remove(channel);
        let key = key.group();
        self.groups.entry(key.clone()).or_default().insert(channel);
        self.keys.insert(channel, key);
    }

    pub(super) fn remove(&mut self, channel: ChannelId) {
        let Some(key) = self.keys.remove(&channel) else { return };
        if let Some(group) = self.groups.get_mut(&key) {
            group.remove(&channel);
            if group.is_empty() {
                self.groups.remove(&key);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Every channel.
    pub(super) fn channels(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.keys.keys().copied()
    }

    /// For each group its key, to encode for, and the sessions that get the frame.
    pub(super) fn receivers(
        &self,
        except: ChannelId,
    ) -> impl Iterator<Item = (&RoutingKey, Vec<SessionId>)> + '_ {
        self.groups.iter().filter_map(move |(key, group)| {
            let others = group.iter().filter(|channel| **channel != except);
            let to: Vec<SessionId> = others.map(|channel| channel.session()).collect();
            (!to.is_empty()).then_some((key, to))
        })
    }
}

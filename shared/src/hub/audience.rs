//! Who has a document open, grouped so that one encoded frame serves many receivers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::id::{ChannelId, SessionId};

/// The routing key of a channel; `None` for a y-websocket.
type Key = Option<Arc<str>>;

/// The channels of one document. Channels with the same routing key get the same bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Audience {
    groups: BTreeMap<Key, BTreeSet<ChannelId>>,
    keys: BTreeMap<ChannelId, Key>,
}

impl Audience {
    /// Adds a channel; `key` is its routing key, `None` for a y-websocket.
    pub(super) fn add(&mut self, key: Key, channel: ChannelId) {
        self.remove(channel);
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

    /// For each group one of its channels, to encode for, and the sessions that get the frame.
    pub(super) fn receivers(
        &self,
        except: ChannelId,
    ) -> impl Iterator<Item = (ChannelId, Vec<SessionId>)> + '_ {
        self.groups.values().filter_map(move |group| {
            let others = group.iter().filter(|channel| **channel != except);
            let to: Vec<SessionId> = others.map(|channel| channel.session()).collect();
            let one = *group.first()?;
            (!to.is_empty()).then_some((one, to))
        })
    }
}

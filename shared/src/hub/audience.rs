//! Who has a document open, grouped so that one encoded frame serves many receivers.

use std::{collections::BTreeMap, sync::Arc};

use crate::id::{ChannelId, SessionId};

/// The channels of one document. Channels with the same routing key get the same bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Audience {
    groups: BTreeMap<Option<Arc<str>>, Vec<ChannelId>>,
}

impl Audience {
    /// Adds a channel; `key` is its routing key, `None` for a y-websocket.
    pub(super) fn add(&mut self, key: Option<Arc<str>>, channel: ChannelId) {
        let group = self.groups.entry(key).or_default();
        if !group.contains(&channel) {
            group.push(channel);
        }
    }

    pub(super) fn remove(&mut self, channel: ChannelId) {
        self.groups.retain(|_, group| {
            group.retain(|member| *member != channel);
            !group.is_empty()
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Every channel.
    pub(super) fn channels(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.groups.values().flatten().copied()
    }

    /// For each group one of its channels, to encode for, and the sessions that get the frame.
    pub(super) fn receivers(
        &self,
        except: ChannelId,
    ) -> impl Iterator<Item = (ChannelId, Vec<SessionId>)> + '_ {
        self.groups.values().filter_map(move |group| {
            let to: Vec<SessionId> =
                group.iter().filter(|channel| **channel != except).map(|channel| channel.session()).collect();
            (!to.is_empty()).then(|| (group[0], to))
        })
    }
}

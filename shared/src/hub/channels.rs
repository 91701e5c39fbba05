//! The channels of all sessions. Whoever changes one borrows it here, so that what is saved of it is looked at again,
//! and nothing of the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use super::channel::Channel;
use crate::id::ChannelId;

/// The channels by id.
#[derive(Debug, Default)]
pub(super) struct Channels {
    all: BTreeMap<ChannelId, Channel>,
    changed: BTreeSet<ChannelId>,
}

impl Channels {
    pub(super) fn get(&self, id: &ChannelId) -> Option<&Channel> {
        self.all.get(id)
    }

    /// Borrows a channel, which counts as changed.
    pub(super) fn get_mut(&mut self, id: &ChannelId) -> Option<&mut Channel> {
        let channel = self.all.get_mut(id)?;
        self.changed.insert(*id);
        Some(channel)
    }

    pub(super) fn contains_key(&self, id: &ChannelId) -> bool {
        self.all.contains_key(id)
    }

    pub(super) fn insert(&mut self, id: ChannelId, channel: Channel) {
        self.changed.insert(id);
        self.all.insert(id, channel);
    }

    pub(super) fn remove(&mut self, id: &ChannelId) -> Option<Channel> {
        self.changed.insert(*id);
        self.all.remove(id)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &ChannelId> {
        self.all.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Takes those that may have changed since the last call, also those that are gone.
    pub(super) fn take_changed(&mut self) -> BTreeSet<ChannelId> {
        mem::take(&mut self.changed)
    }
}

//! What a channel shows in awareness: the clients that it speaks for, and what its provider may repeat of others.

use std::collections::BTreeMap;

use super::awareness::Source;
use crate::{
    id::ChannelId,
    limits,
    wire::yjs::{self, AwarenessEntry},
};

/// The presence of one channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Speaker {
    /// The awareness clients it speaks for, with their clocks.
    clients: BTreeMap<u64, u64>,
    /// Whether it was shown what others show, which providers before version 4 repeat.
    was_shown_others: bool,
    /// Whether its client was asked for all that it knows, of others too, beside what every client is asked.
    was_asked_to_show: bool,
}

impl Speaker {
    /// What a snapshot leaves.
    pub(super) fn restored(clients: BTreeMap<u64, u64>) -> Self {
        Self { clients, was_shown_others: true, was_asked_to_show: false }
    }

    /// The awareness clients it speaks for, with their clocks.
    pub(super) fn clients(&self) -> &BTreeMap<u64, u64> {
        &self.clients
    }

    pub(super) fn was_asked_to_show(&self) -> bool {
        self.was_asked_to_show
    }

    /// It was shown what others show.
    pub(super) fn shown_others(&mut self) {
        self.was_shown_others = true;
    }

    /// It has left its document.
    pub(super) fn clear(&mut self) {
        self.clients.clear();
    }

    /// Of all that a provider shows when it is asked, what the channel speaks for.
    pub(super) fn own_entries<'a>(&self, update: &'a [u8]) -> Vec<AwarenessEntry<'a>> {
        let mut entries = yjs::read_relayed_awareness(update).unwrap_or_default();
        entries.retain(|entry| self.clients.contains_key(&entry.client));
        entries
    }

    /// Whether it would speak for more clients than one channel may.
    pub(super) fn is_too_many(&self, entries: &[AwarenessEntry<'_>]) -> bool {
        let others = entries.iter().filter(|entry| !self.clients.contains_key(&entry.client)).count();
        self.clients.len() + others > limits::AWARENESS_CLIENTS
    }

    /// Where its awareness comes from.
    pub(super) fn source(&self, id: ChannelId, modern: bool, may_be_gone: bool) -> Source {
        Source::Channel { id, may_repeat: self.was_shown_others && !modern, may_be_gone }
    }

    /// What the document has made of its awareness.
    pub(super) fn spoke(&mut self, news: &[AwarenessEntry<'_>], speaks_for: &[(u64, u64)]) {
        self.was_asked_to_show &= news.is_empty();
        for entry in news.iter().filter(|entry| entry.state == "null") {
            self.clients.remove(&entry.client);
        }
        self.clients.extend(speaks_for.iter().copied());
    }

    /// It is told that these clients are gone for the others, and asked to show itself again.
    pub(super) fn asked_to_show(&mut self, ends: &[AwarenessEntry<'_>]) {
        self.was_asked_to_show = true;
        let room = limits::AWARENESS_CLIENTS.saturating_sub(self.clients.len());
        self.clients.extend(ends.iter().take(room).map(|end| (end.client, end.clock)));
    }
}

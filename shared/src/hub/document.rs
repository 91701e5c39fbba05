//! A document of the hub: who has it open and what they show each other. No text: the hub has no CRDT.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{audience::Audience, awareness::Awareness, routing_key::RoutingKey, size::DocumentSize};
use crate::{
    Millis,
    id::ChannelId,
    update::{self, StateVector},
};

/// How long a document's writers are left alone after they were asked to synchronise.
pub(super) const ASK_AGAIN_MS: Millis = 500;

/// What a hub knows of a document that one of its channels has open.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    audience: Audience,
    /// Channels that get nothing yet: the diff that they wait for has all that comes before it.
    waiting: BTreeSet<ChannelId>,
    pub(super) awareness: Awareness,
    pub(super) size: DocumentSize,
    /// What its sessions have, as far as the hub has seen: of each client at least up to this clock.
    known: StateVector,
    /// When its writers were last asked with Step1.
    writers_asked_at: Option<Millis>,
    /// The state vector to ask them with again, once that is long enough ago.
    ask_with: Option<Bytes>,
}

impl Document {
    /// Who gets what happens in it.
    pub(super) fn audience(&self) -> &Audience {
        &self.audience
    }

    pub(super) fn is_unused(&self) -> bool {
        self.audience.is_empty() && self.waiting.is_empty()
    }

    /// A channel has it open, and gets nothing yet.
    pub(super) fn wait(&mut self, channel: ChannelId) {
        self.audience.remove(channel);
        self.waiting.insert(channel);
    }

    /// From now on the channel gets what happens in it; whether it did not before.
    pub(super) fn join(&mut self, channel: ChannelId, key: &RoutingKey) -> bool {
        let waited = self.waiting.remove(&channel);
        if waited {
            self.audience.add(key, channel);
        }
        waited
    }

    pub(super) fn remove(&mut self, channel: ChannelId) {
        self.audience.remove(channel);
        self.waiting.remove(&channel);
    }

    /// An update is logged or shown; it has passed the gate.
    pub(super) fn learn(&mut self, update: &[u8]) {
        let _ = update::learn(&mut self.known, update);
    }

    /// The log has all of this; `bytes` is what somebody lacked of it.
    pub(super) fn learn_log(&mut self, bytes: &[u8], state_vector: &[u8]) {
        if self.known.is_empty() {
            self.learn(bytes);
        }
        for (client, clock) in StateVector::read(state_vector).unwrap_or_default().iter() {
            self.known.advance(client, clock);
        }
    }

    /// Whether its sessions have everything that an update builds on.
    pub(super) fn has_what_builds(&self, update: &[u8]) -> bool {
        update::builds_on(&self.known, update)
    }

    /// Its writers are to be asked for what the log lacks; whether now, or later, so that there is no storm.
    pub(super) fn asks_writers(&mut self, state_vector: &Bytes, now: Millis) -> bool {
        let asks = self.writers_asked_at.is_none_or(|at| now >= at + ASK_AGAIN_MS);
        if asks {
            self.writers_asked_at = Some(now);
        }
        self.ask_with = (!asks).then(|| state_vector.clone());
        asks
    }

    pub(super) fn writers_asked_at(&self) -> Option<Millis> {
        self.writers_asked_at
    }

    /// The state vector that its writers are to be asked with again.
    pub(super) fn take_question(&mut self) -> Option<Bytes> {
        self.ask_with.take()
    }
}

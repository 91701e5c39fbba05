//! A document of the hub: who has it open and what they show each other. No text: the hub has no CRDT.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Effect, Hub, audience::Audience, awareness::Awareness, size::DocumentSize};
use crate::{
    Millis,
    id::{ChannelId, FileId, SessionId},
    limits,
    update::{self, StateVector},
    wire::{
        link::FileUpdate,
        yjs::{self, SyncMessage},
    },
};

/// What a hub knows of a document that one of its channels has open.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) audience: Audience,
    /// Channels that get nothing yet: the diff that they wait for has all that comes before it.
    pub(super) waiting: BTreeSet<ChannelId>,
    pub(super) awareness: Awareness,
    pub(super) size: DocumentSize,
    /// What its sessions have, as far as the hub has seen: of each client at least up to this clock.
    pub(super) known: StateVector,
    /// When its writers were last asked with Step1.
    pub(super) asked_at: Option<Millis>,
    /// The state vector to ask them with again, once that is long enough ago.
    pub(super) ask_with: Option<bytes::Bytes>,
}

impl Document {
    pub(super) fn is_unused(&self) -> bool {
        self.audience.is_empty() && self.waiting.is_empty()
    }

    /// An update is logged or shown; it has passed the gate.
    pub(super) fn learn(&mut self, update: &[u8]) {
        let _ = update::learn(&mut self.known, update);
    }

    pub(super) fn remove(&mut self, channel: ChannelId) {
        self.audience.remove(channel);
        self.waiting.remove(&channel);
    }
}

impl Hub {
    /// An update as large as a document is sent like a first text: at once to as many channels as there is room for. The
    /// others get the whole document in their turn, and nothing before; without an origin nobody can give them that. The
    /// answer is who is sent it at once.
    fn make_room(&mut self, file: &FileId, bytes: usize, except: ChannelId) -> Vec<SessionId> {
        let (mut receivers, mut waiting) = (Vec::new(), Vec::new());
        let Some(document) = self.documents.get_mut(file) else { return receivers };
        if bytes <= limits::AT_ONCE_BYTES || !self.link.flows() {
            return receivers;
        }
        for id in document.audience.channels().filter(|id| *id != except) {
            if self.sessions.sends_large(id.session(), bytes) {
                receivers.push(id.session());
            } else {
                waiting.push(id);
            }
        }
        for id in &waiting {
            document.audience.remove(*id);
            document.waiting.insert(*id);
            if let Some(channel) = self.channels.get_mut(id) {
                channel.step1 = Some(Bytes::from_static(yjs::EMPTY_STATE_VECTOR));
                channel.asked = 0;
            }
        }
        let size = document.size.known();
        for id in waiting {
            self.want_text(id, file.as_str(), size);
        }
        receivers
    }

    /// Shows an update to every channel of a document but one.
    pub(super) fn show(&mut self, file: &FileId, update: &[u8], except: ChannelId) {
        if let Some(document) = self.documents.get_mut(file) {
            document.learn(update);
        }
        let receivers = self.make_room(file, update.len(), except);
        self.fan_out(file, SyncMessage::Update(update), except);
        // Once it is what they have to send.
        self.effects.extend(receivers.into_iter().map(|session| Effect::Look { session }));
    }

    /// Sends a message to every channel of a document but one, each in its own dialect.
    pub(super) fn fan_out(&mut self, file: &FileId, message: SyncMessage<'_>, except: ChannelId) {
        let Some(document) = self.documents.get(file) else { return };
        for (one, to) in document.audience.receivers(except) {
            if let Some(channel) = self.channels.get(&one) {
                self.counters.deliveries += to.len() as u64;
                self.effects.push(Effect::Send { to, frame: channel.sync_frame(message) });
            }
        }
    }

    /// Sends awareness to every channel of a document but one; sessions that lag behind go without.
    pub(super) fn fan_out_awareness(&mut self, file: &FileId, update: &[u8], except: ChannelId) {
        let Some(document) = self.documents.get(file) else { return };
        for (one, mut to) in document.audience.receivers(except) {
            to.retain(|session: &SessionId| {
                self.sessions.get(session).is_some_and(|session| session.backlog.takes_presence())
            });
            let channel = self.channels.get(&one).filter(|channel| !channel.is_text());
            if let (Some(channel), false) = (channel, to.is_empty()) {
                self.effects.push(Effect::Send { to, frame: channel.awareness_frame(update) });
            }
        }
    }

    /// Logged updates of others.
    pub(super) fn deliver(&mut self, updates: Vec<FileUpdate>) {
        for update in updates {
            self.show(&update.file, &update.bytes, update.except);
        }
    }
}

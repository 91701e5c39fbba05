//! What a turn of the hub has to do, in the order in which its shell is to do it.

use bytes::Bytes;

use super::{
    counters::{Counters, Stats},
    effect::Effect,
};
use crate::{id::SessionId, wire::link::HubMessage};

/// The effects since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Output {
    effects: Vec<Effect>,
    /// What is said to the origin at the end of the turn, if there is a link.
    to_origin: Vec<HubMessage>,
    pub(super) counters: Counters,
    /// What the origin has been told of them.
    reported: Counters,
}

impl Output {
    /// Adds an effect that is no delivery.
    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn extend(&mut self, effects: impl IntoIterator<Item = Effect>) {
        self.effects.extend(effects);
    }

    /// Sends a binary frame to one session.
    pub(super) fn send(&mut self, session: SessionId, frame: Bytes) {
        self.send_all(vec![session], frame);
    }

    /// Sends a binary frame to several sessions.
    pub(super) fn send_all(&mut self, to: Vec<SessionId>, frame: Bytes) {
        self.counters.deliveries += to.len() as u64;
        self.push(Effect::Send { to, frame });
    }

    /// Sends a text frame to one session.
    pub(super) fn send_text(&mut self, to: SessionId, text: String) {
        self.counters.deliveries += 1;
        self.push(Effect::SendText { to, text });
    }

    pub(super) fn send_to_origin(&mut self, message: HubMessage) {
        self.to_origin.push(message);
    }

    /// The link is another one, or gone: what was said to the last one is not said to the next.
    pub(super) fn forget_link(&mut self) {
        self.to_origin.clear();
    }

    /// What was said to the origin goes out as one frame, or nowhere.
    pub(super) fn flush_link(&mut self, is_up: bool) {
        let messages = std::mem::take(&mut self.to_origin);
        if is_up && !messages.is_empty() {
            self.push(Effect::Link(messages));
        }
    }

    /// Tells the origin how the hub stands, with what was counted since it last was told.
    pub(super) fn report(&mut self, stats: Stats) {
        let stats = Stats { counters: self.counters.since(&self.reported), ..stats };
        if let Ok(json) = serde_json::to_vec(&stats) {
            self.reported = self.counters;
            self.send_to_origin(HubMessage::Stats { json: json.into() });
        }
    }

    pub(super) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

//! The hub's side of the link: asking for it, its age, its hold, and how far it has been read.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Effect, Hub, NO_ANSWER, channel::Stage};
use crate::{
    Millis,
    fingerprint::fingerprint,
    id::{ChannelId, SessionId},
    limits,
    position::{Epoch, Position},
    wire::{
        event::{EventOut, LinkState},
        link::{HubMessage, OriginMessage},
        varint::{Reader, Writer},
    },
};

/// As many attempts at most count when a link has brought something.
const HEARD_ATTEMPTS: u32 = 4;

/// The connection to an origin, or the wish for one.
#[derive(Debug)]
pub(super) struct Link {
    up: bool,
    /// The origin takes nothing at the moment.
    held: bool,
    up_at: Millis,
    /// Since when a ping is not answered, and what of that is saved.
    pinged_at: Option<Millis>,
    saved_ping: Option<Millis>,
    /// Attempts since the last link that lasted, and when the next one is due.
    attempts: u32,
    ask_at: Millis,
    /// Everything up to here has reached this hub's sessions.
    position: Option<Position>,
    /// Where that will be when the documents asked for whole have come.
    next: Option<Position>,
    whole: BTreeSet<u64>,
    saved: Option<Position>,
    saved_at: Millis,
}

impl Link {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            up: false,
            held: false,
            up_at: 0,
            pinged_at: None,
            saved_ping: None,
            attempts: 0,
            ask_at: now,
            position: None,
            next: None,
            whole: BTreeSet::new(),
            saved: None,
            saved_at: now,
        }
    }

    /// A link whose socket outlived the hub's memory.
    pub(super) fn restored(facts: &Bytes, now: Millis) -> Self {
        let (position, pinged_at) = read_facts(facts);
        let saved = position;
        Self { up: true, pinged_at, saved_ping: pinged_at, position, saved, ..Self::new(now) }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// Whether changes go out at once.
    pub(super) fn flows(&self) -> bool {
        self.up && !self.held
    }

    pub(super) fn read_until(&mut self, position: Position) {
        let known = if self.whole.is_empty() { &mut self.position } else { &mut self.next };
        let older = known.is_some_and(|known| known.epoch == position.epoch && known.seq >= position.seq);
        if !older {
            *known = Some(position);
        }
    }

    /// A document is asked for whole: until it has come, nobody knows how far this hub has read.
    pub(super) fn asked_whole(&mut self, ask: u64) {
        self.position = None;
        self.whole.insert(ask);
    }

    /// A document has come whole.
    pub(super) fn has_whole(&mut self, ask: u64) {
        if self.whole.remove(&ask) && self.whole.is_empty() {
            self.position = self.next;
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.position.is_none()
    }

    pub(super) fn save_at(&self) -> Option<Millis> {
        (self.up && self.position.is_some() && self.position != self.saved)
            .then_some(self.saved_at + limits::POSITION_SAVE_MS)
    }

    pub(super) fn save_due_position(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if self.save_at().is_some_and(|at| at <= now) {
            self.saved_at = now;
            effects.push(self.facts());
        }
    }

    /// It was asked for a sign of life.
    pub(super) fn pinged(&mut self, now: Millis) {
        if self.up {
            self.pinged_at.get_or_insert(now);
        }
    }

    /// The next one is asked for at once when the first that brings something ends, and after any that lasts; else not:
    /// what breaks it may be in what it brings.
    fn heard(&mut self, now: Millis) {
        self.pinged_at = None;
        let lasts = now >= self.up_at + limits::LINK_LASTS_MS;
        if lasts {
            self.attempts = 0;
        }
        if lasts || self.attempts <= 1 {
            self.ask_at = self.ask_at.min(now);
        } else {
            self.attempts = self.attempts.min(HEARD_ATTEMPTS);
            self.ask_at = self.ask_at.min(self.up_at + (limits::DIAL_FIRST_MS << HEARD_ATTEMPTS));
        }
    }

    /// A ping without an answer must be remembered: between two of them the hub may sleep.
    pub(super) fn save_ping(&mut self, effects: &mut Vec<Effect>) {
        if self.up && self.pinged_at != self.saved_ping {
            self.saved_ping = self.pinged_at;
            effects.push(self.facts());
        }
    }

    fn facts(&mut self) -> Effect {
        self.saved = self.position;
        let mut writer = Writer::default();
        let position = self.position.unwrap_or(NOWHERE);
        writer.var(position.epoch.0);
        writer.var(position.seq);
        writer.var(position.ts);
        writer.var(self.pinged_at.unwrap_or_default());
        Effect::SaveLink { facts: writer.finish() }
    }
}

impl Hub {
    /// A link is there: says who we are and how far we have read, opens what is open, replays what is not
    /// acknowledged, and shows who is here.
    pub fn link_up(&mut self, now: Millis) {
        self.link.up = true;
        self.link.held = false;
        self.link.up_at = now;
        self.link.pinged_at = None;
        self.link.saved_ping = None;
        self.link.next = None;
        self.link.whole.clear();
        self.link_out.clear();
        self.forget_texts(now);
        if self.documents.is_empty() {
            // Whoever comes now gets the whole of what is opened: there is nothing to go on from.
            self.link.position = None;
        }
        self.say(HubMessage::Hello { hub: self.settings.name.clone(), position: self.link.position });
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.show_origin(session);
        }
        let channels: Vec<ChannelId> = self.channels.keys().copied().collect();
        for channel in channels {
            self.ask_open(channel);
        }
        self.replay(now);
        self.ask_diffs(now);
        if self.link.is_lost() {
            self.ask_whole_documents();
        }
        for message in self.own_presence().into_iter().chain(self.visible_files()) {
            self.say(message);
        }
        self.report();
        self.tell_members(&EventOut::Link { state: LinkState::Up });
    }

    /// The link is gone. What is not acknowledged is stored, an origin is asked to dial.
    pub fn link_down(&mut self, now: Millis) {
        if !self.link.up {
            return;
        }
        self.link.up = false;
        self.link_out.clear();
        self.forget_texts(now);
        // One that ends soon, as when the two sides speak different versions, is not asked for in a storm.
        self.link.ask_at = self.link.ask_at.max(now);
        self.show_waiting(None);
        self.store_outbox();
        self.tell_members(&EventOut::Link { state: LinkState::Down });
        self.watch_link(now);
    }

    /// A message of the origin.
    pub fn link_message(&mut self, message: OriginMessage, now: Millis) {
        self.link.heard(now);
        match message {
            OriginMessage::Opened { channel, file, path, size, grant_version: _ } => {
                self.opened(channel, file, path, size, now);
            }
            OriginMessage::Closed { channel, code, reason } => self.closed(channel, code, &reason, now),
            OriginMessage::Ack { channel, file, hub_seq, seq, size } => {
                self.acknowledged(channel, &file, hub_seq, seq, size);
            }
            OriginMessage::Refuse { channel, file, hub_seq, reason } => {
                self.refused(channel, &file, hub_seq, &reason, now);
            }
            OriginMessage::Missing { channel, file, hub_seq, state_vector } => {
                self.missing(channel, &file, hub_seq, state_vector, now);
            }
            OriginMessage::Hold { why } => {
                self.link.held = true;
                self.show_waiting(None);
                self.store_outbox();
                self.tell_members(&EventOut::Hold { why });
            }
            OriginMessage::Resume => {
                self.link.held = false;
                self.replay(now);
                self.ask_diffs(now);
                self.tell_members(&EventOut::Link { state: LinkState::Up });
            }
            OriginMessage::Diff { channel, file, ask, bytes, state_vector, size, position: _ } => {
                self.diff(channel, &file, ask, &bytes, &state_vector, size);
                self.ask_texts(now);
                self.asked_with_step1(channel, now);
            }
            OriginMessage::Size { file, bytes, text_bytes } => {
                if let Some(document) = self.documents.get_mut(&file) {
                    document.size.tell(bytes);
                    document.size.tell_text(text_bytes);
                }
            }
            OriginMessage::Updates { position, updates } => {
                self.deliver(updates);
                self.link.read_until(position);
            }
            OriginMessage::Reset { position } => {
                self.link.next = Some(position);
                self.ask_whole_documents();
                self.link.read_until(position);
            }
            OriginMessage::Awareness { file, bytes } => self.relay_awareness(&file, &bytes, now),
            OriginMessage::Event { position, channel, json } => {
                self.tell(channel, &json);
                if let Some(position) = position {
                    self.link.read_until(position);
                }
            }
            OriginMessage::Text { channel, position, whole, json } => {
                self.text(channel, position, whole, &json, now);
            }
            OriginMessage::Revoke { member, role, version } => self.revoke(&member, role, version, now),
            OriginMessage::Pong => {}
        }
    }

    fn replay(&mut self, now: Millis) {
        for message in self.outbox.replay(now) {
            self.say(message);
        }
    }

    /// When the link needs looking at.
    pub(super) fn link_watch_at(&self) -> Option<Millis> {
        if !self.link.up {
            return self.has_members().then_some(self.link.ask_at);
        }
        let stalled =
            self.outbox.oldest_at().filter(|_| !self.link.held).map(|at| at + limits::LINK_STALLED_MS);
        let silent = self.link.pinged_at.map(|at| at + limits::ANSWER_MS);
        [stalled, silent].into_iter().flatten().min()
    }

    /// Asks for a link that is missing, and gives up one that is dead.
    pub(super) fn watch_link(&mut self, now: Millis) {
        if self.link_watch_at().is_none_or(|at| at > now) {
            return;
        }
        if self.link.up {
            self.effects.push(Effect::DropLink { reason: NO_ANSWER.to_owned() });
            self.link_down(now);
            return;
        }
        let attempt = self.link.attempts.min(8);
        self.link.attempts += 1;
        self.counters.dials += 1;
        self.effects.push(Effect::Dial);
        let backoff = (limits::DIAL_FIRST_MS << attempt).min(limits::DIAL_MAX_MS);
        self.link.ask_at = now + backoff - self.jitter(backoff / 2);
    }

    /// Spreads hubs that lost the same origin; from the name, since nothing here is random.
    fn jitter(&self, most: Millis) -> Millis {
        let bytes = self.settings.name.bytes().chain(self.link.attempts.to_be_bytes());
        fingerprint(bytes) % most.max(1)
    }

    /// Nobody is here and nothing is owed: the origin may forget the room.
    pub(super) fn leave_idle_link(&mut self) {
        if self.link.up && self.sessions.is_empty() && self.outbox.is_empty() {
            self.link.up = false;
            self.effects.push(Effect::DropLink { reason: "idle".to_owned() });
        }
    }

    /// Asks the origin for the document of a channel.
    pub(super) fn ask_open(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get(&id) else { return };
        if !matches!(channel.stage, Stage::Opening | Stage::Open(_)) {
            return;
        }
        if channel.is_text() && !channel.is_room() {
            return self.ask_text_in_turn(id);
        }
        let session = self.sessions.get(&id.session());
        if let Some(grant) = session.and_then(|session| session.admission.grant.clone()) {
            let name = channel.name().to_owned();
            self.say(HubMessage::Open { channel: id, name, grant });
        }
    }
}

/// Stands for a position that is not known.
const NOWHERE: Position = Position { epoch: Epoch(0), seq: 0, ts: 0 };

/// The position, and since when a ping is not answered.
fn read_facts(facts: &Bytes) -> (Option<Position>, Option<Millis>) {
    let mut reader = Reader::new(facts);
    let mut number = || reader.var(u64::MAX).ok();
    let (epoch, seq, ts, pinged_at) = (number(), number(), number(), number());
    let position = || Some(Position { epoch: Epoch(epoch?), seq: seq?, ts: ts? });
    (position().filter(|position| *position != NOWHERE), pinged_at.filter(|at| *at > 0))
}

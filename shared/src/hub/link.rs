//! The hub's side of the link: asking for it, its age, its hold, and how far it has been read.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::effect::Effect;
use crate::{
    Millis,
    fingerprint::fingerprint,
    limits,
    position::{Epoch, Position},
    wire::{
        link::HubMessage,
        varint::{Reader, Writer},
    },
};

/// As many attempts at most count when a link has brought something.
const HEARD_ATTEMPTS: u32 = 4;

/// The connection to an origin, or the wish for one.
#[derive(Debug)]
pub(super) struct Link {
    /// The hub's name, which spreads hubs that lost the same origin.
    name: String,
    state: LinkState,
    /// Attempts since the last link that lasted, and when the next one is due.
    attempts: u32,
    dial_at: Millis,
    /// Everything up to here has reached this hub's sessions.
    position: Option<Position>,
}

/// Whether there is a link, and what belongs to that one only.
#[derive(Debug)]
enum LinkState {
    Down,
    Up(Up),
}

#[derive(Debug, Default)]
struct Up {
    since: Millis,
    /// The origin takes nothing at the moment.
    is_held: bool,
    /// Since when a ping is not answered.
    ping_sent_at: Option<Millis>,
    /// What its snapshot keeps, and since when of the position.
    saved: (Option<Position>, Option<Millis>),
    saved_at: Millis,
    /// The documents that are asked for whole, and where the hub will be when they have come.
    whole: BTreeSet<u64>,
    next: Option<Position>,
}

/// What a link that is looked at wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// An origin is to be asked to dial.
    Dial,
    /// The link gives no sign of life.
    GiveUp,
}

impl Link {
    pub(super) fn new(name: String, now: Millis) -> Self {
        Self { name, state: LinkState::Down, attempts: 0, dial_at: now, position: None }
    }

    /// A link whose socket outlived the hub.
    pub(super) fn restored(name: String, snapshot: &Bytes, now: Millis) -> Self {
        let (position, ping_sent_at) = read_snapshot(snapshot);
        let saved = (position, ping_sent_at);
        let up = Up { ping_sent_at, saved, saved_at: now, ..Up::default() };
        Self { state: LinkState::Up(up), position, ..Self::new(name, now) }
    }

    /// A link is there; what is said over it first. Without open documents there is no position to go on from: a channel
    /// that opens one now gets the whole of it.
    #[must_use]
    pub(super) fn up(&mut self, has_documents: bool, now: Millis) -> HubMessage {
        self.position = self.position.filter(|_| has_documents);
        self.state = LinkState::Up(Up { since: now, saved_at: now, ..Up::default() });
        HubMessage::Hello { hub: self.name.clone(), position: self.position }
    }

    /// The link is gone; whether there was one. One that ends soon, as when the two sides speak different versions, is
    /// not asked for in a storm.
    pub(super) fn down(&mut self, now: Millis) -> bool {
        let was_up = self.is_up();
        if was_up {
            self.state = LinkState::Down;
            self.dial_at = self.dial_at.max(now);
        }
        was_up
    }

    /// Nobody needs the link.
    pub(super) fn close(&mut self) {
        self.state = LinkState::Down;
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, LinkState::Up(_))
    }

    /// Whether changes go out at once.
    pub(super) fn flows(&self) -> bool {
        matches!(&self.state, LinkState::Up(up) if !up.is_held)
    }

    fn state_mut(&mut self) -> Option<&mut Up> {
        match &mut self.state {
            LinkState::Up(up) => Some(up),
            LinkState::Down => None,
        }
    }

    /// The origin takes nothing at the moment, or takes changes again.
    pub(super) fn hold(&mut self, held: bool) {
        if let Some(up) = self.state_mut() {
            up.is_held = held;
        }
    }

    /// Everything up to here has reached the sessions, once the documents asked for whole have come.
    pub(super) fn read_until(&mut self, position: Position) {
        let LinkState::Up(up) = &mut self.state else { return };
        let reached = if up.whole.is_empty() { &mut self.position } else { &mut up.next };
        let older = reached.is_some_and(|known| known.epoch == position.epoch && known.seq >= position.seq);
        if !older {
            *reached = Some(position);
        }
    }

    /// What was read cannot be gone on from; the room is at `position`.
    pub(super) fn reset(&mut self, position: Position) {
        if let Some(up) = self.state_mut() {
            up.next = Some(position);
        }
    }

    /// A document is asked for whole: until it has come, nobody knows how far this hub has read.
    pub(super) fn asked_whole(&mut self, number: u64) {
        self.position = None;
        if let Some(up) = self.state_mut() {
            up.whole.insert(number);
        }
    }

    /// A document has come whole.
    pub(super) fn has_whole(&mut self, number: u64) {
        let LinkState::Up(up) = &mut self.state else { return };
        if up.whole.remove(&number) && up.whole.is_empty() {
            self.position = up.next;
        }
    }

    /// Whether there is nothing to go on from.
    pub(super) fn is_lost(&self) -> bool {
        self.position.is_none()
    }

    /// Something has come. The next link is asked for at once when the first that brings something ends, and after any
    /// that lasts; else not: what breaks it may be in what it brings.
    pub(super) fn heard(&mut self, now: Millis) {
        let LinkState::Up(up) = &mut self.state else { return };
        up.ping_sent_at = None;
        let lasts = now >= up.since + limits::LINK_LASTS_MS;
        if lasts {
            self.attempts = 0;
        }
        if lasts || self.attempts <= 1 {
            self.dial_at = self.dial_at.min(now);
        } else {
            self.attempts = self.attempts.min(HEARD_ATTEMPTS);
            self.dial_at = self.dial_at.min(up.since + (limits::DIAL_FIRST_MS << HEARD_ATTEMPTS));
        }
    }

    /// It was asked for a sign of life.
    pub(super) fn ping_sent(&mut self, now: Millis) {
        if let Some(up) = self.state_mut() {
            up.ping_sent_at.get_or_insert(now);
        }
    }

    /// When the link needs looking at: a missing one if it `is_wanted`, another one when its oldest change, or its
    /// ping, is without an answer for too long.
    pub(super) fn watch_at(&self, is_wanted: bool, oldest_change: Option<Millis>) -> Option<Millis> {
        let LinkState::Up(up) = &self.state else { return is_wanted.then_some(self.dial_at) };
        let stalled = oldest_change.filter(|_| !up.is_held).map(|at| at + limits::LINK_STALLED_MS);
        let silent = up.ping_sent_at.map(|at| at + limits::ANSWER_MS);
        [stalled, silent].into_iter().flatten().min()
    }

    /// What the link wants, if it is time for it.
    #[must_use]
    pub(super) fn watch(
        &mut self,
        is_wanted: bool,
        oldest_change: Option<Millis>,
        now: Millis,
    ) -> Option<Watch> {
        self.watch_at(is_wanted, oldest_change).filter(|at| *at <= now)?;
        if self.is_up() {
            return Some(Watch::GiveUp);
        }
        let backoff = (limits::DIAL_FIRST_MS << self.attempts.min(8)).min(limits::DIAL_MAX_MS);
        self.attempts += 1;
        self.dial_at = now + backoff - self.jitter(backoff / 2);
        Some(Watch::Dial)
    }

    /// Spreads hubs that lost the same origin; from the name, since nothing here is random.
    fn jitter(&self, most: Millis) -> Millis {
        let bytes = self.name.bytes().chain(self.attempts.to_be_bytes());
        fingerprint(bytes) % most.max(1)
    }

    /// When the position is to be saved.
    pub(super) fn save_at(&self) -> Option<Millis> {
        let LinkState::Up(up) = &self.state else { return None };
        (self.position.is_some() && self.position != up.saved.0)
            .then_some(up.saved_at + limits::POSITION_SAVE_MS)
    }

    /// Saves the position if that is due, and at once a ping without an answer: between two of them the hub may sleep.
    pub(super) fn save(&mut self, now: Option<Millis>) -> Option<Effect> {
        let is_due = now.is_some_and(|now| self.save_at().is_some_and(|at| at <= now));
        let LinkState::Up(up) = &mut self.state else { return None };
        if !is_due && up.ping_sent_at == up.saved.1 {
            return None;
        }
        if is_due && let Some(now) = now {
            up.saved_at = now;
        }
        up.saved = (self.position, up.ping_sent_at);
        let mut writer = Writer::default();
        let position = self.position.unwrap_or(NOWHERE);
        writer.var(position.epoch.0);
        writer.var(position.seq);
        writer.var(position.ts);
        writer.var(up.ping_sent_at.unwrap_or_default());
        Some(Effect::SaveLink { snapshot: writer.finish() })
    }
}

/// Stands for a position that is not known.
const NOWHERE: Position = Position { epoch: Epoch(0), seq: 0, ts: 0 };

/// The position, and since when a ping is not answered.
fn read_snapshot(snapshot: &Bytes) -> (Option<Position>, Option<Millis>) {
    let mut reader = Reader::new(snapshot);
    let mut number = || reader.var(u64::MAX).ok();
    let (epoch, seq, ts, ping_sent_at) = (number(), number(), number(), number());
    let position = || Some(Position { epoch: Epoch(epoch?), seq: seq?, ts: ts? });
    (position().filter(|position| *position != NOWHERE), ping_sent_at.filter(|at| *at > 0))
}

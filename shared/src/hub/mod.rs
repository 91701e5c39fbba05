//! The hub: where the sessions of a room meet, as a pure state machine.
//!
//! Events and the time go in (`connect`, `receive`, `link_message`, `tick`, ...), effects come out of
//! [`Hub::effects`]; a shell carries them out in order. The same hub runs in a Durable Object (one per room and
//! region) and behind the origin's own sockets.
//!
//! Promise: a change is fanned out at once, goes to the origin in order, is acknowledged to its author exactly
//! once and only when it is logged, and survives the loss of this memory: [`Hub::rebuild`] needs nothing but
//! what the shell was told to save.

mod effect;
mod session;
mod sessions;
mod admission;
mod channel;
mod channels;
mod receipts;
mod clocks;
mod document;
mod size;
mod audience;
mod awareness;
mod presence;
mod liveness;
mod outbox;
mod link;
mod opening;
mod first_texts;
mod pending;
mod change;
mod events;
mod text;
mod visible;
mod backlog;
mod pace;
mod facts;
mod rebuild;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

pub use self::effect::{Dialect, Effect, Frame, Persisted, Visitor};
use self::{
    channels::Channels,
    document::Document,
    first_texts::FirstTexts,
    link::Link,
    outbox::Outbox,
    pace::{Pace, Payer},
    session::Session,
    sessions::Sessions,
};
pub use crate::close::Denial;
use crate::{
    Millis,
    id::{FileId, SessionId},
    limits,
    wire::link::HubMessage,
};

/// Why a client or a link is given up that gives no sign of life.
pub const NO_ANSWER: &str = "no-answer";

/// What a hub needs to know when it is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name: `room~region`, or `direct~ORIGIN_ID`.
    pub name: String,
    /// Whether its memory can go while its sockets stay, so that facts must be saved.
    pub durable: bool,
}

/// The meeting point of a room's sessions in one region.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    sessions: Sessions,
    channels: Channels,
    documents: BTreeMap<FileId, Document>,
    /// Those whose writers are to be asked again.
    asking: BTreeSet<FileId>,
    outbox: Outbox,
    first_texts: FirstTexts,
    link: Link,
    keepalive_at: Millis,
    /// When it lost its memory.
    rebuilt_at: Option<Millis>,
    paces: BTreeMap<Payer, Pace>,
    effects: Vec<Effect>,
    link_out: Vec<HubMessage>,
    counters: Counters,
    /// What the origin has been told of them.
    reported: Counters,
}

/// What a hub has counted: since it was made, or since it last told an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Changes taken from sessions.
    pub changes: u64,
    /// Changes refused.
    pub refused: u64,
    /// Frames sent to sessions.
    pub deliveries: u64,
    /// Sessions closed because they read too slowly.
    pub slow_consumers: u64,
    /// Times an origin was asked to dial.
    pub dials: u64,
    /// Times a change was not logged because what it depends on was missing.
    pub missing: u64,
    /// Frames, documents, events and presence beyond a member's rate.
    pub rate_limited: u64,
}

/// How a hub stands. In a `stats` message of the link the counters are those since the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Sessions connected.
    pub sessions: usize,
    /// Documents open on them.
    pub channels: usize,
    /// Changes that the origin has not acknowledged.
    pub unacknowledged: usize,
    /// Their bytes.
    pub outbox_bytes: usize,
    /// Rows of the outbox that are stored.
    pub outbox_rows: usize,
    /// Whether there is a link.
    pub link_up: bool,
    /// What was counted.
    pub counters: Counters,
}

impl Counters {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            changes: self.changes - earlier.changes,
            refused: self.refused - earlier.refused,
            deliveries: self.deliveries - earlier.deliveries,
            slow_consumers: self.slow_consumers - earlier.slow_consumers,
            dials: self.dials - earlier.dials,
            missing: self.missing - earlier.missing,
            rate_limited: self.rate_limited - earlier.rate_limited,
        }
    }
}

impl Hub {
    /// An empty hub.
    pub fn new(settings: Settings, now: Millis) -> Self {
        Self {
            settings,
            sessions: Sessions::default(),
            channels: Channels::default(),
            documents: BTreeMap::new(),
            asking: BTreeSet::new(),
            outbox: Outbox::new(now),
            first_texts: FirstTexts::new(now),
            link: Link::new(now),
            keepalive_at: now + limits::KEEPALIVE_MS,
            rebuilt_at: None,
            paces: BTreeMap::new(),
            effects: Vec::new(),
            link_out: Vec::new(),
            counters: Counters::default(),
            reported: Counters::default(),
        }
    }

    /// Takes the effects since the last call, in the order in which they are to be carried out.
    pub fn effects(&mut self) -> Vec<Effect> {
        if !self.link_out.is_empty() {
            let messages = std::mem::take(&mut self.link_out);
            if self.link.is_up() {
                self.effects.push(Effect::Link(messages));
            }
        }
        self.leave_idle_link();
        let changed = (self.sessions.take_changed(), self.channels.take_changed());
        if self.settings.durable {
            self.save_facts(changed.0, changed.1);
            self.link.save_ping(&mut self.effects);
        }
        std::mem::take(&mut self.effects)
    }

    /// How the hub stands.
    pub fn stats(&self) -> Stats {
        Stats {
            sessions: self.sessions.len(),
            channels: self.channels.len(),
            unacknowledged: self.outbox.len(),
            outbox_bytes: self.outbox.bytes(),
            outbox_rows: self.outbox.rows(),
            link_up: self.link.is_up(),
            counters: self.counters,
        }
    }

    /// Tells the origin how the hub stands and what it has counted since it last did.
    fn report(&mut self) {
        let counters = self.counters.since(&self.reported);
        let stats = Stats { counters, ..self.stats() };
        if self.link.is_up()
            && let Ok(json) = serde_json::to_vec(&stats)
        {
            self.reported = self.counters;
            self.say(HubMessage::Stats { json: json.into() });
        }
    }

    /// Does what is due: stores what is late, keeps clients and link alive, asks for a new link.
    pub fn tick(&mut self, now: Millis) {
        if self.outbox.late_at().is_some_and(|at| at <= now) {
            self.store_outbox();
        }
        if !self.sessions.is_empty() && self.keepalive_at <= now {
            self.keepalive_at = now + limits::KEEPALIVE_MS;
            self.keep_alive(now);
            self.forget_gone_presence(now);
            self.forget_rested(now);
        }
        self.watch_link(now);
        let due = self.sessions.due(now);
        self.watch_admissions(&due, now);
        self.close_stuck(&due, now);
        self.close_silent(&due, now);
        self.look_at_texts(now);
        self.link.save_due_position(now, &mut self.effects);
        self.ask_again(now);
    }

    /// When [`Self::tick`] wants to be called next; `None` if nothing happens before the next event.
    pub fn next_tick(&self) -> Option<Millis> {
        let keepalive = (!self.sessions.is_empty()).then_some(self.keepalive_at);
        [
            keepalive,
            self.outbox.late_at(),
            self.link_watch_at(),
            self.sessions.due_at(),
            self.link.save_at(),
            self.ask_again_at(),
            self.texts_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn send(&mut self, session: SessionId, frame: Bytes) {
        self.counters.deliveries += 1;
        self.effects.push(Effect::Send { to: vec![session], frame });
    }

    fn say(&mut self, message: HubMessage) {
        if self.link.is_up() {
            self.link_out.push(message);
        }
    }

    fn store_outbox(&mut self) {
        self.outbox.store(&mut self.effects);
    }
}

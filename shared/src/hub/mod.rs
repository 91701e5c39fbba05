//! The hub: where the sessions of a room meet, as a pure state machine.
//!
//! Events and the time go in (`connect`, `receive`, `link_message`, `tick`, ...), effects come out of
//! [`Hub::effects`]; a shell carries them out in order. The same hub runs in a Durable Object (one per room and
//! region) and behind the origin's own sockets.
//!
//! Promise: a change is fanned out at once, goes to the origin in order, is acknowledged to its author exactly
//! once and only when it is logged, and survives an eviction: [`Hub::rebuild`] needs nothing but what the shell was
//! told to save.
//!
//! Parts own their state and are in a file each; this file routes inputs to them, `exchange.rs` what passes between them.

mod effect;
mod output;
mod counters;
mod timers;
mod routing_key;
mod message;
mod route;
mod admission;
mod pending;
mod liveness;
mod backlog;
mod rate_limit;
mod receipts;
mod clocks;
mod sync_state;
mod speaker;
mod text_base;
mod channel;
mod snapshot;
mod saved;
mod session;
mod overdue;
mod sessions;
mod delivery;
mod keepalive;
mod audience;
mod awareness;
mod size;
mod document;
mod documents;
mod presence;
mod first_texts;
mod outbox;
mod link;
mod change;
mod clients;
mod sockets;
mod replies;
mod texts;
mod exchange;
mod restore;

use self::{
    clients::Clients,
    keepalive::Keepalive,
    link::{Link, Watch},
    outbox::Outbox,
    restore::Restored,
    route::Route,
    session::Session,
    timers::{Timer, Timers},
};
pub use self::{
    counters::{Counters, Stats},
    effect::{Dialect, Effect, Frame, LinkEnd, NO_ANSWER, Persisted, Settings, Visitor},
};
pub use crate::close::Denial;
use crate::{
    Millis,
    grant::Grant,
    id::{ChannelId, SessionId},
    wire::{
        event::{EventOut, LinkState},
        link::{HubMessage, OriginMessage},
    },
};

/// The meeting point of a room's sessions in one region.
#[derive(Debug)]
pub struct Hub {
    /// The sessions, what they have open, what they are sent.
    clients: Clients,
    /// Changes that the origin has not acknowledged.
    outbox: Outbox,
    link: Link,
    keepalive: Keepalive,
    timers: Timers,
    /// When it was rebuilt after an eviction.
    rebuilt_at: Option<Millis>,
}

impl Hub {
    /// An empty hub.
    pub fn new(settings: Settings, now: Millis) -> Self {
        Self {
            clients: Clients::new(settings.durable, now),
            outbox: Outbox::new(now),
            link: Link::new(settings.name, now),
            keepalive: Keepalive::new(now),
            timers: Timers::default(),
            rebuilt_at: None,
        }
    }

    /// Rebuilds an evicted hub from what its shell has kept.
    pub fn rebuild(settings: Settings, persisted: Persisted, now: Millis) -> Self {
        let mut hub = Self::new(settings.clone(), now);
        if let Some(snapshot) = &persisted.link {
            hub.link = Link::restored(settings.name, snapshot, now);
            hub.clients.first_texts.restart(true, now);
        }
        let unreadable = hub.outbox.restore(persisted.outbox, now).into_iter();
        hub.clients.output.extend(unreadable.map(|row| Effect::ForgetOutbox { row }));
        let restored = Restored::read(persisted.sessions, persisted.channels, hub.outbox.next(), now);
        hub.clients.restore(restored);
        hub.keepalive.restore(&hub.clients.sessions);
        hub.rebuilt_at = (!hub.clients.sessions.is_empty()).then_some(now);
        hub.replay(now);
        hub.ask_diffs(now);
        if hub.link.is_up() && hub.link.is_lost() {
            hub.ask_whole_documents();
        }
        hub.watch_link(now);
        hub
    }

    /// Takes the effects since the last call, in the order in which they are to be carried out.
    pub fn effects(&mut self) -> Vec<Effect> {
        let Clients { sessions, first_texts, output, durable, .. } = &mut self.clients;
        output.flush_link(self.link.is_up());
        if self.link.is_up() && sessions.is_empty() && self.outbox.is_empty() {
            self.link.close();
            first_texts.stop();
            output.push(Effect::DropLink(LinkEnd::Idle));
        }
        if *durable {
            sessions.save(output);
            output.extend(self.link.save(None));
        } else {
            sessions.forget_changes();
        }
        self.schedule();
        self.clients.output.take()
    }

    /// How the hub stands.
    pub fn stats(&self) -> Stats {
        let Clients { sessions, output, .. } = &self.clients;
        Stats {
            sessions: sessions.len(),
            channels: sessions.values().map(Session::channel_count).sum(),
            unacknowledged: self.outbox.len(),
            outbox_bytes: self.outbox.bytes(),
            outbox_rows: self.outbox.rows(),
            link_up: self.link.is_up(),
            counters: output.counters,
        }
    }

    /// Whether anybody here has shown a good token, or anything is owed: what a hub may wake up and write for.
    pub fn has_members(&self) -> bool {
        !self.outbox.is_empty() || self.clients.sessions.has_members()
    }

    /// When [`Self::tick`] wants to be called next, once the effects were taken; `None` if nothing happens before the
    /// next event.
    pub fn next_tick(&self) -> Option<Millis> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        self.schedule();
        for timer in self.timers.due(now) {
            match timer {
                Timer::Outbox => self.outbox.store(&mut self.clients.output),
                Timer::Keepalive => self.keep_alive(now),
                Timer::Link => self.watch_link(now),
                Timer::Sessions => self.clients.look_at_due(now),
                Timer::FirstTexts => self.clients.look_at_sockets(now),
                Timer::Snapshot => self.clients.output.extend(self.link.save(Some(now))),
                Timer::Writers => {
                    for (file, state_vector) in self.clients.documents.take_questions(now) {
                        self.ask_writers_soon(&file, state_vector, now);
                    }
                }
            }
        }
        self.ask_texts(now);
    }

    /// Writes the deadlines of the parts into the table.
    fn schedule(&mut self) {
        let Clients { sessions, documents, first_texts, .. } = &self.clients;
        let keepalive = (!sessions.is_empty()).then_some(self.keepalive.at());
        let link = self.link.watch_at(self.has_members(), self.outbox.oldest_at());
        self.timers.set(Timer::Outbox, self.outbox.late_at());
        self.timers.set(Timer::Keepalive, keepalive);
        self.timers.set(Timer::Link, link);
        self.timers.set(Timer::Sessions, sessions.due_at());
        self.timers.set(Timer::FirstTexts, first_texts.look_at());
        self.timers.set(Timer::Snapshot, self.link.save_at());
        self.timers.set(Timer::Writers, documents.ask_again_at());
    }

    /// A socket was accepted.
    pub fn connect(&mut self, session: SessionId, visitor: Visitor, now: Millis) {
        if self.clients.sessions.is_empty() {
            self.keepalive = Keepalive::new(now);
        }
        self.clients.connect(session, visitor, now);
        self.after_input(now);
    }

    /// A message has come over a socket.
    pub fn receive(&mut self, session: SessionId, frame: Frame, now: Millis) {
        if !self.clients.heard(session, frame.len(), now) {
            return self.after_input(now);
        }
        match frame {
            Frame::Text(frame) => {
                if let Some(channel) = self.clients.receive_text(session, &frame, now) {
                    self.receive_text_on(channel, frame.into(), now);
                }
            }
            Frame::Binary(frame) => {
                let Some(known) = self.clients.sessions.get_mut(&session) else { return };
                match Route::of(known, &frame) {
                    Route::Channel(channel) => self.receive_on(channel, frame, now),
                    route => self.clients.answer_route(session, route, now),
                }
            }
        }
        self.after_input(now);
    }

    /// A socket is gone.
    pub fn disconnect(&mut self, session: SessionId, now: Millis) {
        self.clients.disconnect(session, now);
        self.ask_texts(now);
    }

    /// The verdict on a token that [`Effect::Admit`] has asked to be verified.
    pub fn admitted(&mut self, channel: ChannelId, verdict: Result<Grant, Denial>, now: Millis) {
        self.clients.admitted(channel.session(), verdict, now);
        self.after_input(now);
    }

    /// What the socket still has to send, in bytes; told after sends, and when [`Effect::Look`] asks for it. A
    /// session that lags too far behind is closed with 4508: it comes back and synchronises by state vector.
    pub fn backlog(&mut self, session: SessionId, bytes: usize, now: Millis) {
        self.clients.backlog(session, bytes, now);
        self.ask_texts(now);
    }

    /// Without a link, what was taken is stored before the turn ends, and a link is asked for.
    fn after_input(&mut self, now: Millis) {
        self.ask_texts(now);
        if !self.link.is_up() {
            self.outbox.store(&mut self.clients.output);
            self.watch_link(now);
        }
    }

    /// A link is there: says who we are and how far we have read, opens what is open, replays what is not
    /// acknowledged, and shows who is here.
    pub fn link_up(&mut self, now: Millis) {
        self.clients.output.forget_link();
        self.clients.first_texts.restart(true, now);
        let hello = self.link.up(!self.clients.documents.is_empty(), now);
        self.clients.output.send_to_origin(hello);
        self.clients.open_at_origin();
        self.replay(now);
        self.ask_diffs(now);
        if self.link.is_lost() {
            self.ask_whole_documents();
        }
        self.clients.show_to_origin();
        self.report();
        self.clients.notify_all(&EventOut::Link { state: LinkState::Up });
    }

    /// The link is gone. What is not acknowledged is stored, an origin is asked to dial.
    pub fn link_down(&mut self, now: Millis) {
        if !self.link.down(now) {
            return;
        }
        self.clients.output.forget_link();
        self.clients.first_texts.restart(false, now);
        self.show_waiting(None);
        self.outbox.store(&mut self.clients.output);
        self.clients.notify_all(&EventOut::Link { state: LinkState::Down });
        self.watch_link(now);
    }

    /// A message of the origin.
    pub fn link_message(&mut self, message: OriginMessage, now: Millis) {
        self.link.heard(now);
        match message {
            OriginMessage::Opened { channel, file, path, size, .. } => {
                if self.clients.opened(channel, &file, path, size) {
                    self.handle_pending(channel, now);
                }
            }
            OriginMessage::Closed { channel, code, reason } => {
                self.clients.closed(channel, code, &reason, now);
            }
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
                self.link.hold(true);
                self.show_waiting(None);
                self.outbox.store(&mut self.clients.output);
                self.clients.notify_all(&EventOut::Hold { why });
            }
            OriginMessage::Resume => {
                self.link.hold(false);
                self.replay(now);
                self.ask_diffs(now);
                self.clients.notify_all(&EventOut::Link { state: LinkState::Up });
            }
            OriginMessage::Diff { channel, file, ask, bytes, state_vector, size, .. } => {
                self.diff(channel, &file, ask, (&bytes, &state_vector), size);
                self.clients.step1_sent(channel, now);
            }
            OriginMessage::Size { file, bytes, text_bytes } => {
                self.clients.documents.size_measured(&file, bytes, text_bytes);
            }
            OriginMessage::Updates { position, updates } => {
                self.clients.deliver(updates, self.link.flows());
                self.link.read_until(position);
            }
            OriginMessage::Reset { position } => {
                self.link.reset(position);
                self.ask_whole_documents();
                self.link.read_until(position);
            }
            OriginMessage::Awareness { file, bytes } => self.clients.relay_awareness(&file, &bytes, now),
            OriginMessage::Event { position, channel, json } => {
                self.clients.relay_event(channel, &json);
                position.into_iter().for_each(|position| self.link.read_until(position));
            }
            OriginMessage::Text { channel, position, whole, json } => {
                self.clients.text(channel, position, whole, &json);
            }
            OriginMessage::Revoke { member, role, version } => {
                self.clients.revoke(&member, role, version, now);
            }
            OriginMessage::Pong => {}
        }
        self.ask_texts(now);
    }

    /// Asks for a link that is missing, and gives up one that is dead.
    fn watch_link(&mut self, now: Millis) {
        match self.link.watch(self.has_members(), self.outbox.oldest_at(), now) {
            Some(Watch::GiveUp) => {
                self.clients.output.push(Effect::DropLink(LinkEnd::NoAnswer));
                self.link_down(now);
            }
            Some(Watch::Dial) => {
                self.clients.output.counters.dials += 1;
                self.clients.output.push(Effect::Dial);
            }
            None => {}
        }
    }

    fn keep_alive(&mut self, now: Millis) {
        let Clients { sessions, output, .. } = &mut self.clients;
        let step1 = self.keepalive.send(sessions, self.link.flows(), now, output);
        keepalive::send_link_state(sessions, self.link.is_up(), output);
        step1.into_iter().for_each(|channel| self.ask_diff(channel));
        self.clients.output.send_to_origin(HubMessage::Ping);
        self.link.ping_sent(now);
        self.report();
        self.clients.forget_gone(now);
    }

    /// Tells the origin how the hub stands and what it has counted since it last did.
    fn report(&mut self) {
        if self.link.is_up() {
            self.clients.output.report(self.stats());
        }
    }
}

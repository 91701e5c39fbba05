//! The room: it holds the parts, routes each input to them and puts what they want done in order. Messages of hubs,
//! answers of the room store and the time go in, effects come out of [`Room::effects`].
//!
//! Invariants: a live document holds logged updates only; at most one append is in flight; the changes of a
//! link are validated, logged and answered in the order in which they came.

mod epoch;
mod logging;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use shared::{
    Millis,
    close::CloseCode,
    grant::Grant,
    id::{ChannelId, FileId, FilePath},
    position::Position,
    wire::link::{HubMessage, OriginMessage},
};

use self::epoch::{EpochState, Target};
use crate::{
    change::{Change, FromHub, Kind},
    effect::{Counts, Effect, LinkId, Place, Settings},
    events::{self, Outgoing},
    flush_lag::FlushLag,
    links::{Closed, Links},
    log::FileLog,
    notes::{self, Note},
    opens::OpenChannel,
    presence::Presence,
    queue::Pending,
    recovery::Recovery,
    store::{Backfill, Published, StoreError},
    text_clients::TextClients,
    text_view::TextView,
};

/// A room that is open.
#[derive(Debug)]
pub struct Room {
    settings: Settings,
    links: Links,
    texts: TextClients,
    presence: Presence,
    recovery: Recovery,
    lag: FlushLag,
    epoch: EpochState,
    effects: Vec<Effect>,
    counts: Counts,
}

impl Room {
    /// A room before it is populated.
    pub fn new(settings: Settings) -> Self {
        Self {
            lag: FlushLag::new(settings.behind),
            epoch: EpochState::new(Position::default(), Vec::new(), 0, String::new(), settings.shared),
            settings,
            links: Links::default(),
            texts: TextClients::default(),
            presence: Presence::default(),
            recovery: Recovery::default(),
            effects: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The room is populated: this is its position and these are its files.
    /// Answers to what was asked before mean nothing any more. In another epoch than before, copies of what the archive
    /// lacks are restored. `batches` is a number above that of every batch this origin has appended in the epoch.
    /// `secret` is what only the origins of the room know.
    pub fn begin(
        &mut self,
        position: Position,
        names: Vec<(FileId, FilePath)>,
        batches: u64,
        secret: String,
    ) {
        let copies = self.settings.shared;
        let before =
            std::mem::replace(&mut self.epoch, EpochState::new(position, names, batches, secret, copies));
        if before.tail.position().epoch == position.epoch {
            self.epoch.ledger = before.ledger.rejoin(copies);
        } else {
            self.recovery.add(before.ledger.into_copies(), &before.names);
            self.recovery.begin();
        }
        self.lag.ask();
        self.effects.push(Effect::Dirty);
        self.links.restart(position);
        self.presence.forget_elsewhere();
        self.announce(&Note::Ask);
        self.restore_all();
        self.commit_next();
    }

    /// Nothing can be opened here (any more): everything is closed, for this reason.
    pub fn refuse(&mut self, code: CloseCode, reason: &'static str) {
        self.epoch.refuse((code, reason));
        if self.epoch.is_gone() {
            self.recovery.clear();
        }
        let closed = self.links.close_all(None, code, reason);
        self.closed(closed);
    }

    /// A hub is connected. Its first message is a hello.
    pub fn attach(&mut self, link: LinkId) {
        self.links.attach(link);
    }

    /// A hub's connection is gone: its members are, unless a new link brings them back within the grace.
    pub fn detach(&mut self, link: LinkId, now: Millis) {
        let Some((hub, closed)) = self.links.detach(link) else { return };
        self.presence.hub_is_gone(link, &hub, now);
        self.closed(closed);
        self.epoch.commit.forget_link(link);
        self.epoch.release_idle(&mut self.links);
        self.commit_next();
    }

    /// A message of a hub.
    pub fn hub_message(&mut self, link: LinkId, message: HubMessage, now: Millis) {
        if !self.links.has(link) {
            return;
        }
        match Change::from_hub(message) {
            FromHub::Change(change) => self.take(link, change),
            FromHub::Other(other) => self.other_message(link, other, now),
        }
        self.commit_next();
    }

    /// A message that is no change of a document.
    fn other_message(&mut self, link: LinkId, message: HubMessage, now: Millis) {
        match message {
            HubMessage::Hello { hub, position } => self.hello(link, hub, position, now),
            HubMessage::Open { channel, name, grant } => self.open((link, channel), &name, grant, None),
            HubMessage::OpenText { channel, name, grant, told, round } => {
                self.open_text((link, channel), &name, grant, &told, round);
            }
            HubMessage::Close { channel } => self.close((link, channel)),
            HubMessage::Sync { channel, file, ask, state_vector } => {
                if self.epoch.refusal.is_none() && self.epoch.names.has(&file) {
                    self.epoch.commit.queue.push(Pending::Sync { link, channel, file, ask, state_vector });
                }
            }
            HubMessage::Awareness { file, bytes } => {
                // It is kept for later and passed on to all others.
                self.presence.awareness(&file, &bytes, Some(self.links.hub(link)), now);
                let message = OriginMessage::Awareness { file: file.clone(), bytes: bytes.clone() };
                self.links.send_to_readers(&file, &message, Some(link));
                self.announce(&Note::Awareness { file, bytes });
            }
            HubMessage::Event { channel, hub_seq, json } => self.event(link, channel, hub_seq, &json, now),
            HubMessage::Ping => self.links.send(link, OriginMessage::Pong),
            // The first two are changes; tokens are verified by the shell.
            HubMessage::Update { .. } | HubMessage::Text { .. } => {}
            HubMessage::Stats { .. } | HubMessage::Token { .. } => {}
        }
    }

    fn hello(&mut self, link: LinkId, hub: String, read: Option<Position>, now: Millis) {
        for older in self.links.older(link, &hub) {
            let closed = self.links.detach(older).map(|(_, closed)| closed);
            self.closed(closed.unwrap_or_default());
            self.presence.replaced(older);
            self.effects.push(Effect::Unlink(older, "replaced"));
        }
        self.presence.hub_is_back(&hub, now);
        let position = self.position();
        if read.is_some_and(|read| read.epoch == position.epoch && read.seq > position.seq) {
            // Its members have seen through another origin what has not reached this one yet.
            self.catch_up();
        }
        self.effects.extend(self.links.hello(link, hub, read, position));
    }

    /// A channel wants a document: a name becomes a file, a path that no file has becomes a new one.
    fn open(&mut self, place: Place, name: &str, grant: Grant, text: Option<TextView>) {
        match self.epoch.resolve(name, &grant, self.settings.create_on_open, &self.recovery) {
            Ok(Target::File(file)) => self.opened(place, file, grant, text),
            Ok(Target::Path(path)) => {
                // The file is not known yet: it is the room's document until the claim is answered.
                let (file, is_text, claims) = (FileId::room(), text.is_some(), Some(path.clone()));
                self.set_open(place, OpenChannel { file, grant, is_text, claims }, text);
                self.effects.extend(self.epoch.claim(path.clone(), &self.recovery));
                self.epoch.claims.wait(&path, place);
            }
            Err((code, reason)) => self.links.send_closed(place, code, reason),
        }
    }

    fn set_open(&mut self, place: Place, open: OpenChannel, text: Option<TextView>) {
        self.texts.open(place, open.file.clone(), text);
        self.links.open(place, open);
    }

    fn opened(&mut self, place: Place, file: FileId, grant: Grant, text: Option<TextView>) {
        let (link, channel) = place;
        self.epoch.commit.forget_channel(place);
        let is_text = text.is_some();
        let size = self.epoch.documents.bytes(&file);
        let (path, grant_version) = (self.epoch.names.path_of(&file).cloned(), grant.version);
        self.set_open(place, OpenChannel { file: file.clone(), grant, is_text, claims: None }, text);
        self.links
            .send(link, OriginMessage::Opened { channel, file: file.clone(), path, size, grant_version });
        for message in self.presence.greeting(&file, channel) {
            self.links.send(link, message);
        }
        if is_text {
            self.texts.mark_due(&file);
        } else if !file.is_room() {
            self.want(&file);
        }
    }

    /// A channel of text frames wants a file, or the whole text of the one that it has.
    fn open_text(&mut self, place: Place, name: &str, grant: Grant, told: &str, round: u64) {
        let open = self.links.opens().get(place);
        if let Some(open) = open.filter(|open| open.is_text && !open.file.is_room() && told.is_empty()) {
            // In its turn: what the channel has sent before is answered before.
            let (link, channel) = place;
            let pending = Pending::WholeText { link, channel, file: open.file.clone(), round };
            return self.epoch.commit.queue.push(pending);
        }
        let view = TextView::new(name, told, round, self.texts.was_refused(place));
        if self.settings.shared && !told.is_empty() {
            // What its client has been sent through another origin may not have reached this one.
            self.catch_up();
        }
        self.open(place, name, grant, Some(view));
    }

    /// A channel leaves its document.
    fn close(&mut self, place: Place) {
        self.presence.close(place);
        let closed = self.links.close(place);
        self.closed(closed);
        self.epoch.release_idle(&mut self.links);
    }

    /// These channels have nothing open any more.
    fn closed(&mut self, closed: impl IntoIterator<Item = Closed>) {
        for (place, open) in closed {
            self.texts.close(place);
            if let Some(path) = open.claims {
                self.epoch.claims.forget(&path, place);
            }
        }
    }

    /// An event of a member, as its hub has attributed it.
    fn event(&mut self, link: LinkId, channel: ChannelId, hub_seq: u64, json: &Bytes, now: Millis) {
        let id = format!("{}.{hub_seq}", self.links.hub(link));
        match events::outgoing(json, id, now) {
            Some(Outgoing::Logged(chat)) => {
                self.take(link, Change::new(channel, FileId::room(), hub_seq, Kind::Event, chat));
            }
            Some(Outgoing::Unlogged { json, keeps }) => {
                if keeps {
                    self.presence.looks_at((link, channel), &json);
                }
                self.links.broadcast(&unlogged(json.clone()), Some(link));
                self.announce(&Note::Event { channel, keeps, json });
            }
            None => {}
        }
    }

    /// What the room store has published.
    pub fn published(&mut self, published: Published, now: Millis) {
        let epoch = self.position().epoch;
        match published {
            Published::Changes(of, entries) if of == epoch => {
                entries.into_iter().for_each(|entry| self.apply(entry));
            }
            Published::Epoch(of) if of == epoch => {}
            Published::Changes(..) | Published::Epoch(_) => self.epoch.tail.end(),
            Published::Erased => self.refuse(CloseCode::Deleted, "deleted"),
            Published::Note(note) => self.take_note(&note, now),
        }
        self.check_lag(now);
        self.commit_next();
    }

    fn take_note(&mut self, bytes: &Bytes, now: Millis) {
        if bytes.first() == Some(&b'{') {
            self.note_flushed(bytes, now);
            return self.broadcast(bytes.clone());
        }
        let Ok(Some(note)) = notes::read(bytes, &self.settings.origin) else { return };
        match note {
            Note::Awareness { file, bytes } => {
                self.presence.awareness(&file, &bytes, None, now);
                let message = OriginMessage::Awareness { file: file.clone(), bytes };
                self.links.send_to_readers(&file, &message, None);
            }
            Note::Event { channel, keeps, json } => {
                if keeps {
                    self.presence.looks_at_elsewhere(channel, &json);
                }
                self.broadcast(json);
            }
            Note::Ask => {
                for note in self.presence.introduction() {
                    self.announce(&note);
                }
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        if self.epoch.commit.held_until().is_some_and(|at| at <= now) {
            self.catch_up();
        }
        if self.epoch.tail.take_due(now) {
            self.look_at_log();
        }
        if self.recovery.due_at().is_some_and(|at| at <= now) {
            self.restore_all();
            self.commit_next();
        }
        for (message, note) in self.presence.expire(now) {
            self.links.broadcast(&message, None);
            note.into_iter().for_each(|note| self.announce(&note));
        }
        self.effects.extend(self.links.overflowing());
        self.check_lag(now);
    }

    /// When [`Self::tick`] wants to be called next.
    pub fn next_tick(&self) -> Option<Millis> {
        let hold = self.epoch.commit.held_until().filter(|_| !self.epoch.tail.is_catching_up());
        let lag = self.lag.due_at(self.epoch.ledger.oldest());
        let due = [hold, self.epoch.tail.due_at(), self.presence.due_at(), self.recovery.due_at(), lag];
        due.into_iter().flatten().min()
    }

    /// The room store's answer to [`Effect::Backfill`].
    pub fn backfilled(&mut self, link: LinkId, answer: Result<Backfill, StoreError>) {
        let effect = self.links.backfilled(link, answer, self.position());
        self.effects.extend(effect);
        self.commit_next();
    }

    /// The room store's answer to [`Effect::Events`].
    pub fn events_read(&mut self, link: LinkId, read: u64, answer: Result<FileLog, StoreError>) {
        self.effects.extend(self.links.events_read(link, read, answer));
    }

    /// Takes the effects since the last call, in order.
    pub fn effects(&mut self) -> Vec<Effect> {
        self.send_texts();
        let mut effects = self.links.take_out();
        effects.append(&mut self.effects);
        effects
    }

    /// Takes what was counted since the last call.
    pub fn counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Everything up to here is in the room's documents.
    pub fn position(&self) -> Position {
        self.epoch.tail.position()
    }

    /// The hubs that are connected.
    pub fn link_ids(&self) -> Vec<LinkId> {
        self.links.ids()
    }

    /// Every channel that has a document open, with the hub it is at.
    pub fn members(&self) -> impl Iterator<Item = (&str, ChannelId, &Grant)> {
        self.links.opens().iter().map(|((link, channel), open)| (self.links.hub(link), channel, &open.grant))
    }

    fn announce(&mut self, note: &Note) {
        if self.settings.shared {
            self.effects.push(Effect::Announce(notes::write(note, &self.settings.origin)));
        }
    }

    /// Sends an event that is not logged to all hubs.
    fn broadcast(&mut self, json: Bytes) {
        self.links.broadcast(&unlogged(json), None);
    }
}

fn unlogged(json: Bytes) -> OriginMessage {
    OriginMessage::Event { position: None, channel: None, json }
}

//! A change on its way: checked, fanned out, sent to the origin, and what the origin says of it.

use bytes::Bytes;

use super::{
    Hub,
    channel::{Channel, Message},
    clocks::Showing,
    pace::Fare,
};
use crate::{
    Millis,
    close::CloseCode,
    id::{ChannelId, FileId, SessionId},
    limits,
    update::{self, GateError, Span},
    wire::{
        event::EventOut,
        hocuspocus::{self, ServerMessage},
        link::{ChangeKind, HubMessage},
        text,
        yjs::{self, SyncMessage, YMessage},
    },
};

/// The word for a change of somebody who may not make any.
const READ_ONLY: &str = "read-only";
/// The word for a change that would make a file too large, or is too large itself.
const TOO_LARGE: &str = "file-too-large";

impl Hub {
    /// A message on an open document.
    pub(super) fn receive_open(
        &mut self,
        id: ChannelId,
        file: &FileId,
        message: Message<'_>,
        frame: &Bytes,
        now: Millis,
    ) {
        match message {
            Message::Sync(SyncMessage::Step1(state_vector)) => {
                if update::StateVector::read(state_vector).is_err() {
                    return self.close_channel(id, CloseCode::BadFrame, "bad-state-vector", now);
                }
                // The answer may be the whole document.
                let is_first = self.channels.get_mut(&id).is_some_and(|channel| channel.paid.step1());
                if !is_first && !self.pays(id.session(), Fare::Open, now) {
                    return self.close_channel(id, CloseCode::RateLimited, "rate-limited", now);
                }
                self.synchronise(id, file, state_vector, now);
            }
            Message::Sync(SyncMessage::Step2(bytes)) if file.is_room() => {
                self.answer_room_change(id, bytes == yjs::EMPTY_UPDATE);
            }
            Message::Sync(SyncMessage::Update(_)) if file.is_room() => self.answer_room_change(id, false),
            Message::Sync(SyncMessage::Step2(bytes)) => {
                let bytes = frame.slice_ref(bytes);
                self.change(id, file, ChangeKind::Step2, bytes, now);
            }
            Message::Sync(SyncMessage::Update(bytes)) => {
                let bytes = frame.slice_ref(bytes);
                self.change(id, file, ChangeKind::Update, bytes, now);
            }
            Message::Awareness(update) => self.receive_awareness(id, file, update, now),
            Message::QueryAwareness if !self.pays(id.session(), Fare::Presence, now) => {}
            Message::QueryAwareness => self.show_presence(id, file),
            Message::Stateless(payload) if file.is_room() => self.receive_event(id, payload, now),
            Message::Forbidden => self.close_channel(id, CloseCode::BadFrame, "Reset Connection", now),
            _ => {}
        }
    }

    fn change(&mut self, id: ChannelId, file: &FileId, kind: ChangeKind, bytes: Bytes, now: Millis) {
        if let Err(reason) = self.judge(id, file, kind, &bytes) {
            self.counters.refused += 1;
            return match reason {
                Refusal::ReadOnly => self.refuse_read_only(id, now),
                Refusal::TooLarge(why) => self.refuse_too_large(id, file, why, now),
                Refusal::Malformed(reason) => self.close_channel(id, CloseCode::BadFrame, reason, now),
            };
        }
        self.counters.changes += 1;
        self.touch(id.session());
        let keeps = self.outbox.has_room_for(bytes.len());
        let grant = self.sessions.get(&id.session()).and_then(|session| session.admission.grant.as_ref());
        let grant_version = grant.map_or(0, |grant| grant.version);
        let author = grant.map_or_else(|| "".into(), |grant| grant.member.id.clone());
        let counted = kind == ChangeKind::Update;
        let (showing, spans) =
            if counted { self.showing(id, file, &bytes) } else { (Showing::Logged, Vec::new()) };
        let number = self.outbox.next();
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let may_edit = channel.may_edit();
        if counted {
            channel.receipts.count(keeps.then_some(number));
        }
        if !keeps {
            return self.outbox_full(id);
        }
        if counted {
            channel.clocks.taken(&spans, showing, number);
        }
        // What is shown later may be forgotten here until then: so the origin sends it here too.
        let kind = if counted && showing != Showing::Now { ChangeKind::Held } else { kind };
        let message = self.outbox.push_showing(now, showing, |hub_seq| HubMessage::Update {
            channel: id,
            file: file.clone(),
            hub_seq,
            kind,
            grant_version,
            may_edit,
            author,
            bytes: bytes.clone(),
        });
        if let Some(document) = self.documents.get_mut(file).filter(|_| counted) {
            document.size.take(bytes.len());
        }
        if showing == Showing::Now {
            self.show(file, &bytes, id);
        }
        if self.link.flows() {
            self.say(message);
        }
    }

    /// When an update is shown to the others here: not before all that it builds on, which they would wait for and tell
    /// of. Without an origin they go on without it, and may have to be healed.
    fn showing(&self, id: ChannelId, file: &FileId, bytes: &[u8]) -> (Showing, Vec<Span>) {
        let spans = update::spans(bytes).unwrap_or_default();
        let distrusted = bytes.len() > limits::AT_ONCE_BYTES
            || self.sessions.get(&id.session()).is_some_and(|session| session.distrusted)
            || self.documents.get(file).is_some_and(|document| document.size.doubts(bytes.len()));
        let showing = match self.channels.get(&id) {
            _ if !self.link.flows() => Showing::Now,
            Some(channel) if !distrusted => channel.clocks.showing(&spans),
            _ => Showing::Logged,
        };
        let fits = || self.documents.get(file).is_some_and(|one| update::builds_on(&one.known, bytes));
        let early = showing == Showing::Now && self.link.flows() && !fits();
        (if early { Showing::Logged } else { showing }, spans)
    }

    /// Shows what waits for a change that is logged, unless it builds on something else; without a number, everything
    /// that waits for the log.
    pub(super) fn show_waiting(&mut self, behind: Option<u64>) {
        for (number, channel, file, bytes) in self.outbox.waiting(behind) {
            let fits = self.documents.get(&file).is_some_and(|one| update::builds_on(&one.known, &bytes));
            if fits || behind.is_none() {
                self.outbox.shown(number);
                self.show(&file, &bytes, channel);
            }
        }
    }

    /// Everything that would be refused for good, so that nobody sees what the log will not have.
    fn judge(&self, id: ChannelId, file: &FileId, kind: ChangeKind, bytes: &[u8]) -> Result<(), Refusal> {
        let size = self.documents.get(file).map(|document| document.size).unwrap_or_default();
        let may_edit = self.channels.get(&id).is_some_and(|channel| channel.may_edit());
        if !may_edit && kind == ChangeKind::Update {
            return Err(Refusal::ReadOnly);
        }
        if bytes.len() > limits::FILE_BYTES {
            let why = format!("the change takes {} bytes of at most {}", bytes.len(), limits::FILE_BYTES);
            return Err(Refusal::TooLarge(why));
        }
        match update::check(bytes) {
            Ok(shape) if shape.garbage && kind == ChangeKind::Update => {
                Err(Refusal::Malformed(GateError::Garbage.word()))
            }
            // Deleting is what helps. What is as large as a Step2 is decided by the origin, as a Step2 is.
            Ok(shape)
                if shape.inserts
                    && kind == ChangeKind::Update
                    && bytes.len() <= limits::AT_ONCE_BYTES
                    && size.refuses(bytes.len()) =>
            {
                Err(Refusal::TooLarge(size.why_too_large()))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::Malformed(error.word())),
        }
    }

    /// The change, or the file with it, is too large.
    fn refuse_too_large(&mut self, id: ChannelId, file: &FileId, reason: String, now: Millis) {
        if self.channels.get(&id).is_some_and(|channel| channel.bare) {
            return self.refuse_full(id.session(), &reason, now);
        }
        let event = EventOut::Error { code: TOO_LARGE.into(), reason, file: Some(file.clone()) };
        self.tell_session(id.session(), &event);
        self.close_channel(id, CloseCode::TooLarge, TOO_LARGE, now);
    }

    /// The same for a y-websocket. Its provider shows why, and comes back with all that it has: with less than now once
    /// somebody has deleted some of it. After a close for good its member would type on to nobody.
    pub(super) fn refuse_full(&mut self, session: SessionId, reason: &str, now: Millis) {
        self.send(session, yjs::write_y(&YMessage::Auth { reason }));
        self.close(session, CloseCode::FileFull, TOO_LARGE, now);
    }

    /// Tells a member without the right to it that nothing was changed, in the words that the client understands: a
    /// y-websocket has none but the close.
    fn refuse_read_only(&mut self, id: ChannelId, now: Millis) {
        let Some(channel) = self.channels.get(&id) else { return };
        if channel.bare {
            return self.close(id.session(), CloseCode::Forbidden, READ_ONLY, now);
        }
        let event = EventOut::Error {
            code: READ_ONLY.into(),
            reason: "this member may read the file, not change it".into(),
            file: channel.file().cloned(),
        };
        self.tell_session(id.session(), &event);
        self.sync_status(id, false);
    }

    /// The document `.room` holds no text: an empty Step2 is all that a client may send.
    fn answer_room_change(&mut self, id: ChannelId, harmless: bool) {
        self.sync_status(id, harmless);
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.receipts = Default::default();
        }
        self.touch(id.session());
    }

    /// The change is with its author only; it comes again when the writers are asked to synchronise.
    fn outbox_full(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.probing = true;
        }
        let event = EventOut::Error {
            code: "outbox-full".into(),
            reason: "the origin is away and this region holds no more unsaved changes".into(),
            file: self.channels.get(&id).and_then(|channel| channel.file().cloned()),
        };
        self.tell_session(id.session(), &event);
    }

    /// One change is in the log: its author is told.
    pub(super) fn acknowledged(&mut self, id: ChannelId, file: &FileId, hub_seq: u64, seq: u64, size: u64) {
        let Some(settled) = self.outbox.settle(hub_seq, &mut self.effects) else { return };
        let kind = match settled.message {
            HubMessage::Update { kind, bytes, .. } => {
                if let Some(document) = self.documents.get_mut(file) {
                    document.learn(&bytes);
                }
                kind
            }
            HubMessage::Text { .. } => return self.text_logged(id, seq),
            _ => return,
        };
        if kind == ChangeKind::Held {
            self.show_waiting(Some(hub_seq));
        }
        if let Some(document) = self.documents.get_mut(file) {
            document.size.tell(size);
        }
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.clocks.logged(hub_seq);
        let due = channel.receipts.logged(hub_seq, kind);
        self.touch(id.session());
        if kind != ChangeKind::Step2 {
            self.tell_session(id.session(), &EventOut::Logged { file: file.clone(), seq });
        }
        for _ in 0..due {
            self.sync_status(id, true);
        }
    }

    /// The origin refuses a change for good. If neighbours have it already, nobody is left to type on top of it.
    pub(super) fn refused(&mut self, id: ChannelId, file: &FileId, hub_seq: u64, reason: &str, now: Millis) {
        let settled = self.outbox.settle(hub_seq, &mut self.effects);
        self.counters.refused += 1;
        let (message, shown) = settled.map_or((None, true), |settled| (Some(settled.message), settled.shown));
        match message {
            Some(HubMessage::Update { kind: ChangeKind::Step2, .. }) if reason == READ_ONLY => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.receipts.refused(hub_seq);
                }
                self.touch(id.session());
                self.refuse_read_only(id, now);
            }
            Some(HubMessage::Update { kind: ChangeKind::Step2, .. }) => {
                self.refuse_author(id, file, reason, now);
            }
            Some(HubMessage::Update { .. }) if !shown => self.refuse_author(id, file, reason, now),
            Some(HubMessage::Text { .. }) => self.text_refused(id, reason),
            Some(HubMessage::Event { .. }) => {
                let event = EventOut::Error {
                    code: reason.into(),
                    reason: "the event was refused".into(),
                    file: None,
                };
                self.tell_session(id.session(), &event);
            }
            // Of a text frame nobody has seen anything, and who has sent it has come back since.
            None if text::REFUSALS.contains(&reason) => {}
            _ => {
                if let Some(session) = self.sessions.get_mut(&id.session()) {
                    session.distrusted = true;
                }
                if reason == update::REUSE {
                    self.refuse_author(id, file, reason, now);
                }
                self.diverged(file, reason, now);
            }
        }
    }

    /// Closes the document of who has sent a change that is refused for good, with the reason.
    fn refuse_author(&mut self, id: ChannelId, file: &FileId, reason: &str, now: Millis) {
        if self.channels.get(&id).and_then(Channel::file) != Some(file) {
            return;
        }
        if reason == TOO_LARGE {
            let size = self.documents.get(file).map(|document| document.size).unwrap_or_default();
            return self.refuse_too_large(id, file, size.why_too_large(), now);
        }
        let code = match reason {
            update::REUSE => CloseCode::Conflict,
            _ => CloseCode::BadFrame,
        };
        let text = match reason {
            update::REUSE => "other text is known under the same client id; go on with a new document",
            _ => "the change was refused",
        };
        let event = EventOut::Error { code: reason.into(), reason: text.into(), file: Some(file.clone()) };
        self.tell_session(id.session(), &event);
        self.close_channel(id, code, reason, now);
    }

    fn diverged(&mut self, file: &FileId, reason: &str, now: Millis) {
        let Some(document) = self.documents.get(file) else { return };
        let event =
            EventOut::Error { code: "file-diverged".into(), reason: reason.into(), file: Some(file.clone()) };
        let channels: Vec<ChannelId> = document.audience.channels().collect();
        for id in channels {
            self.tell_session(id.session(), &event);
            self.close_channel(id, CloseCode::Restart, "reset", now);
        }
    }

    /// What a change depends on is nowhere, or it extends somebody else's client: it is dropped, and the file's writers
    /// are asked for what they have. Without a number only that.
    pub(super) fn missing(
        &mut self,
        author: ChannelId,
        file: &FileId,
        hub_seq: u64,
        state_vector: Bytes,
        now: Millis,
    ) {
        self.counters.missing += 1;
        self.outbox.settle(hub_seq, &mut self.effects);
        if let Some(channel) = self.channels.get_mut(&author).filter(|_| hub_seq > 0) {
            channel.clocks.forget();
        }
        self.ask_writers_soon(file, state_vector, now);
    }

    fn sync_status(&mut self, id: ChannelId, applied: bool) {
        if let Some(channel) = self.channels.get(&id).filter(|channel| !channel.bare) {
            let frame = hocuspocus::write_server(&channel.key, &ServerMessage::SyncStatus(applied));
            self.send(id.session(), frame);
        }
    }
}

enum Refusal {
    ReadOnly,
    /// With the reason for people.
    TooLarge(String),
    Malformed(&'static str),
}

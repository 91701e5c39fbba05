//! What passes between the clients, the outbox and the link: the way of a change to the log and back, questions to the
//! origin and their answers, events, text frames.

use bytes::Bytes;

use super::{
    Hub,
    change::{self, Refusal, Refused},
    channel::Stage,
    clocks::Showing,
    message::Message,
};
use crate::{
    Millis,
    close::CloseCode,
    id::{ChannelId, FileId},
    wire::{
        link::{ChangeKind, HubMessage},
        text::{self, TextIn},
        yjs::{self, SyncMessage},
    },
};

impl Hub {
    /// Handles a frame that was parsed once; what comes before its document is open waits.
    pub(super) fn receive_on(&mut self, id: ChannelId, frame: Bytes, now: Millis) {
        let Some(channel) = self.clients.sessions.channel(id) else { return };
        if channel.key().is_text() {
            return self.receive_text_on(id, frame, now);
        }
        let (key, stage) = (channel.key().clone(), channel.stage().clone());
        let Some(message) = Message::read(&key, &frame) else { return };
        match (message, stage) {
            (Message::Token { token, version }, _) => {
                if let Some(session) = self.clients.sessions.get_mut(&id.session()) {
                    session.set_version(version);
                }
                self.clients.show_token(id, token, now);
            }
            (Message::Leave, _) => self.clients.goodbye(id, &key, now),
            (message, Stage::Open(file)) => self.receive_open(id, &file, message, &frame, now),
            (Message::Sync(SyncMessage::Update(_)), Stage::Closed(reason)) => {
                self.clients.answer_closed(id, &key, &reason);
            }
            (_, Stage::Closed(_)) => {}
            _ => self.clients.keep_pending(id, frame, now),
        }
    }

    /// Handles what has waited for its document.
    pub(super) fn handle_pending(&mut self, id: ChannelId, now: Millis) {
        let session = self.clients.sessions.get_mut(&id.session());
        for frame in session.map(|session| session.take_pending(id.index())).into_iter().flatten() {
            self.receive_on(id, frame, now);
        }
    }

    fn receive_open(
        &mut self,
        id: ChannelId,
        file: &FileId,
        message: Message<'_>,
        frame: &Bytes,
        now: Millis,
    ) {
        match message {
            Message::Sync(SyncMessage::Step1(state_vector)) => self.synchronise(id, file, state_vector, now),
            Message::Sync(message) if file.is_room() => {
                let is_harmless = matches!(message, SyncMessage::Step2(yjs::EMPTY_UPDATE));
                self.clients.answer_room_change(id, is_harmless);
            }
            Message::Sync(SyncMessage::Step2(bytes)) => {
                self.change(id, file, ChangeKind::Step2, frame.slice_ref(bytes), now);
            }
            Message::Sync(SyncMessage::Update(bytes)) => {
                self.change(id, file, ChangeKind::Update, frame.slice_ref(bytes), now);
            }
            Message::Awareness(update) => {
                self.clients.receive_awareness(id, file, update, self.rebuilt_at, now);
            }
            Message::QueryAwareness => self.clients.query_awareness(id, file, now),
            Message::Stateless(payload) if file.is_room() => self.receive_event(id, payload, now),
            Message::Forbidden => {
                self.clients.close_channel(id, CloseCode::BadFrame, "Reset Connection", now);
            }
            _ => {}
        }
    }

    fn synchronise(&mut self, id: ChannelId, file: &FileId, state_vector: &[u8], now: Millis) {
        if self.clients.begin_sync(id, file, state_vector, self.outbox.next(), now) {
            self.ask_diff(id);
            self.ask_texts(now);
        }
    }

    /// A frame of a channel of text frames; before it is open it waits.
    pub(super) fn receive_text_on(&mut self, id: ChannelId, frame: Bytes, now: Millis) {
        let Some(channel) = self.clients.sessions.channel(id) else { return };
        let (stage, Ok(json)) = (channel.stage().clone(), std::str::from_utf8(&frame)) else { return };
        match stage {
            Stage::Open(file) if file.is_room() => self.receive_event(id, json, now),
            Stage::Open(file) => {
                if let Ok(TextIn::Change { position, .. }) = text::read(json) {
                    self.change_text(id, file, position, frame, now);
                }
            }
            Stage::Closed(_) => self.clients.text_error(id, "not-open", "the file is not open"),
            _ => self.clients.keep_pending(id, frame, now),
        }
    }

    fn change_text(
        &mut self,
        channel: ChannelId,
        file: FileId,
        position: Option<String>,
        json: Bytes,
        now: Millis,
    ) {
        let has_room = self.outbox.has_room_for(json.len());
        let Some(base) = self.clients.text_base(channel, position, has_room) else {
            self.clients.output.counters.refused += 1;
            return;
        };
        self.clients.output.counters.changes += 1;
        let (grant_version, _) = self.clients.author(channel.session());
        let message = self.outbox.push(now, |hub_seq| HubMessage::Text {
            channel,
            file,
            hub_seq,
            grant_version,
            base,
            json,
        });
        if self.link.flows() {
            self.clients.output.send_to_origin(message);
        }
        // Its author could not bring it again: it must survive an eviction.
        self.outbox.store(&mut self.clients.output);
    }

    /// A room event of a member: one that is logged goes through the outbox.
    fn receive_event(&mut self, channel: ChannelId, payload: &str, now: Millis) {
        let Some(json) = self.clients.receive_event(channel, payload, now) else { return };
        if !self.outbox.has_room_for(json.len()) {
            let reason = "the origin is away and this region holds no more unsaved events";
            return self.clients.refuse_event(channel, change::OUTBOX_FULL, reason);
        }
        let message = self.outbox.push(now, |hub_seq| HubMessage::Event { channel, hub_seq, json });
        if self.link.flows() {
            self.clients.output.send_to_origin(message);
        }
    }

    /// Has a Step1 passed on that waits for its answer, in its turn, or asks for the state vector to ask the client
    /// with.
    pub(super) fn ask_diff(&mut self, id: ChannelId) {
        let Some(channel) = self.clients.sessions.channel_mut(id) else { return };
        let Some(file) = channel.file().cloned() else { return };
        if !channel.sync.is_unanswered() {
            return self.ask_now(id);
        }
        channel.sync.forget_question();
        let size = self.clients.documents.get(&file).and_then(|document| document.size.known());
        self.clients.first_texts.want(id, file.as_str(), size);
    }

    /// Asks again for every answer that is due.
    pub(super) fn ask_diffs(&mut self, now: Millis) {
        let channels: Vec<ChannelId> = self.clients.sessions.channels().map(|(id, _)| id).collect();
        channels.into_iter().for_each(|channel| self.ask_diff(channel));
        self.ask_texts(now);
    }

    /// Brings the origin what it has not acknowledged. What text clients have open comes before their changes, which the
    /// origin makes of the text that it has opened for them.
    pub(super) fn replay(&mut self, now: Millis) {
        self.ask_texts_again();
        self.outbox.replay(now).into_iter().for_each(|message| self.clients.output.send_to_origin(message));
    }

    fn ask_texts_again(&mut self) {
        for id in self.clients.first_texts.take_again() {
            self.ask_text(id);
        }
    }

    /// Asks for as many first texts as there is room for.
    pub(super) fn ask_texts(&mut self, now: Millis) {
        self.ask_texts_again();
        while let Some(id) = self.clients.first_texts.next(self.clients.sessions.opening(), now) {
            let channel = self.clients.sessions.channel(id);
            if channel.is_some_and(|channel| channel.sync.is_unanswered()) {
                self.ask_now(id);
            } else if channel.is_some_and(|channel| channel.key().is_text() && channel.is_at_origin()) {
                self.ask_text(id);
            } else {
                self.clients.first_texts.forget(id);
            }
        }
    }

    fn ask_now(&mut self, id: ChannelId) {
        let Some(channel) = self.clients.sessions.channel_mut(id) else { return };
        let Some(file) = channel.file().cloned() else { return };
        let number = self.outbox.next();
        if let Some(state_vector) = channel.sync.question(number) {
            let ask = self.outbox.number();
            self.clients.output.send_to_origin(HubMessage::Sync { channel: id, file, ask, state_vector });
        }
    }

    /// Asks the origin for the text of a channel from what it was sent last on.
    fn ask_text(&mut self, id: ChannelId) {
        let Some(session) = self.clients.sessions.get(&id.session()) else { return };
        let (Some(channel), Some(grant)) = (session.channel(id.index()), session.grant()) else { return };
        let (name, told, grant) = (channel.key().name().to_owned(), channel.base.position(), grant.clone());
        let round = self.outbox.number();
        let ask = HubMessage::OpenText { channel: id, name, grant, told, round };
        self.clients.output.send_to_origin(ask);
    }

    /// How far this hub has read is lost: everybody gets every open document whole.
    pub(super) fn ask_whole_documents(&mut self) {
        let files: Vec<FileId> = self.clients.documents.files().cloned().collect();
        for file in files {
            let state_vector = Bytes::from_static(yjs::EMPTY_STATE_VECTOR);
            let ask = self.outbox.number();
            self.link.asked_whole(ask);
            let sync = HubMessage::Sync { channel: ChannelId(0), file, ask, state_vector };
            self.clients.output.send_to_origin(sync);
        }
    }

    /// The origin's answer: what the client lacks and what the log has. What neighbours have typed here and
    /// what is not in the log yet follows at once.
    pub(super) fn diff(
        &mut self,
        id: ChannelId,
        file: &FileId,
        ask: u64,
        (bytes, state_vector): (&[u8], &[u8]),
        size: u64,
    ) {
        if let Some(document) = self.clients.documents.get_mut(file) {
            document.size.tell(size);
            document.learn_log(bytes, state_vector);
        }
        if id == ChannelId(0) {
            if !bytes.is_empty() {
                self.clients.broadcast(file, SyncMessage::Update(bytes), ChannelId(0));
            }
            self.link.has_whole(ask);
            return self.clients.ask_writers(file, state_vector);
        }
        let channel = self.clients.sessions.channel_mut(id).filter(|channel| channel.file() == Some(file));
        let Some(was_asked) = channel.and_then(|channel| channel.sync.answered(ask)) else { return };
        let unlogged = (was_asked && !bytes.is_empty()).then(|| self.outbox.updates_of(file, id));
        self.clients.send_diff(id, file, (bytes, state_vector), size, unlogged);
    }

    /// The writers of a file are asked for what the log lacks, now or in a while.
    pub(super) fn ask_writers_soon(&mut self, file: &FileId, state_vector: Bytes, now: Millis) {
        if self.clients.documents.asks_writers(file, &state_vector, now) {
            self.clients.ask_writers(file, &state_vector);
        }
    }

    /// A change of a file: refused at once if it would be refused for good, else numbered, shown and sent.
    fn change(&mut self, id: ChannelId, file: &FileId, kind: ChangeKind, bytes: Bytes, now: Millis) {
        let (grant_version, author) = self.clients.author(id.session());
        let Some(session) = self.clients.sessions.get_mut(&id.session()) else { return };
        let is_distrusted = session.is_distrusted();
        let Some(channel) = session.channel_mut(id.index()) else { return };
        let document = self.clients.documents.get(file);
        let size = document.map(|document| document.size).unwrap_or_default();
        if let Err(refusal) = change::validate(channel.may_edit(), size, kind, &bytes) {
            self.clients.output.counters.refused += 1;
            return self.clients.refuse(id, file, refusal, now);
        }
        self.clients.output.counters.changes += 1;
        let number = self.outbox.next();
        let counted = kind == ChangeKind::Update;
        let keeps = self.outbox.has_room_for(bytes.len());
        if counted {
            channel.receipts.count(keeps.then_some(number));
        }
        if !keeps {
            return self.clients.outbox_full(id, file);
        }
        let (mut showing, mut kind) = (Showing::Logged, kind);
        if counted {
            let shown = change::showing(channel, document, is_distrusted, self.link.flows(), &bytes);
            showing = shown.0;
            channel.clocks.taken(&shown.1, showing, number);
            // What is shown later may be forgotten here until then: so the origin sends it here too.
            kind = if showing == Showing::Now { kind } else { ChangeKind::Held };
        }
        let (channel, may_edit, file_id) = (id, channel.may_edit(), file.clone());
        let message = self.outbox.push_showing(now, showing, |hub_seq| {
            let (file, bytes) = (file_id, bytes.clone());
            HubMessage::Update { channel, file, hub_seq, kind, grant_version, may_edit, author, bytes }
        });
        if let Some(document) = self.clients.documents.get_mut(file).filter(|_| counted) {
            document.size.take(bytes.len());
        }
        if showing == Showing::Now {
            self.clients.show(file, &bytes, id, self.link.flows());
        }
        if self.link.flows() {
            self.clients.output.send_to_origin(message);
        }
    }

    /// Shows what waits for a change that is logged, unless it builds on something else; without a number, everything
    /// that waits for the log.
    pub(super) fn show_waiting(&mut self, behind: Option<u64>) {
        for (number, channel, file, bytes) in self.outbox.waiting(behind) {
            let document = self.clients.documents.get(&file);
            if behind.is_none() || document.is_some_and(|document| document.has_what_builds(&bytes)) {
                self.outbox.shown(number);
                self.clients.show(&file, &bytes, channel, self.link.flows());
            }
        }
    }

    /// One change is in the log: its author is told.
    pub(super) fn acknowledged(&mut self, id: ChannelId, file: &FileId, hub_seq: u64, seq: u64, size: u64) {
        let Some(settled) = self.outbox.settle(hub_seq, &mut self.clients.output) else { return };
        let (kind, bytes) = match settled.message {
            HubMessage::Update { kind, bytes, .. } => (kind, bytes),
            HubMessage::Text { .. } => return self.clients.text_logged(id, seq),
            _ => return,
        };
        if let Some(document) = self.clients.documents.get_mut(file) {
            document.learn(&bytes);
        }
        if kind == ChangeKind::Held {
            self.show_waiting(Some(hub_seq));
        }
        if let Some(document) = self.clients.documents.get_mut(file) {
            document.size.tell(size);
        }
        self.clients.logged(id, file, (hub_seq, kind), seq);
    }

    /// The origin refuses a change for good.
    pub(super) fn refused(&mut self, id: ChannelId, file: &FileId, hub_seq: u64, reason: &str, now: Millis) {
        self.clients.output.counters.refused += 1;
        let settled = self.outbox.settle(hub_seq, &mut self.clients.output);
        match Refused::of(settled.as_ref(), reason) {
            Refused::Nothing => {}
            Refused::ReadOnly => {
                if let Some(channel) = self.clients.sessions.channel_mut(id) {
                    channel.receipts.refused(hub_seq);
                }
                self.clients.refuse(id, file, Refusal::ReadOnly, now);
            }
            Refused::Author => self.clients.refuse_author(id, file, reason, now),
            Refused::Text => self.clients.text_refused(id, reason),
            Refused::Event => self.clients.notify_error(id, reason, "the event was refused", None),
            Refused::Diverged { conflicts } => {
                if let Some(session) = self.clients.sessions.get_mut(&id.session()) {
                    session.distrust();
                }
                if conflicts {
                    self.clients.refuse_author(id, file, reason, now);
                }
                self.clients.diverged(file, reason, now);
            }
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
        self.clients.output.counters.missing += 1;
        self.outbox.settle(hub_seq, &mut self.clients.output);
        if hub_seq > 0
            && let Some(channel) = self.clients.sessions.channel_mut(author)
        {
            channel.clocks.forget();
        }
        self.ask_writers_soon(file, state_vector, now);
    }
}

//! How a channel gets its document: the origin's answer, the first synchronisation.

use bytes::Bytes;

use super::{
    Hub,
    channel::{Channel, Stage},
    pace::Paid,
};
use crate::{
    Millis,
    close::CloseCode,
    id::{ChannelId, FileId, FilePath},
    update,
    wire::{
        hocuspocus::{self, ServerMessage},
        link::HubMessage,
        yjs::{self, SyncMessage},
    },
};

/// How long a document's writers are left alone after they were asked to synchronise.
const ASK_AGAIN_MS: Millis = 500;

impl Hub {
    /// The origin has the document open for the channel.
    pub(super) fn opened(
        &mut self,
        id: ChannelId,
        file: FileId,
        path: Option<FilePath>,
        size: u64,
        now: Millis,
    ) {
        let session = self.sessions.get(&id.session());
        let role = session.and_then(|session| session.admission.grant.as_ref());
        let role = role.map(|grant| grant.role_at(path.as_ref()));
        let Some(channel) = self.channels.get_mut(&id) else {
            // It left while the origin was asked.
            return self.say(HubMessage::Close { channel: id });
        };
        match &channel.stage {
            Stage::Opening => {}
            Stage::Open(open) if *open == file => {
                if let Some(document) = self.documents.get_mut(&file) {
                    document.size.opened(size);
                }
                return;
            }
            _ => return,
        }
        channel.stage = Stage::Open(file.clone());
        if file.is_room()
            && let Some(session) = self.sessions.get_mut(&id.session())
        {
            session.rooms.insert(channel.key.clone(), id);
        }
        channel.path = path;
        channel.role = role.unwrap_or(channel.role);
        channel.paid = Paid::opening();
        if channel.is_text() && !file.is_room() {
            return self.text_opened(id, now);
        }
        let document = self.documents.entry(file.clone()).or_default();
        document.waiting.insert(id);
        document.size.opened(size);
        self.touch(id.session());
        self.save_channel(id);
        self.tell_scope(id);
        if file.is_room() {
            self.join_audience(id, &file);
        }
        self.handle_pending(id, now);
    }

    /// From now on the channel gets what happens in the document.
    fn join_audience(&mut self, id: ChannelId, file: &FileId) {
        let (Some(channel), Some(document)) = (self.channels.get(&id), self.documents.get_mut(file)) else {
            return;
        };
        if document.waiting.remove(&id) {
            document.audience.add((!channel.bare).then(|| channel.key.clone()), id);
            self.show_presence(id, file);
        }
    }

    pub(super) fn tell_scope(&mut self, id: ChannelId) {
        let speaks = |channel: &&Channel| !channel.bare && !channel.is_text();
        let Some(channel) = self.channels.get(&id).filter(speaks) else { return };
        let scope = channel.role.scope();
        let frame = hocuspocus::write_server(&channel.key, &ServerMessage::Authenticated { scope });
        self.send(id.session(), frame);
    }

    /// The origin does not have the document, or not any more.
    pub(super) fn closed(&mut self, id: ChannelId, code: CloseCode, reason: &str, now: Millis) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let whole_room = code == CloseCode::Deleted || reason == "no-room";
        if whole_room || channel.bare || code.reconnect() {
            return self.close(id.session(), code, reason, now);
        }
        match channel.stage {
            Stage::Opening if channel.is_text() => {
                channel.stage = Stage::Closed(reason.into());
                self.drop_pending(id);
                self.touch(id.session());
                self.tell_text_error(id, reason, "the file cannot be opened");
            }
            Stage::Opening => {
                channel.stage = Stage::Stranger;
                let frame =
                    hocuspocus::write_server(&channel.key, &ServerMessage::PermissionDenied { reason });
                self.drop_pending(id);
                self.touch(id.session());
                self.send(id.session(), frame);
            }
            Stage::Open(_) => self.close_channel(id, code, reason, now),
            _ => {}
        }
    }

    /// A Step1 of the client. It begins the count of its changes anew.
    pub(super) fn synchronise(&mut self, id: ChannelId, file: &FileId, state_vector: &[u8], now: Millis) {
        let next = self.outbox.next();
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.receipts.begin(next);
        channel.step1 = (!file.is_room()).then(|| Bytes::copy_from_slice(state_vector));
        self.touch(id.session());
        if file.is_room() {
            self.sync_frame(id, SyncMessage::Step1(yjs::EMPTY_STATE_VECTOR));
            self.sync_frame(id, SyncMessage::Step2(yjs::EMPTY_UPDATE));
            return;
        }
        self.ask_diff(id);
        self.ask_texts(now);
    }

    /// Asks again for every answer that is due.
    pub(super) fn ask_diffs(&mut self, now: Millis) {
        let channels: Vec<ChannelId> = self.channels.keys().copied().collect();
        for channel in channels {
            self.ask_diff(channel);
        }
        self.ask_texts(now);
    }

    /// How far this hub has read is lost: everybody gets every open document whole.
    pub(super) fn ask_whole_documents(&mut self) {
        let files: Vec<FileId> = self.documents.keys().filter(|file| !file.is_room()).cloned().collect();
        for file in files {
            let state_vector = Bytes::from_static(yjs::EMPTY_STATE_VECTOR);
            let ask = self.outbox.number();
            self.link.asked_whole(ask);
            self.say(HubMessage::Sync { channel: ChannelId(0), file, ask, state_vector });
        }
    }

    /// Has a Step1 passed on that waits for its answer, in its turn, or asks for the state vector to ask the client
    /// with.
    pub(super) fn ask_diff(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let Some(file) = channel.file().cloned() else { return };
        if channel.step1.is_none() {
            return self.ask_now(id);
        }
        // An answer that is on its way answers another question.
        channel.asked = 0;
        let size = self.documents.get(&file).and_then(|document| document.size.known());
        self.want_text(id, file.as_str(), size);
    }

    /// The turn of a channel to get its first text has come.
    pub(super) fn ask_text_of(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get(&id) else { return self.forget_text(id) };
        if channel.step1.is_some() {
            self.ask_now(id);
        } else if channel.is_text() && channel.stage == Stage::Opening {
            self.ask_text(id);
        } else {
            self.forget_text(id);
        }
    }

    fn ask_now(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let Some(file) = channel.file().cloned() else { return };
        let state_vector = match &channel.step1 {
            Some(state_vector) => state_vector.clone(),
            None if channel.probing => Bytes::new(),
            None => return,
        };
        let ask = self.outbox.number();
        channel.asked = ask;
        self.say(HubMessage::Sync { channel: id, file, ask, state_vector });
    }

    /// The origin's answer: what the client lacks and what the log has. What neighbours have typed here and
    /// what is not in the log yet follows at once.
    pub(super) fn diff(
        &mut self,
        id: ChannelId,
        file: &FileId,
        ask: u64,
        bytes: &[u8],
        state_vector: &[u8],
        size: u64,
    ) {
        if let Some(document) = self.documents.get_mut(file) {
            document.size.tell(size);
            if document.known.is_empty() {
                document.learn(bytes);
            }
            for (client, clock) in update::StateVector::read(state_vector).unwrap_or_default().iter() {
                document.known.advance(client, clock);
            }
        }
        if id == ChannelId(0) {
            if !bytes.is_empty() {
                self.fan_out(file, SyncMessage::Update(bytes), ChannelId(0));
            }
            self.link.has_whole(ask);
            return self.ask_writers(file, state_vector);
        }
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.file() != Some(file) || channel.asked != ask {
            return;
        }
        channel.probing = false;
        let answers = channel.step1.take().is_some() && !bytes.is_empty();
        self.touch(id.session());
        self.sync_frame(id, SyncMessage::Step1(state_vector));
        if answers {
            self.sync_frame(id, SyncMessage::Step2(bytes));
            self.text_came(id, bytes.len(), usize::try_from(size).unwrap_or(usize::MAX));
            let unlogged: Vec<Bytes> = self.outbox.updates_of(file, id).cloned().collect();
            for update in unlogged {
                self.sync_frame(id, SyncMessage::Update(&update));
            }
            self.join_audience(id, file);
        } else {
            self.forget_text(id);
        }
    }

    /// Asks everybody who may write a file for what the log lacks, but not in a storm.
    pub(super) fn ask_writers_soon(&mut self, file: &FileId, state_vector: Bytes, now: Millis) {
        let Some(document) = self.documents.get_mut(file) else { return };
        if document.asked_at.is_some_and(|at| now < at + ASK_AGAIN_MS) {
            document.ask_with = Some(state_vector);
            self.asking.insert(file.clone());
            return;
        }
        document.asked_at = Some(now);
        document.ask_with = None;
        self.asking.remove(file);
        self.ask_writers(file, &state_vector);
    }

    /// When writers are to be asked again.
    pub(super) fn ask_again_at(&self) -> Option<Millis> {
        let waiting = self.asking.iter().filter_map(|file| self.documents.get(file)?.asked_at);
        waiting.map(|at| at + ASK_AGAIN_MS).min()
    }

    pub(super) fn ask_again(&mut self, now: Millis) {
        if self.ask_again_at().is_none_or(|at| at > now) {
            return;
        }
        for file in std::mem::take(&mut self.asking) {
            let asked_with = self.documents.get_mut(&file).and_then(|document| document.ask_with.take());
            if let Some(state_vector) = asked_with {
                self.ask_writers_soon(&file, state_vector, now);
            }
        }
    }

    fn ask_writers(&mut self, file: &FileId, state_vector: &[u8]) {
        let Some(document) = self.documents.get(file) else { return };
        let writers: Vec<ChannelId> = document.audience.channels().collect();
        for id in writers {
            if self.channels.get(&id).is_some_and(|channel| channel.may_edit()) {
                self.sync_frame(id, SyncMessage::Step1(state_vector));
            }
        }
    }

    pub(super) fn sync_frame(&mut self, id: ChannelId, message: SyncMessage<'_>) {
        if let Some(channel) = self.channels.get(&id) {
            let frame = channel.sync_frame(message);
            self.send(id.session(), frame);
        }
    }
}

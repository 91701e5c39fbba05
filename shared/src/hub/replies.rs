//! What clients are sent: updates of others, refusals, answers of the origin, events, texts.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    awareness::GONE_MS,
    change::{OUTBOX_FULL, READ_ONLY, Refusal, TOO_LARGE, author_refusal},
    clients::Clients,
    documents::is_large,
    effect::Effect,
    presence,
    rate_limit::Cost,
    routing_key::{RoutingKey, close_frame},
    session::Session,
};
use crate::{
    Millis,
    close::CloseCode,
    id::{ChannelId, FileId, SessionId},
    update::StateVector,
    wire::{
        event::{self, Attributed, EventIn, EventOut},
        link::{ChangeKind, FileUpdate, HubMessage},
        yjs::{self, SyncMessage, YMessage},
    },
};

impl Clients {
    /// Shows an update to every channel of a document but one. One as large as a document waits for its turn, if the link
    /// flows: without an origin nobody could give the whole document later.
    pub(super) fn show(&mut self, file: &FileId, update: &[u8], except: ChannelId, link_flows: bool) {
        let Some(document) = self.documents.get_mut(file) else { return };
        document.learn(update);
        let size = document.size.known();
        let mut receivers = Vec::new();
        if is_large(update.len()) && link_flows {
            let takes = |session| self.sessions.sends_large(session, update.len());
            let large = self.documents.large_update(file, except, takes);
            for id in large.waiting {
                if let Some(channel) = self.sessions.channel_mut(id) {
                    channel.sync.restart();
                }
                self.first_texts.want(id, file.as_str(), size);
            }
            receivers = large.receivers;
        }
        self.broadcast(file, SyncMessage::Update(update), except);
        // Once it is what they have to send.
        self.output.extend(receivers.into_iter().map(|session| Effect::Look { session }));
    }

    /// A provider leaves its document; those that know CLOSE get one back.
    pub(super) fn goodbye(&mut self, id: ChannelId, key: &RoutingKey, now: Millis) {
        let is_modern = self.sessions.get(&id.session()).is_some_and(Session::is_modern);
        self.leave(id, now);
        if is_modern {
            self.output.send(id.session(), close_frame(key.as_arc(), "provider_initiated", true));
        }
    }

    /// Stock providers send what is typed on a closed document all the same: its author is told.
    pub(super) fn answer_closed(&mut self, id: ChannelId, key: &RoutingKey, reason: &str) {
        let frame = self.sessions.close_frame(id.session(), key.as_arc(), reason);
        self.output.send(id.session(), frame);
    }

    /// The document `.room` holds no text: an empty Step2 is all that a client may send.
    pub(super) fn answer_room_change(&mut self, id: ChannelId, is_harmless: bool) {
        if let Some(channel) = self.sessions.channel_mut(id) {
            channel.receipts = Default::default();
        }
        self.sessions.send_sync_status(id, is_harmless, &mut self.output);
    }

    /// A Step1 of the client. It begins the count of its changes again, which are numbered from `next`. Whether the
    /// origin is to be asked for the answer, which may be the whole document.
    #[must_use]
    pub(super) fn begin_sync(
        &mut self,
        id: ChannelId,
        file: &FileId,
        state_vector: &[u8],
        next: u64,
        now: Millis,
    ) -> bool {
        if StateVector::read(state_vector).is_err() {
            self.close_channel(id, CloseCode::BadFrame, "bad-state-vector", now);
            return false;
        }
        let is_included = self.sessions.channel_mut(id).is_some_and(|channel| channel.included.step1());
        if !is_included && !self.consume(id.session(), Cost::Open, now) {
            self.close_channel(id, CloseCode::RateLimited, CloseCode::RateLimited.word(), now);
            return false;
        }
        let Some(channel) = self.sessions.channel_mut(id) else { return false };
        channel.receipts.begin(next);
        if !file.is_room() {
            channel.sync.begin(Bytes::copy_from_slice(state_vector));
            return true;
        }
        for step in [SyncMessage::Step1(yjs::EMPTY_STATE_VECTOR), SyncMessage::Step2(yjs::EMPTY_UPDATE)] {
            self.sessions.send_sync(id, step, &mut self.output);
        }
        false
    }

    /// Who changes something: the version of the grant, and the member's id.
    pub(super) fn author(&self, session: SessionId) -> (u32, Arc<str>) {
        let grant = self.sessions.get(&session).and_then(Session::grant);
        grant.map_or((0, "".into()), |grant| (grant.version, grant.member.id.clone()))
    }

    /// A change of a channel is logged: its author is told.
    pub(super) fn logged(
        &mut self,
        id: ChannelId,
        file: &FileId,
        (hub_seq, kind): (u64, ChangeKind),
        seq: u64,
    ) {
        let Some(channel) = self.sessions.channel_mut(id) else { return };
        channel.clocks.logged(hub_seq);
        let due = channel.receipts.logged(hub_seq, kind);
        if kind != ChangeKind::Step2 {
            self.notify(id, &EventOut::Logged { file: file.clone(), seq });
        }
        for _ in 0..due {
            self.sessions.send_sync_status(id, true, &mut self.output);
        }
    }

    /// Logged updates of others.
    pub(super) fn deliver(&mut self, updates: Vec<FileUpdate>, link_flows: bool) {
        for update in updates {
            self.show(&update.file, &update.bytes, update.except, link_flows);
        }
    }

    /// Sends a message to every channel of a document but one.
    pub(super) fn broadcast(&mut self, file: &FileId, message: SyncMessage<'_>, except: ChannelId) {
        self.documents.broadcast(file, message, except, &mut self.output);
    }

    /// The answer of the origin to a channel's Step1, or only the state vector to ask its client with. Updates that are
    /// not logged follow at once.
    pub(super) fn send_diff<'a>(
        &mut self,
        id: ChannelId,
        file: &FileId,
        (bytes, state_vector): (&[u8], &[u8]),
        size: u64,
        unlogged: Option<impl Iterator<Item = &'a Bytes>>,
    ) {
        self.sessions.send_sync(id, SyncMessage::Step1(state_vector), &mut self.output);
        let Some(unlogged) = unlogged else { return self.first_texts.forget(id) };
        self.sessions.send_sync(id, SyncMessage::Step2(bytes), &mut self.output);
        self.text_came(id, bytes.len(), usize::try_from(size).unwrap_or(usize::MAX));
        for update in unlogged {
            self.sessions.send_sync(id, SyncMessage::Update(update), &mut self.output);
        }
        self.join_audience(id, file);
    }

    /// A first text of so many bytes, of a document of this size, is sent.
    pub(super) fn text_came(&mut self, id: ChannelId, bytes: usize, size: usize) {
        self.first_texts.answered(id, bytes, size);
        if let Some(session) = self.sessions.get_mut(&id.session()) {
            session.backlog_mut().opens(bytes);
            self.output.push(Effect::Look { session: id.session() });
        }
    }

    /// Asks everybody who may write a file for what the log lacks.
    pub(super) fn ask_writers(&mut self, file: &FileId, state_vector: &[u8]) {
        let Some(document) = self.documents.get(file) else { return };
        for id in document.audience().channels() {
            if self.sessions.channel(id).is_some_and(|channel| channel.may_edit()) {
                self.sessions.send_sync(id, SyncMessage::Step1(state_vector), &mut self.output);
            }
        }
    }

    /// Awareness of a channel: what is news goes to the others here and over the link.
    pub(super) fn receive_awareness(
        &mut self,
        id: ChannelId,
        file: &FileId,
        update: &[u8],
        rebuilt_at: Option<Millis>,
        now: Millis,
    ) {
        let shown = presence::read(&self.sessions, id, update);
        let shows = shown.as_ref().map_or(true, |shown| shown.shows);
        let is_read = shown.is_ok();
        let channel = self.sessions.channel_mut(id);
        let is_first = is_read && shows && channel.is_some_and(|channel| channel.included.presence());
        // A refusal costs as much as what it answers; a client that goes is let go, at any rate.
        if shows && !is_first && !self.consume(id.session(), Cost::Presence, now) {
            return;
        }
        let Self { sessions, documents, output, .. } = self;
        match shown {
            Ok(shown) => {
                let may_be_gone = is_first && rebuilt_at.is_some_and(|at| now < at + GONE_MS);
                let news = presence::show(sessions, documents, (id, file), shown, may_be_gone, now, output);
                news.into_iter().for_each(|message| output.send_to_origin(message));
            }
            Err(error) => presence::refuse(sessions, id, file, error, output),
        }
    }

    /// Awareness of other hubs.
    pub(super) fn relay_awareness(&mut self, file: &FileId, update: &[u8], now: Millis) {
        let Self { sessions, documents, output, .. } = self;
        let ended = presence::relay(sessions, documents, file, update, now, output);
        ended.into_iter().for_each(|message| output.send_to_origin(message));
    }

    /// A client asks for everybody who is there.
    pub(super) fn query_awareness(&mut self, id: ChannelId, file: &FileId, now: Millis) {
        if self.consume(id.session(), Cost::Presence, now) {
            self.show_presence(id, file);
        }
    }

    fn show_presence(&mut self, id: ChannelId, file: &FileId) {
        presence::show_all(&mut self.sessions, &self.documents, id, file, &mut self.output);
    }

    /// A change is refused for good, before or after it came to the origin.
    pub(super) fn refuse(&mut self, id: ChannelId, file: &FileId, refusal: Refusal, now: Millis) {
        let is_bare = self.sessions.channel(id).is_some_and(|channel| channel.key().is_bare());
        match refusal {
            Refusal::Malformed(reason) => self.close_channel(id, CloseCode::BadFrame, reason, now),
            // A y-websocket has no words for it but the close.
            Refusal::ReadOnly if is_bare => self.close(id.session(), CloseCode::Forbidden, READ_ONLY, now),
            Refusal::ReadOnly => {
                self.notify_error(id, READ_ONLY, "this member may read the file, not change it", Some(file));
                self.sessions.send_sync_status(id, false, &mut self.output);
            }
            Refusal::TooLarge(why) if is_bare => self.refuse_full(id.session(), &why, now),
            Refusal::TooLarge(why) => {
                self.notify_error(id, TOO_LARGE, &why, Some(file));
                self.close_channel(id, CloseCode::TooLarge, TOO_LARGE, now);
            }
        }
    }

    /// The provider of a y-websocket shows why its change is too large, and comes back with all that it has: with less
    /// than now once somebody has deleted some of it. After a close for good its member would type on to nobody.
    pub(super) fn refuse_full(&mut self, session: SessionId, reason: &str, now: Millis) {
        self.output.send(session, yjs::write_y(&YMessage::Auth { reason }));
        self.close(session, CloseCode::FileFull, TOO_LARGE, now);
    }

    /// A change is with its author only; it comes again when the writers are asked to synchronise.
    pub(super) fn outbox_full(&mut self, id: ChannelId, file: &FileId) {
        if let Some(channel) = self.sessions.channel_mut(id) {
            channel.sync.probe();
        }
        let reason = "the origin is away and this region holds no more unsaved changes";
        self.notify_error(id, OUTBOX_FULL, reason, Some(file));
    }

    /// Closes the document of who has sent a change that the origin has refused for good, with the reason.
    pub(super) fn refuse_author(&mut self, id: ChannelId, file: &FileId, reason: &str, now: Millis) {
        if self.sessions.channel(id).and_then(|channel| channel.file()) != Some(file) {
            return;
        }
        if reason == TOO_LARGE {
            let size = self.documents.get(file).map(|document| document.size).unwrap_or_default();
            return self.refuse(id, file, Refusal::TooLarge(size.why_too_large()), now);
        }
        let (code, why) = author_refusal(reason);
        self.notify_error(id, reason, why, Some(file));
        self.close_channel(id, code, reason, now);
    }

    /// What others have seen is not logged: nobody is left to type on top of it.
    pub(super) fn diverged(&mut self, file: &FileId, reason: &str, now: Millis) {
        let Some(document) = self.documents.get(file) else { return };
        let channels: Vec<ChannelId> = document.audience().channels().collect();
        for id in channels {
            self.notify_error(id, "file-diverged", reason, Some(file));
            self.close_channel(id, CloseCode::Restart, "reset", now);
        }
    }

    /// Tells the member of a channel, if it has the room's document open.
    pub(super) fn notify(&mut self, id: ChannelId, event: &EventOut) {
        self.sessions.notify(id.session(), event, &mut self.output);
    }

    pub(super) fn notify_error(&mut self, id: ChannelId, code: &str, reason: &str, file: Option<&FileId>) {
        let (code, reason) = (code.to_owned(), reason.to_owned());
        self.notify(id, &EventOut::Error { code, reason, file: file.cloned() });
    }

    /// Tells everybody who has the room's document open.
    pub(super) fn notify_all(&mut self, event: &EventOut) {
        self.documents.broadcast_event(&event.to_json(), ChannelId(0), &mut self.output);
    }

    /// Passes an event of the origin on to one channel, or to everybody.
    pub(super) fn relay_event(&mut self, only: Option<ChannelId>, json: &[u8]) {
        let Ok(json) = std::str::from_utf8(json) else { return };
        match only {
            Some(channel) => self.sessions.send_event(channel, json, &mut self.output),
            None => self.documents.broadcast_event(json, ChannelId(0), &mut self.output),
        }
    }

    /// A room event of a member. What is not logged goes to the others here and over the link at once; what is, comes
    /// back to everybody through the log and is returned.
    #[must_use]
    pub(super) fn receive_event(&mut self, id: ChannelId, payload: &str, now: Millis) -> Option<Bytes> {
        if !self.consume(id.session(), Cost::Event, now) {
            self.refuse_event(id, CloseCode::RateLimited.word(), "too many events at once");
            return None;
        }
        let event = match event::read(payload) {
            Ok(event) => event,
            Err(error) => {
                self.refuse_event(id, error.word(), &error.to_string());
                return None;
            }
        };
        let session = self.sessions.get_mut(&id.session())?;
        let member = session.grant()?.member.clone();
        let attributed = Attributed { member: member.clone(), event };
        let json: Bytes = attributed.to_json().into();
        let out = match attributed.event {
            EventIn::Chat { .. } => return Some(json),
            EventIn::VisibleFiles { files } => {
                session.set_visible(Some(json.clone()));
                EventOut::VisibleFiles { member, files }
            }
            EventIn::Broadcast { data } => EventOut::Broadcast { member, data },
        };
        self.documents.broadcast_event(&out.to_json(), id, &mut self.output);
        self.output.send_to_origin(HubMessage::Event { channel: id, hub_seq: 0, json });
        None
    }

    /// A room event is refused.
    pub(super) fn refuse_event(&mut self, id: ChannelId, code: &str, reason: &str) {
        let refusal = EventOut::Error { code: code.to_owned(), reason: reason.to_owned(), file: None };
        self.sessions.send_event(id, &refusal.to_json(), &mut self.output);
    }
}

//! The clients of a hub: their sessions, the documents that they have open, what they are sent. Here a channel gets its
//! rights and its document, and loses them.

use bytes::Bytes;

use super::{
    admission::Shown,
    channel::Stage,
    documents::Documents,
    effect::Effect,
    first_texts::FirstTexts,
    output::Output,
    presence,
    rate_limit::{Cost, RateLimits},
    session::Session,
    sessions::Sessions,
};
use crate::{
    Millis,
    close::{CloseCode, Denial},
    grant::{Grant, Role},
    id::{ChannelId, FileId, FilePath, SessionId},
    token::TokenError,
    wire::{
        event::EventOut,
        hocuspocus::ServerMessage,
        link::{HubMessage, NO_ROOM},
    },
};

/// The clients.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) sessions: Sessions,
    pub(super) documents: Documents,
    pub(super) first_texts: FirstTexts,
    pub(super) rate_limits: RateLimits,
    pub(super) output: Output,
    /// Whether an eviction is to be survived.
    pub(super) durable: bool,
}

impl Clients {
    pub(super) fn new(durable: bool, now: Millis) -> Self {
        Self {
            sessions: Sessions::default(),
            documents: Documents::default(),
            first_texts: FirstTexts::new(now),
            rate_limits: RateLimits::default(),
            output: Output::default(),
            durable,
        }
    }

    /// Takes a cost from the limits of the member, or of the guest, at the socket; `false` if too little is left.
    #[must_use]
    pub(super) fn consume(&mut self, session: SessionId, cost: Cost, now: Millis) -> bool {
        let has_enough = self.rate_limits.consume(self.sessions.consumer(session), cost, now);
        self.output.counters.rate_limited += u64::from(!has_enough);
        has_enough
    }

    /// A channel shows a token; with an empty one, that of the upgrade or of the session's other documents.
    pub(super) fn show_token(&mut self, id: ChannelId, token: &str, now: Millis) {
        let Some(session) = self.sessions.get_mut(&id.session()) else { return };
        match session.show_token(id, token) {
            Shown::Good => self.let_in(id, now),
            Shown::Verify(token) => self.verify(id, &token),
            Shown::Waits => {}
            Shown::TooLong => self.deny(id, &TokenError::TooLong.into(), now),
            Shown::TooMuch => self.close(id.session(), CloseCode::RateLimited, "too-much-before-open", now),
        }
    }

    fn verify(&mut self, channel: ChannelId, token: &str) {
        self.output.push(Effect::Admit { channel, token: token.to_owned() });
    }

    /// The verdict on the token of a session that was being verified.
    pub(super) fn admitted(&mut self, id: SessionId, verdict: Result<Grant, Denial>, now: Millis) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some((channel, outcome)) = session.admission_mut().decide(verdict, now) else { return };
        match outcome {
            Ok(before) => {
                self.send_token(id);
                if let Some(before) = before {
                    self.apply_rights(id, before);
                }
                self.let_in(channel, now);
            }
            Err(denial) => self.deny(channel, &denial, now),
        }
        while let Some((channel, shown)) = self.sessions.get_mut(&id).and_then(Session::next_token) {
            match shown {
                Shown::Verify(token) => self.verify(channel, &token),
                _ => self.let_in(channel, now),
            }
        }
    }

    /// Shows the session's token to the origin.
    pub(super) fn send_token(&mut self, session: SessionId) {
        let token = self.sessions.get(&session).and_then(|session| session.admission().shown_token());
        if let Some(token) = token.map(|token| token.to_string()) {
            self.output.send_to_origin(HubMessage::Token { session, token });
        }
    }

    /// The rights of a session have changed: of each document, of the whole.
    fn apply_rights(&mut self, id: SessionId, before: Role) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(grant) = session.grant().cloned() else { return };
        let channels: Vec<ChannelId> = session.channels().map(|(channel, _)| channel).collect();
        for channel in channels {
            let Some(known) = self.sessions.channel_mut(channel) else { continue };
            let is_new = known.set_rights(&grant) && known.file().is_some();
            self.ask_open(channel);
            if is_new {
                self.sessions.send_scope(channel, &mut self.output);
            }
        }
        if before != grant.role {
            self.sessions.notify(id, &EventOut::Role { role: grant.role }, &mut self.output);
        }
    }

    /// A member's rights have changed at the origin.
    pub(super) fn revoke(&mut self, member: &str, role: Option<Role>, version: u32, now: Millis) {
        let is_theirs = |session: &Session| session.grant().is_some_and(|grant| &*grant.member.id == member);
        let theirs: Vec<SessionId> =
            self.sessions.iter().filter(|(_, session)| is_theirs(session)).map(|(id, _)| *id).collect();
        for id in theirs {
            let Some(role) = role else {
                self.close(id, CloseCode::Forbidden, "revoked", now);
                continue;
            };
            let session = self.sessions.get_mut(&id);
            if let Some(before) = session.and_then(|session| session.admission_mut().set_role(role, version))
            {
                self.apply_rights(id, before);
            }
        }
    }

    /// The session may be here: the origin is asked for the document, if the member can afford it.
    pub(super) fn let_in(&mut self, id: ChannelId, now: Millis) {
        let Some(channel) = self.sessions.channel(id).filter(|one| *one.stage() == Stage::Authenticating)
        else {
            return;
        };
        let key = channel.key().clone();
        if self.rate_limits.consume_opening(self.sessions.consumer(id.session()), key.name(), now) {
            if let Some(channel) = self.sessions.channel_mut(id) {
                channel.start_opening();
            }
            return self.ask_open(id);
        }
        // Too many documents at once: only this one is refused.
        self.output.counters.rate_limited += 1;
        let reason = CloseCode::RateLimited.word();
        if key.is_bare() {
            self.close(id.session(), CloseCode::RateLimited, reason, now);
        } else if key.is_text() {
            self.sessions.send_text_error(id, reason, "too many documents at once", &mut self.output);
            self.leave(id, now);
        } else {
            self.refuse_channel(id, reason);
        }
    }

    /// Asks the origin for the document of a channel; for the text of a text client in its turn.
    pub(super) fn ask_open(&mut self, id: ChannelId) {
        let Some(session) = self.sessions.get(&id.session()) else { return };
        let Some(channel) = session.channel(id.index()).filter(|channel| channel.is_at_origin()) else {
            return;
        };
        let name = channel.key().name().to_owned();
        if channel.key().is_text() && !channel.key().is_room() {
            if *channel.stage() == Stage::Opening {
                self.first_texts.want(id, &name, None);
            } else {
                self.first_texts.want_again(id);
            }
        } else if let Some(grant) = session.grant().cloned() {
            self.output.send_to_origin(HubMessage::Open { channel: id, name, grant });
        }
    }

    /// Opens at the origin of a new link what is open here.
    pub(super) fn open_at_origin(&mut self) {
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.send_token(session));
        let channels: Vec<ChannelId> = self.sessions.channels().map(|(channel, _)| channel).collect();
        channels.into_iter().for_each(|channel| self.ask_open(channel));
    }

    /// Shows the origin of a new link who is here and what they look at.
    pub(super) fn show_to_origin(&mut self) {
        for (file, bytes) in self.documents.own_presence() {
            self.output.send_to_origin(HubMessage::Awareness { file: file.clone(), bytes });
        }
        let visible = presence::visible_files(&self.sessions).into_iter();
        visible.for_each(|message| self.output.send_to_origin(message));
    }

    /// A token is not good: the channel may show another one, unless the session has nothing else or is to come back.
    fn deny(&mut self, id: ChannelId, denial: &Denial, now: Millis) {
        let Some(session) = self.sessions.get_mut(&id.session()) else { return };
        let comes_back = denial.code == CloseCode::RateLimited;
        if session.is_hocuspocus() && !comes_back {
            self.deny_channel(id, denial, now);
        }
        let session = self.sessions.get_mut(&id.session());
        if session.is_some_and(|session| session.denied(denial, comes_back)) {
            self.close(id.session(), denial.code, &denial.reason, now);
        }
    }

    fn deny_channel(&mut self, id: ChannelId, denial: &Denial, now: Millis) {
        let Some(channel) = self.sessions.channel(id) else { return };
        if channel.file().is_some() {
            return self.close_channel(id, denial.code, &denial.reason, now);
        }
        let is_text = channel.key().is_text();
        self.refuse_channel(id, &denial.reason);
        if is_text {
            let (code, reason) = (denial.code.word(), &denial.reason);
            self.sessions.send_text_error(id, code, reason, &mut self.output);
            // A socket that has nothing else is closed.
            if self.sessions.get(&id.session()).is_some_and(Session::is_text_only) {
                self.close(id.session(), denial.code, reason, now);
            }
        }
    }

    /// The origin has the document open for the channel; whether it was not before.
    #[must_use]
    pub(super) fn opened(&mut self, id: ChannelId, file: &FileId, path: Option<FilePath>, size: u64) -> bool {
        let session = self.sessions.get_mut(&id.session());
        let role = session.as_ref().and_then(|session| session.grant());
        let role = role.map(|grant| grant.role_at(path.as_ref()));
        let Some(channel) = session.and_then(|session| session.channel_mut(id.index())) else {
            // It left while the origin was asked.
            self.output.send_to_origin(HubMessage::Close { channel: id });
            return false;
        };
        if *channel.stage() != Stage::Opening {
            if let Some(document) = self.documents.get_mut(file).filter(|_| channel.file() == Some(file)) {
                document.size.opened(size);
            }
            return false;
        }
        channel.open(file.clone(), path, role);
        let is_text = channel.key().is_text();
        if let Some(session) = self.sessions.get_mut(&id.session()).filter(|_| file.is_room()) {
            session.set_in_room(id.index(), true);
        }
        if !is_text || file.is_room() {
            let document = self.documents.of(file);
            document.wait(id);
            document.size.opened(size);
            self.sessions.send_scope(id, &mut self.output);
            if file.is_room() {
                self.join_audience(id, file);
            }
        }
        true
    }

    /// Keeps a frame until its document is open.
    pub(super) fn keep_pending(&mut self, id: ChannelId, frame: Bytes, now: Millis) {
        let session = self.sessions.get_mut(&id.session());
        if session.is_some_and(|session| !session.keep_pending(id.index(), frame)) {
            self.close(id.session(), CloseCode::RateLimited, "too-much-before-open", now);
        }
    }

    /// From now on the channel gets what happens in the document.
    pub(super) fn join_audience(&mut self, id: ChannelId, file: &FileId) {
        let (Some(channel), Some(document)) = (self.sessions.channel(id), self.documents.get_mut(file))
        else {
            return;
        };
        if document.join(id, channel.key()) {
            presence::show_all(&mut self.sessions, &self.documents, id, file, &mut self.output);
        }
    }

    /// The origin does not have the document, or not any more.
    pub(super) fn closed(&mut self, id: ChannelId, code: CloseCode, reason: &str, now: Millis) {
        let Some(channel) = self.sessions.channel(id) else { return };
        let is_whole_room = code == CloseCode::Deleted || reason == NO_ROOM;
        if is_whole_room || channel.key().is_bare() || code.reconnect() {
            return self.close(id.session(), code, reason, now);
        }
        match channel.stage() {
            Stage::Opening if !channel.key().is_text() => self.refuse_channel(id, reason),
            Stage::Opening | Stage::Open(_) => self.close_channel(id, code, reason, now),
            _ => {}
        }
    }

    /// The channel leaves its document: its presence ends, the origin is told.
    pub(super) fn leave(&mut self, id: ChannelId, now: Millis) {
        self.withdraw(id, now);
        if let Some(session) = self.sessions.get_mut(&id.session()) {
            session.remove_channel(id.index());
        }
    }

    /// Takes the channel out of its document, but keeps it known.
    fn withdraw(&mut self, id: ChannelId, now: Millis) {
        let Some(channel) = self.sessions.channel_mut(id) else { return };
        let (file, is_at_origin) = (channel.file().cloned(), channel.is_at_origin());
        channel.speaker.clear();
        if let Some(file) = &file {
            let Self { sessions, documents, output, .. } = self;
            if file.is_room()
                && let Some(ended) = presence::end_visible_files(sessions, documents, id, output)
            {
                output.send_to_origin(ended);
            }
            if let Some(bytes) = documents.leave(file, id, now, |to| sessions.takes_presence(to), output) {
                output.send_to_origin(HubMessage::Awareness { file: file.clone(), bytes });
            }
        }
        self.first_texts.forget(id);
        if let Some(session) = self.sessions.get_mut(&id.session()) {
            session.set_in_room(id.index(), false);
            drop(session.take_pending(id.index()));
        }
        if is_at_origin {
            self.output.send_to_origin(HubMessage::Close { channel: id });
        }
    }

    /// Closes the document on this channel, with a reason; the socket stays (a y-websocket is the document).
    pub(super) fn close_channel(&mut self, id: ChannelId, code: CloseCode, reason: &str, now: Millis) {
        let Some(channel) = self.sessions.channel(id) else { return };
        let (key, was_open) = (channel.key().clone(), channel.file().is_some());
        if key.is_bare() {
            return self.close(id.session(), code, reason, now);
        }
        self.withdraw(id, now);
        if let Some(channel) = self.sessions.channel_mut(id) {
            channel.close(reason);
        }
        if key.is_text() {
            let why = if was_open { "the file is closed" } else { "the file cannot be opened" };
            self.sessions.send_text_error(id, reason, why, &mut self.output);
        } else {
            let frame = self.sessions.close_frame(id.session(), key.as_arc(), reason);
            self.output.send(id.session(), frame);
        }
    }

    /// The channel gets no document; the client may show another token on the same socket.
    fn refuse_channel(&mut self, id: ChannelId, reason: &str) {
        self.first_texts.forget(id);
        if let Some(session) = self.sessions.get_mut(&id.session()) {
            drop(session.take_pending(id.index()));
        }
        if let Some(channel) = self.sessions.channel_mut(id) {
            channel.refuse();
        }
        self.sessions.send_hocuspocus(id, &ServerMessage::PermissionDenied { reason }, &mut self.output);
    }
}

//! A session: one WebSocket of one member. Here it comes, speaks and goes.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    Dialect, Effect, Frame, Hub, Visitor, admission::Admission, channel::Channel, facts::Unsettled,
    liveness::Liveness, pace::Fare, text,
};
use crate::{
    Millis,
    close::CloseCode,
    id::{ChannelId, SessionId},
    limits,
    wire::{
        hocuspocus::{self, ClientInput, ClientMessage, ServerMessage},
        yjs,
    },
};

/// What a hub knows of a socket.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) dialect: Dialect,
    /// The tokens that it has shown, and its rights.
    pub(super) admission: Admission,
    /// Whether its provider is of version 4 or later: those before throw on CLOSE, Ping and Pong.
    pub(super) modern: bool,
    /// The channels by routing key.
    pub(super) keys: BTreeMap<Arc<str>, ChannelId>,
    /// Those of them that have the room's document open.
    pub(super) rooms: BTreeMap<Arc<str>, ChannelId>,
    pub(super) next_index: u16,
    /// When it came.
    pub(super) since: Millis,
    /// How many of its channels name the room.
    pub(super) room_keys: usize,
    /// What waits for its documents to open.
    pub(super) pending_bytes: usize,
    pub(super) backlog: super::backlog::Backlog,
    pub(super) liveness: Liveness,
    /// Whether others have seen something of it that was refused: from then on they see what is logged.
    pub(super) distrusted: bool,
    /// The files that the member looks at, as the room event that said so.
    pub(super) visible: Option<Bytes>,
    /// What of its channels goes into its facts.
    pub(super) unsettled: Unsettled,
    /// The facts that were saved last.
    pub(super) saved: Bytes,
    /// Whether its facts may have changed since.
    pub(super) touched: bool,
}

impl Session {
    pub(super) fn new(visitor: Visitor, now: Millis) -> Self {
        Self {
            dialect: visitor.dialect,
            admission: Admission::beginning(visitor.token),
            modern: false,
            keys: BTreeMap::new(),
            rooms: BTreeMap::new(),
            next_index: 1,
            since: now,
            room_keys: 0,
            pending_bytes: 0,
            backlog: Default::default(),
            liveness: Liveness::new(now),
            distrusted: false,
            visible: None,
            unsettled: Unsettled::default(),
            saved: Bytes::new(),
            touched: true,
        }
    }

    /// A channel of this routing key is another one of the session's.
    pub(super) fn add_key(&mut self, id: ChannelId, channel: &Channel) {
        self.keys.insert(channel.key.clone(), id);
        self.room_keys += usize::from(channel.is_room());
    }

    pub(super) fn forget_key(&mut self, channel: &Channel) {
        self.keys.remove(&channel.key);
        self.room_keys -= usize::from(channel.is_room());
    }

    /// Whether it may have this channel too. The room does not count, once.
    fn has_room_for(&self, channel: &Channel) -> bool {
        let rooms = self.room_keys + usize::from(channel.is_room());
        self.keys.len() + 1 - rooms.min(1) <= limits::CHANNELS
    }

    /// When something is to be done about it unless it changes: its token, its answer, its socket.
    pub(super) fn due_at(&self) -> Option<Millis> {
        let due = [self.admission_at(), self.liveness.gives_up_at(), self.backlog.gives_up_at()];
        due.into_iter().flatten().min()
    }

    pub(super) fn is_hocuspocus(&self) -> bool {
        self.dialect == Dialect::Hocuspocus
    }
}

impl Hub {
    /// A socket was accepted.
    pub fn connect(&mut self, session: SessionId, visitor: Visitor, now: Millis) {
        if self.sessions.len() >= limits::SESSIONS {
            let reason = "too-many-sessions".to_owned();
            self.effects.push(Effect::Close { session, code: CloseCode::RateLimited, reason });
            return;
        }
        if self.sessions.is_empty() {
            self.keepalive_at = now + limits::KEEPALIVE_MS;
        }
        let document = match &visitor.dialect {
            Dialect::YWebsocket { document } => Some(document.clone()),
            Dialect::Hocuspocus => None,
        };
        self.sessions.insert(session, Session::new(visitor, now));
        if let Some(document) = document
            && let Some(channel) = self.new_channel(session, &document)
        {
            self.show_token(channel, "", now);
        }
    }

    /// A frame of the socket. Bounded before it is parsed; an unreadable one ends the session.
    pub fn receive(&mut self, session: SessionId, frame: Frame, now: Millis) {
        if self.has_run_out(session, now) {
            return;
        }
        let Some(known) = self.sessions.get_mut(&session) else { return };
        known.backlog.heard();
        known.touched |= known.liveness.heard();
        let hocuspocus = known.is_hocuspocus();
        if !self.pays(session, Fare::Frame(frame.len()), now) {
            return self.close(session, CloseCode::RateLimited, "too-fast", now);
        }
        match frame {
            Frame::Text(frame) => self.receive_text(session, &frame, now),
            Frame::Binary(frame) if hocuspocus => self.receive_envelope(session, frame, now),
            Frame::Binary(frame) => self.receive_bare(session, frame, now),
        }
        if !self.link.is_up() {
            self.store_outbox();
        }
    }

    /// The socket is gone, however it went.
    pub fn disconnect(&mut self, session: SessionId, now: Millis) {
        let Some(known) = self.sessions.get(&session) else { return };
        let channels: Vec<ChannelId> = known.keys.values().copied().collect();
        self.may_come_back(session, &channels, now);
        for channel in channels {
            self.leave(channel, now);
        }
        self.forget_at_origin(session);
        self.sessions.remove(&session);
        self.ask_texts(now);
    }

    /// Ends a session from this side.
    pub(super) fn close(&mut self, session: SessionId, code: CloseCode, reason: &str, now: Millis) {
        if self.sessions.contains_key(&session) {
            self.disconnect(session, now);
            self.effects.push(Effect::Close { session, code, reason: reason.to_owned() });
        }
    }

    fn receive_envelope(&mut self, session: SessionId, frame: Bytes, now: Millis) {
        if frame.len() > limits::FRAME_BYTES {
            return self.refuse_oversized(session, &frame, now);
        }
        let (key, opens): (Arc<str>, bool) = match hocuspocus::read_client(&frame) {
            Ok(ClientInput::Pong) => return,
            Ok(ClientInput::Frame(read)) if !text::is_text_key(read.key) => {
                (read.key.into(), matches!(read.message, ClientMessage::Token { .. }))
            }
            Ok(ClientInput::Frame(_)) => return self.close(session, CloseCode::BadFrame, "bad-frame", now),
            Err(_) => return self.close(session, CloseCode::BadFrame, "bad-frame", now),
        };
        let known = self.sessions.get(&session).and_then(|s| s.keys.get(&key)).copied();
        match known.or_else(|| self.new_channel(session, &key)) {
            Some(channel) => self.receive_on(channel, frame, now),
            // Only the document: the stock provider would come back for all of them again.
            None if opens => {
                let denied = ServerMessage::PermissionDenied { reason: "too-many-documents" };
                self.send(session, hocuspocus::write_server(&key, &denied));
            }
            None => {}
        }
    }

    fn receive_bare(&mut self, session: SessionId, frame: Bytes, now: Millis) {
        if frame.len() > limits::FRAME_BYTES {
            let reason = format!("a message takes {} bytes of at most {}", frame.len(), limits::FRAME_BYTES);
            return self.refuse_full(session, &reason, now);
        }
        if yjs::read_y(&frame).is_err() {
            return self.close(session, CloseCode::BadFrame, "bad-frame", now);
        }
        let channel = self.sessions.get(&session).and_then(|s| s.keys.values().next()).copied();
        if let Some(channel) = channel {
            self.receive_on(channel, frame, now);
        }
    }

    /// Of a frame that is too large only key and type are read; the document is closed, the socket stays.
    fn refuse_oversized(&mut self, session: SessionId, frame: &[u8], now: Millis) {
        let Ok((key, _)) = hocuspocus::read_head(frame) else {
            return self.close(session, CloseCode::BadFrame, "bad-frame", now);
        };
        let known = self.sessions.get(&session).and_then(|s| s.keys.get(key)).copied();
        match known {
            Some(channel) => self.close_channel(channel, CloseCode::TooLarge, "file-too-large", now),
            None => {
                let frame = self.goodbye(session, key, "file-too-large");
                self.send(session, frame);
            }
        }
    }

    /// Says that a document is closed, in the words that the client's version understands.
    pub(super) fn goodbye(&self, session: SessionId, key: &str, reason: &str) -> Bytes {
        let modern = self.sessions.get(&session).is_some_and(|session| session.modern);
        let message =
            if modern { ServerMessage::Close { reason } } else { ServerMessage::PermissionDenied { reason } };
        hocuspocus::write_server(key, &message)
    }

    pub(super) fn touch(&mut self, session: SessionId) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.touched = true;
        }
    }

    pub(super) fn new_channel(&mut self, session: SessionId, key: &str) -> Option<ChannelId> {
        let known = self.sessions.get_mut(&session)?;
        let made = Channel::new(key.into(), !known.is_hocuspocus());
        if !known.has_room_for(&made) {
            return None;
        }
        let channel = loop {
            let candidate = session.channel(known.next_index);
            known.next_index = known.next_index.checked_add(1).unwrap_or(1);
            if !self.channels.contains_key(&candidate) {
                break candidate;
            }
        };
        known.add_key(channel, &made);
        known.touched = true;
        self.channels.insert(channel, made);
        Some(channel)
    }
}

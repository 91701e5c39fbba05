//! A channel: one routing key of a session, from its first frame to its end.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Denial, Effect, Hub,
    clocks::Clocks,
    pace::Paid,
    receipts::Receipts,
    text::{self, Told},
};
use crate::{
    Millis,
    close::CloseCode,
    grant::Role,
    id::{ChannelId, FileId, FilePath},
    limits,
    wire::{
        hocuspocus::{self, ClientInput, ClientMessage, ServerMessage},
        link::HubMessage,
        yjs::{self, SyncMessage, YMessage},
    },
};

/// How far a channel has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No token yet.
    Stranger,
    /// The token is being verified.
    Admitting,
    /// The origin is asked for the document.
    Opening,
    /// The document is open.
    Open(FileId),
    /// Closed from this side, with this reason; it may show a token again.
    Closed(Arc<str>),
}

/// What a hub knows of a channel.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) key: Arc<str>,
    /// Whether its frames have no envelope (y-websocket).
    pub(super) bare: bool,
    pub(super) stage: Stage,
    /// The path of its document, once it is open; the room has none.
    pub(super) path: Option<FilePath>,
    /// What the member may do in the document.
    pub(super) role: Role,
    /// Frames that wait until the document is open.
    pub(super) pending: VecDeque<Bytes>,
    pub(super) receipts: Receipts,
    /// Where its updates have ended.
    pub(super) clocks: Clocks,
    /// The client's Step1 that was not answered yet.
    pub(super) step1: Option<Bytes>,
    /// The number of the question to the origin that waits for its answer.
    pub(super) asked: u64,
    /// Whether the client is to be asked with Step1, once the log's state vector is known.
    pub(super) probing: bool,
    /// The awareness clients it speaks for, with their clocks.
    pub(super) clients: BTreeMap<u64, u64>,
    /// Whether it was shown what others show, which providers before version 4 repeat.
    pub(super) was_shown_others: bool,
    /// Whether its client was asked for all that it knows, of others too, beside what every client is asked.
    pub(super) was_asked_to_show: bool,
    /// The text that a channel of text frames has.
    pub(super) told: Told,
    /// What of its opening is still to come, which was paid with it.
    pub(super) paid: Paid,
}

/// A frame's message, whatever the dialect.
pub(super) enum Message<'a> {
    Sync(SyncMessage<'a>),
    Awareness(&'a [u8]),
    Token { token: &'a str, version: Option<&'a str> },
    QueryAwareness,
    Stateless(&'a str),
    Leave,
    Forbidden,
    Unknown,
}

impl Channel {
    pub(super) fn new(key: Arc<str>, bare: bool) -> Self {
        Self {
            key,
            bare,
            stage: Stage::Stranger,
            path: None,
            role: Role::Viewer,
            pending: VecDeque::new(),
            receipts: Receipts::default(),
            clocks: Clocks::default(),
            step1: None,
            asked: 0,
            probing: false,
            clients: BTreeMap::new(),
            was_shown_others: false,
            was_asked_to_show: false,
            told: Told::Nothing,
            paid: Paid::default(),
        }
    }

    /// The document that it names.
    pub(super) fn name(&self) -> &str {
        match self.key.strip_prefix(text::MARK) {
            Some(name) => name,
            None if self.bare => &self.key,
            None => hocuspocus::document_name(&self.key),
        }
    }

    /// Whether it names the room itself.
    pub(super) fn is_room(&self) -> bool {
        self.name() == limits::ROOM_DOCUMENT
    }

    /// Whether it speaks text frames.
    pub(super) fn is_text(&self) -> bool {
        text::is_text_key(&self.key)
    }

    pub(super) fn file(&self) -> Option<&FileId> {
        match &self.stage {
            Stage::Open(file) => Some(file),
            _ => None,
        }
    }

    pub(super) fn may_edit(&self) -> bool {
        self.role.may_edit()
    }

    /// Writes a sync message in the channel's dialect.
    pub(super) fn sync_frame(&self, message: SyncMessage<'_>) -> Bytes {
        if self.bare {
            yjs::write_y(&YMessage::Sync(message))
        } else {
            hocuspocus::write_server(&self.key, &ServerMessage::Sync(message))
        }
    }

    /// Writes an awareness update in the channel's dialect.
    pub(super) fn awareness_frame(&self, update: &[u8]) -> Bytes {
        if self.bare {
            yjs::write_y(&YMessage::Awareness(update))
        } else {
            hocuspocus::write_server(&self.key, &ServerMessage::Awareness(update))
        }
    }

    /// Asks, in the channel's dialect, for all awareness states that the client knows.
    pub(super) fn query_frame(&self) -> Bytes {
        if self.bare {
            yjs::write_y(&YMessage::QueryAwareness)
        } else {
            hocuspocus::write_server(&self.key, &ServerMessage::QueryAwareness)
        }
    }

    fn read<'a>(&self, frame: &'a [u8]) -> Option<Message<'a>> {
        if self.bare {
            return Some(match yjs::read_y(frame).ok()? {
                YMessage::Sync(message) => Message::Sync(message),
                YMessage::Awareness(update) => Message::Awareness(update),
                YMessage::QueryAwareness => Message::QueryAwareness,
                _ => Message::Unknown,
            });
        }
        let ClientInput::Frame(read) = hocuspocus::read_client(frame).ok()? else { return None };
        Some(match read.message {
            ClientMessage::Sync(message) => Message::Sync(message),
            ClientMessage::Awareness(update) => Message::Awareness(update),
            ClientMessage::Token { token, version } => Message::Token { token, version },
            ClientMessage::QueryAwareness => Message::QueryAwareness,
            ClientMessage::Stateless(payload) => Message::Stateless(payload),
            ClientMessage::Close => Message::Leave,
            ClientMessage::SyncReply(_) | ClientMessage::BroadcastStateless(_) => Message::Forbidden,
            ClientMessage::Unknown(_) => Message::Unknown,
        })
    }
}

impl Hub {
    /// Handles a frame that was parsed once; what comes before its document is open waits.
    pub(super) fn receive_on(&mut self, id: ChannelId, frame: Bytes, now: Millis) {
        let Some(channel) = self.channels.get(&id) else { return };
        if channel.is_text() {
            return self.receive_text_on(id, frame, now);
        }
        let Some(message) = channel.read(&frame) else { return };
        match message {
            Message::Token { token, version } => {
                let token = token.to_owned();
                self.note_version(id, version);
                self.show_token(id, &token, now);
            }
            Message::Leave => {
                let modern = self.sessions.get(&id.session()).is_some_and(|session| session.modern);
                let answer = self.goodbye(id.session(), &channel.key, "provider_initiated");
                self.leave(id, now);
                if modern {
                    self.send(id.session(), answer);
                }
            }
            message => match channel.stage.clone() {
                Stage::Open(file) => self.receive_open(id, &file, message, &frame, now),
                // Stock providers send what is typed on a closed document all the same: its author is told.
                Stage::Closed(reason) if matches!(message, Message::Sync(SyncMessage::Update(_))) => {
                    let frame = self.goodbye(id.session(), &channel.key, &reason);
                    self.send(id.session(), frame);
                }
                Stage::Closed(_) => {}
                _ => self.keep_pending(id, frame, now),
            },
        }
    }

    /// The channel leaves its document: its presence ends, the origin is told.
    pub(super) fn leave(&mut self, id: ChannelId, now: Millis) {
        let Some(channel) = self.channels.get(&id) else { return };
        let known_to_origin = matches!(channel.stage, Stage::Opening | Stage::Open(_));
        self.withdraw(id, now);
        self.drop_pending(id);
        let Some(channel) = self.channels.remove(&id) else { return };
        if let Some(session) = self.sessions.get_mut(&id.session()) {
            session.forget_key(&channel);
            session.touched = true;
        }
        if known_to_origin {
            self.say(HubMessage::Close { channel: id });
        }
    }

    /// Takes the channel out of its document, but keeps it known.
    fn withdraw(&mut self, id: ChannelId, now: Millis) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let Stage::Open(file) = channel.stage.clone() else { return };
        channel.clients.clear();
        if file.is_room() {
            let key = channel.key.clone();
            self.end_visible_files(id);
            if let Some(session) = self.sessions.get_mut(&id.session()) {
                session.rooms.remove(&key);
            }
        }
        self.effects.push(Effect::DropChannel { channel: id });
        if let Some(document) = self.documents.get_mut(&file) {
            document.remove(id);
        }
        self.end_presence(&file, id, now);
        if self.documents.get(&file).is_some_and(|document| document.is_unused()) {
            self.documents.remove(&file);
        }
    }

    /// Closes the document on this channel, with a reason; the socket stays (a y-websocket is the document).
    pub(super) fn close_channel(&mut self, id: ChannelId, code: CloseCode, reason: &str, now: Millis) {
        let Some(channel) = self.channels.get(&id) else { return };
        if channel.bare {
            return self.close(id.session(), code, reason, now);
        }
        let frame = (!channel.is_text()).then(|| self.goodbye(id.session(), &channel.key, reason));
        let known_to_origin = matches!(channel.stage, Stage::Opening | Stage::Open(_));
        self.withdraw(id, now);
        self.drop_pending(id);
        if let Some(channel) = self.channels.get_mut(&id) {
            *channel =
                Channel { stage: Stage::Closed(reason.into()), ..Channel::new(channel.key.clone(), false) };
        }
        self.touch(id.session());
        if known_to_origin {
            self.say(HubMessage::Close { channel: id });
        }
        match frame {
            Some(frame) => self.send(id.session(), frame),
            None => self.tell_text_error(id, reason, "the file is closed"),
        }
    }

    /// Refuses the token; the client may show another one on the same socket.
    pub(super) fn deny_channel(&mut self, id: ChannelId, denial: &Denial, now: Millis) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if matches!(channel.stage, Stage::Open(_)) {
            return self.close_channel(id, denial.code, &denial.reason, now);
        }
        channel.stage = Stage::Stranger;
        if channel.is_text() {
            return self.deny_text(id, denial, now);
        }
        let frame = hocuspocus::write_server(
            &channel.key,
            &ServerMessage::PermissionDenied { reason: &denial.reason },
        );
        self.drop_pending(id);
        self.send(id.session(), frame);
    }

    fn note_version(&mut self, id: ChannelId, version: Option<&str>) {
        let major = version.and_then(|v| v.split('.').next()).and_then(|v| v.parse::<u32>().ok());
        if let (Some(session), Some(4..)) = (self.sessions.get_mut(&id.session()), major) {
            session.modern = true;
            session.touched = true;
        }
    }
}

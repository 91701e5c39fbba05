//! What goes into a hub and what comes out of it.

use bytes::Bytes;

use crate::{
    close::CloseCode,
    id::{ChannelId, SessionId},
    wire::link::HubMessage,
};

/// Why a client or a link is given up that gives no sign of life.
pub const NO_ANSWER: &str = "no-answer";

/// What a hub needs to know when it is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name: `room~region`, or `direct~ORIGIN_ID`.
    pub name: String,
    /// Whether it can be evicted while its sockets stay, so that snapshots must be saved.
    pub durable: bool,
}

/// What a socket speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The Hocuspocus envelope: many documents on one socket.
    Hocuspocus,
    /// y-websocket: one document, named by the URL.
    YWebsocket {
        /// A file path or file id.
        document: String,
    },
}

/// A socket that has just been accepted.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// What it speaks.
    pub dialect: Dialect,
    /// The token of the upgrade (`?token=` or subprotocol). A y-websocket client has no other way.
    pub token: Option<String>,
}

/// One WebSocket message.
#[derive(Clone, Debug)]
pub enum Frame {
    /// A protocol frame.
    Binary(Bytes),
    /// A room event in JSON.
    Text(String),
}

impl Frame {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Binary(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        }
    }
}

/// What a shell is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send one binary frame to each of these sessions.
    Send {
        /// The receivers.
        to: Vec<SessionId>,
        /// The frame, encoded once for all.
        frame: Bytes,
    },
    /// Send one text frame.
    SendText {
        /// The receiver.
        to: SessionId,
        /// The JSON.
        text: String,
    },
    /// Tell [`super::Hub::backlog`] what the socket still has to send after all that, also if it is nothing.
    Look {
        /// The session.
        session: SessionId,
    },
    /// Close the socket. The hub has already forgotten it.
    Close {
        /// The session.
        session: SessionId,
        /// Why.
        code: CloseCode,
        /// Why, in a stable word; at most 123 bytes.
        reason: String,
    },
    /// Verify the token and answer with [`super::Hub::admitted`].
    Admit {
        /// The channel that waits for the verdict.
        channel: ChannelId,
        /// The token as the client sent it.
        token: String,
    },
    /// Send these messages over the link, as one frame.
    Link(Vec<HubMessage>),
    /// Ask an origin to dial.
    Dial,
    /// Close the link.
    DropLink(LinkEnd),
    /// Keep this snapshot with the socket (the attachment of a hibernatable WebSocket; at most 12 KB).
    SaveSession {
        /// The session.
        session: SessionId,
        /// What [`super::Hub::rebuild`] wants back.
        snapshot: Bytes,
    },
    /// Keep a row for a document that a channel has open.
    SaveChannel {
        /// The channel.
        channel: ChannelId,
        /// What [`super::Hub::rebuild`] wants back.
        row: Bytes,
    },
    /// Forget that row.
    DropChannel {
        /// The channel.
        channel: ChannelId,
    },
    /// Keep a row of unacknowledged changes.
    SaveOutbox {
        /// The row's number: the hub's number of its first change.
        row: u64,
        /// What [`super::Hub::rebuild`] wants back.
        bytes: Bytes,
    },
    /// Forget that row: all its changes are settled.
    ForgetOutbox {
        /// The row's number.
        row: u64,
    },
    /// Keep this snapshot with the link's socket.
    SaveLink {
        /// What [`super::Hub::rebuild`] wants back.
        snapshot: Bytes,
    },
}

/// Why a hub ends its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// It gives no sign of life: another origin may do better.
    NoAnswer,
    /// Nobody is here and nothing is owed.
    Idle,
}

impl LinkEnd {
    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoAnswer => NO_ANSWER,
            Self::Idle => "idle",
        }
    }
}

/// What a shell has kept when the hub was evicted.
#[derive(Clone, Debug, Default)]
pub struct Persisted {
    /// The sockets that are still there, with their snapshots (empty, if none were saved).
    pub sessions: Vec<(SessionId, Bytes)>,
    /// The rows of open documents.
    pub channels: Vec<(ChannelId, Bytes)>,
    /// The rows of the outbox, by number.
    pub outbox: Vec<(u64, Bytes)>,
    /// The snapshot of the link, if its socket is still there (empty, if none were saved).
    pub link: Option<Bytes>,
}

//! The Hocuspocus envelope: many documents on one socket, each frame headed by its document's routing key.
//!
//! Frames as providers 2 to 4 write and read them. Bytes after a known payload are ignored, as they do.

use bytes::Bytes;

pub use super::yjs::FrameError;
use super::{
    varint::{Reader, Writer},
    yjs::SyncMessage,
};
use crate::limits;

/// The whole frame of a keepalive to a provider of version 4; the whole answer is [`PONG`].
pub const PING: &[u8] = &[9];
/// The whole frame that answers [`PING`].
pub const PONG: &[u8] = &[10];

const SYNC: u64 = 0;
const AWARENESS: u64 = 1;
const AUTH: u64 = 2;
const QUERY_AWARENESS: u64 = 3;
const SYNC_REPLY: u64 = 4;
const STATELESS: u64 = 5;
const BROADCAST_STATELESS: u64 = 6;
const CLOSE: u64 = 7;
const SYNC_STATUS: u64 = 8;

const AUTH_TOKEN: u64 = 0;
const AUTH_DENIED: u64 = 1;
const AUTH_GRANTED: u64 = 2;

/// What a client sends: a frame of one document, or the answer to a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientInput<'a> {
    /// The answer to [`PING`].
    Pong,
    /// A frame of one document.
    Frame(ClientFrame<'a>),
}

/// A frame of one document, from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFrame<'a> {
    /// The routing key, which answers repeat byte for byte.
    pub key: &'a str,
    /// What the client says.
    pub message: ClientMessage<'a>,
}

/// What a client says of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// A message of the sync protocol.
    Sync(SyncMessage<'a>),
    /// An awareness update, as [`super::yjs::read_awareness`] reads it.
    Awareness(&'a [u8]),
    /// Lets itself in, or renews its token.
    Token {
        /// The token; empty if there is none.
        token: &'a str,
        /// The provider's version; only providers of version 4 and later say it.
        version: Option<&'a str>,
    },
    /// Asks for every awareness state.
    QueryAwareness,
    /// Between servers only; a client that sends it is out of order.
    SyncReply(SyncMessage<'a>),
    /// A message of the application.
    Stateless(&'a str),
    /// Between servers only; a client that sends it is out of order.
    BroadcastStateless(&'a str),
    /// Leaves the document.
    Close,
    /// A type that a client has no use for; to be ignored.
    Unknown(u64),
}

/// What a server says of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    /// A message of the sync protocol.
    Sync(SyncMessage<'a>),
    /// An awareness update.
    Awareness(&'a [u8]),
    /// Asks for a token frame. Providers know it since 3.3.
    TokenRequest,
    /// The document is not opened; the socket stays.
    PermissionDenied {
        /// Why.
        reason: &'a str,
    },
    /// The document is open.
    Authenticated {
        /// `read-write` or `readonly`.
        scope: &'a str,
    },
    /// Asks for every awareness state that the client knows.
    QueryAwareness,
    /// Between servers only.
    SyncReply(SyncMessage<'a>),
    /// A message of the application.
    Stateless(&'a str),
    /// Between servers only.
    BroadcastStateless(&'a str),
    /// The document is closed; the socket stays and the provider does not come back by itself.
    Close {
        /// Why.
        reason: &'a str,
    },
    /// Answers one change: whether it was taken.
    SyncStatus(bool),
    /// A type that this code does not know.
    Unknown(u64),
}

/// Reads a client's frame.
pub fn read_client(frame: &[u8]) -> Result<ClientInput<'_>, FrameError> {
    if frame == PONG {
        return Ok(ClientInput::Pong);
    }
    let mut reader = Reader::new(frame);
    let (key, kind) = head(&mut reader)?;
    let message = match kind {
        SYNC => ClientMessage::Sync(SyncMessage::read(&mut reader)?),
        AWARENESS => ClientMessage::Awareness(reader.bytes()?),
        AUTH => token(&mut reader)?,
        QUERY_AWARENESS => ClientMessage::QueryAwareness,
        SYNC_REPLY => ClientMessage::SyncReply(SyncMessage::read(&mut reader)?),
        STATELESS => ClientMessage::Stateless(reader.text()?),
        BROADCAST_STATELESS => ClientMessage::BroadcastStateless(reader.text()?),
        CLOSE => ClientMessage::Close,
        unknown => ClientMessage::Unknown(unknown),
    };
    Ok(ClientInput::Frame(ClientFrame { key, message }))
}

/// Reads only routing key and type: enough to answer a frame that is too large to be read.
pub fn read_head(frame: &[u8]) -> Result<(&str, u64), FrameError> {
    head(&mut Reader::new(frame))
}

/// The document that a routing key names: all before the first NUL. After it comes a session id, which an
/// empty rest stands for the lack of.
pub fn document_name(key: &str) -> &str {
    key.split_once('\0').map_or(key, |(name, _)| name)
}

fn head<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, u64), FrameError> {
    let key = reader.text()?;
    if key.len() > limits::KEY_BYTES {
        return Err(FrameError::Key);
    }
    Ok((key, reader.var(u64::MAX)?))
}

fn token<'a>(reader: &mut Reader<'a>) -> Result<ClientMessage<'a>, FrameError> {
    match reader.var(u64::MAX)? {
        AUTH_TOKEN => {}
        kind => return Err(FrameError::Kind(AUTH, kind)),
    }
    let token = reader.text()?;
    let version = if reader.left() > 0 { Some(reader.text()?) } else { None };
    Ok(ClientMessage::Token { token, version })
}

/// Writes a frame of a server.
pub fn write_server(key: &str, message: &ServerMessage<'_>) -> Bytes {
    match *message {
        ServerMessage::Sync(message) => write_sync(key, SYNC, message),
        ServerMessage::Awareness(update) => write(key, AWARENESS, |writer| writer.bytes(update)),
        ServerMessage::TokenRequest => write(key, AUTH, |writer| writer.var(AUTH_TOKEN)),
        ServerMessage::PermissionDenied { reason } => write(key, AUTH, |writer| {
            writer.var(AUTH_DENIED);
            writer.text(reason);
        }),
        ServerMessage::Authenticated { scope } => write(key, AUTH, |writer| {
            writer.var(AUTH_GRANTED);
            writer.text(scope);
        }),
        ServerMessage::QueryAwareness => write(key, QUERY_AWARENESS, |_| {}),
        ServerMessage::SyncReply(message) => write_sync(key, SYNC_REPLY, message),
        ServerMessage::Stateless(payload) => write(key, STATELESS, |writer| writer.text(payload)),
        ServerMessage::BroadcastStateless(payload) => {
            write(key, BROADCAST_STATELESS, |writer| writer.text(payload))
        }
        ServerMessage::Close { reason } => write(key, CLOSE, |writer| writer.text(reason)),
        ServerMessage::SyncStatus(applied) => write(key, SYNC_STATUS, |writer| writer.var(applied.into())),
        ServerMessage::Unknown(unknown) => write(key, unknown, |_| {}),
    }
}

/// Reads a server's frame, as a client does. [`PING`] is not one: compare with it first.
pub fn read_server(frame: &[u8]) -> Result<(&str, ServerMessage<'_>), FrameError> {
    let mut reader = Reader::new(frame);
    let (key, kind) = head(&mut reader)?;
    let message = match kind {
        SYNC => ServerMessage::Sync(SyncMessage::read(&mut reader)?),
        AWARENESS => ServerMessage::Awareness(reader.bytes()?),
        AUTH => match reader.var(u64::MAX)? {
            AUTH_TOKEN => ServerMessage::TokenRequest,
            AUTH_DENIED => ServerMessage::PermissionDenied { reason: reader.text()? },
            AUTH_GRANTED => ServerMessage::Authenticated { scope: reader.text()? },
            kind => return Err(FrameError::Kind(AUTH, kind)),
        },
        QUERY_AWARENESS => ServerMessage::QueryAwareness,
        SYNC_REPLY => ServerMessage::SyncReply(SyncMessage::read(&mut reader)?),
        STATELESS => ServerMessage::Stateless(reader.text()?),
        BROADCAST_STATELESS => ServerMessage::BroadcastStateless(reader.text()?),
        CLOSE => ServerMessage::Close { reason: reader.text()? },
        SYNC_STATUS => ServerMessage::SyncStatus(reader.var(1)? == 1),
        unknown => ServerMessage::Unknown(unknown),
    };
    Ok((key, message))
}

/// Writes a frame of a client.
pub fn write_client(key: &str, message: &ClientMessage<'_>) -> Bytes {
    match *message {
        ClientMessage::Sync(message) => write_sync(key, SYNC, message),
        ClientMessage::Awareness(update) => write(key, AWARENESS, |writer| writer.bytes(update)),
        ClientMessage::Token { token, version } => write(key, AUTH, |writer| {
            writer.var(AUTH_TOKEN);
            writer.text(token);
            if let Some(version) = version {
                writer.text(version);
            }
        }),
        ClientMessage::QueryAwareness => write(key, QUERY_AWARENESS, |_| {}),
        ClientMessage::SyncReply(message) => write_sync(key, SYNC_REPLY, message),
        ClientMessage::Stateless(payload) => write(key, STATELESS, |writer| writer.text(payload)),
        ClientMessage::BroadcastStateless(payload) => {
            write(key, BROADCAST_STATELESS, |writer| writer.text(payload))
        }
        ClientMessage::Close => write(key, CLOSE, |_| {}),
        ClientMessage::Unknown(unknown) => write(key, unknown, |_| {}),
    }
}

fn write(key: &str, kind: u64, payload: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::default();
    writer.text(key);
    writer.var(kind);
    payload(&mut writer);
    writer.finish()
}

fn write_sync(key: &str, kind: u64, message: SyncMessage<'_>) -> Bytes {
    let mut writer = Writer::with_capacity(key.len() + message.payload().len() + 16);
    writer.text(key);
    writer.var(kind);
    message.write(&mut writer);
    writer.finish()
}

//! What a client says on a channel, whatever its dialect.

use super::routing_key::RoutingKey;
use crate::wire::{
    hocuspocus::{self, ClientInput, ClientMessage},
    yjs::{self, SyncMessage, YMessage},
};

/// The message of a binary frame.
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

impl<'a> Message<'a> {
    /// Reads a frame that is known to be well-formed.
    pub(super) fn read(key: &RoutingKey, frame: &'a [u8]) -> Option<Self> {
        if key.is_bare() {
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

//! What a channel is called on its socket, and so what its frames look like: in the Hocuspocus envelope, bare
//! (y-websocket), or JSON in text frames.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    limits,
    wire::{
        hocuspocus::{self, ServerMessage},
        yjs::{self, SyncMessage, YMessage},
    },
};

/// The first character of the routing key of a channel of text frames. No binary frame can have it.
const TEXT_MARK: char = '\0';

/// The routing key of a channel, and whether its frames have no envelope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoutingKey {
    key: Arc<str>,
    bare: bool,
}

/// Whether a key is one of a channel of text frames.
pub(super) fn is_text_key(key: &str) -> bool {
    key.starts_with(TEXT_MARK)
}

/// The key of the channel of text frames for a document.
pub(super) fn text_key(name: &str) -> String {
    format!("{TEXT_MARK}{name}")
}

/// CLOSE for providers that know it, else PermissionDenied: a provider before version 4 throws on CLOSE.
pub(super) fn close_frame(key: &str, reason: &str, modern: bool) -> Bytes {
    let message =
        if modern { ServerMessage::Close { reason } } else { ServerMessage::PermissionDenied { reason } };
    hocuspocus::write_server(key, &message)
}

impl RoutingKey {
    pub(super) fn new(key: &str, bare: bool) -> Self {
        Self { key: key.into(), bare }
    }

    /// The key as the client wrote it.
    pub(super) fn as_arc(&self) -> &Arc<str> {
        &self.key
    }

    /// Whether its frames have no envelope (y-websocket).
    pub(super) fn is_bare(&self) -> bool {
        self.bare
    }

    /// Whether it speaks text frames.
    pub(super) fn is_text(&self) -> bool {
        !self.bare && is_text_key(&self.key)
    }

    /// The document that it names.
    pub(super) fn name(&self) -> &str {
        match self.key.strip_prefix(TEXT_MARK) {
            _ if self.bare => &self.key,
            Some(name) => name,
            None => hocuspocus::document_name(&self.key),
        }
    }

    /// Whether it names the room itself.
    pub(super) fn is_room(&self) -> bool {
        self.name() == limits::ROOM_DOCUMENT
    }

    /// The same for all channels whose frames are the same bytes.
    pub(super) fn group(&self) -> Self {
        if self.bare { Self::new("", true) } else { self.clone() }
    }

    /// A sync message.
    pub(super) fn sync(&self, message: SyncMessage<'_>) -> Bytes {
        if self.bare {
            yjs::write_y(&YMessage::Sync(message))
        } else {
            self.envelope(&ServerMessage::Sync(message))
        }
    }

    /// An awareness update.
    pub(super) fn awareness(&self, update: &[u8]) -> Bytes {
        if self.bare {
            yjs::write_y(&YMessage::Awareness(update))
        } else {
            self.envelope(&ServerMessage::Awareness(update))
        }
    }

    /// Asks for all awareness states that the client knows.
    pub(super) fn query_awareness(&self) -> Bytes {
        if self.bare {
            yjs::write_y(&YMessage::QueryAwareness)
        } else {
            self.envelope(&ServerMessage::QueryAwareness)
        }
    }

    /// A message of the Hocuspocus protocol; `None` where there is no envelope for it.
    pub(super) fn hocuspocus(&self, message: &ServerMessage<'_>) -> Option<Bytes> {
        (!self.bare && !self.is_text()).then(|| self.envelope(message))
    }

    fn envelope(&self, message: &ServerMessage<'_>) -> Bytes {
        hocuspocus::write_server(&self.key, message)
    }
}

//! Which channel of its session a binary frame is for.

use bytes::Bytes;

use super::{
    change::TOO_LARGE,
    routing_key::{self, close_frame},
    session::Session,
};
use crate::{
    id::ChannelId,
    limits,
    wire::{
        hocuspocus::{self, ClientInput, ClientMessage, ServerMessage},
        yjs,
    },
};

/// Where a binary frame goes.
pub(super) enum Route {
    Channel(ChannelId),
    /// It needs no handling.
    Nowhere,
    /// It cannot be read.
    Malformed,
    /// It is refused with this frame, and the session goes on.
    Answer(Bytes),
    /// It is too large for its document.
    TooLarge(ChannelId),
    /// It is too large for a y-websocket, for this reason.
    Full(String),
}

impl Route {
    /// Finds the channel of a frame by its routing key, and makes it if it is new.
    #[must_use]
    pub(super) fn of(session: &mut Session, frame: &[u8]) -> Self {
        if session.is_hocuspocus() { Self::envelope(session, frame) } else { Self::bare(session, frame) }
    }

    fn envelope(session: &mut Session, frame: &[u8]) -> Self {
        if frame.len() > limits::FRAME_BYTES {
            return Self::oversized(session, frame);
        }
        let (key, opens) = match hocuspocus::read_client(frame) {
            Ok(ClientInput::Pong) => return Self::Nowhere,
            Ok(ClientInput::Frame(read)) if !routing_key::is_text_key(read.key) => {
                (read.key, matches!(read.message, ClientMessage::Token { .. }))
            }
            Ok(ClientInput::Frame(_)) | Err(_) => return Self::Malformed,
        };
        match session.add_channel(key) {
            Some(channel) => Self::Channel(channel),
            None if opens => {
                let denied = ServerMessage::PermissionDenied { reason: "too-many-documents" };
                Self::Answer(hocuspocus::write_server(key, &denied))
            }
            None => Self::Nowhere,
        }
    }

    fn bare(session: &Session, frame: &[u8]) -> Self {
        if frame.len() > limits::FRAME_BYTES {
            let why = format!("a message takes {} bytes of at most {}", frame.len(), limits::FRAME_BYTES);
            return Self::Full(why);
        }
        if yjs::read_y(frame).is_err() {
            return Self::Malformed;
        }
        session.channels().next().map_or(Self::Nowhere, |(channel, _)| Self::Channel(channel))
    }

    /// Of a frame that is too large only the head is read: whose document must be closed.
    fn oversized(session: &Session, frame: &[u8]) -> Self {
        let Ok((key, _)) = hocuspocus::read_head(frame) else { return Self::Malformed };
        match session.by_key(key) {
            Some(channel) => Self::TooLarge(channel),
            None => Self::Answer(close_frame(key, TOO_LARGE, session.is_modern())),
        }
    }
}

//! What sockets bring to the task of their hub.

use std::sync::Arc;

use shared::{
    close::CloseCode,
    grant::Member,
    hub::{Frame, Visitor},
    id::SessionId,
};
use tokio::sync::OwnedSemaphorePermit;

use super::outgoing::Outgoing;

/// Largest WebSocket message that is read at all; the hub refuses smaller ones with a reason.
pub const MESSAGE_BYTES: usize = 32 << 20;
/// What is read from a socket at a time. The library clears as much before every look, of which there is one for
/// each frame that is sent, and a change that is kept holds on to what it was read into: its 128 KiB are too much.
pub const READ_BYTES: usize = 8 << 10;
/// What a hub's task takes in from sockets.
pub(super) enum Input {
    /// A socket was accepted.
    Arrived(Arrival),
    /// A frame of a socket. The permit is its share of what may wait on the hub.
    Frame(SessionId, Frame, OwnedSemaphorePermit),
    /// A socket is gone.
    Gone(SessionId),
}

/// A socket that was accepted.
pub(super) struct Arrival {
    pub(super) session: SessionId,
    pub(super) visitor: Visitor,
    pub(super) guest: Member,
    pub(super) outgoing: Arc<Outgoing>,
}

/// The reason that a socket is closed with when its hub has gone without one.
pub(super) const HUB_GONE: (CloseCode, &str) = (CloseCode::Failed, "hub-failed");

/// How long a frame is.
pub(super) fn bytes_of(frame: &Frame) -> usize {
    match frame {
        Frame::Binary(bytes) => bytes.len(),
        Frame::Text(text) => text.len(),
    }
}

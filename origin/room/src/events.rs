//! What becomes of an event of a member: chat goes through the log, the rest straight to the other hubs.

use bytes::Bytes;
use shared::{
    Millis,
    wire::event::{self, EventIn, EventOut},
};

/// An event that is passed on.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// It is logged.
    Logged(Bytes),
    /// It is not; visible files are remembered for members who come later.
    Unlogged { json: Bytes, keeps: bool },
}

/// Reads an event as its hub has attributed it; a chat message gets this id. `None` if it cannot be read.
pub(crate) fn outgoing(json: &[u8], id: String, now: Millis) -> Option<Outgoing> {
    let attributed = event::read_attributed(json).ok()?;
    let member = attributed.member;
    let (event, keeps) = match attributed.event {
        EventIn::Chat { text } => {
            let chat = EventOut::Chat { id, member, text, at: now * 1000 };
            return Some(Outgoing::Logged(chat.to_json().into()));
        }
        EventIn::VisibleFiles { files } => (EventOut::VisibleFiles { member, files }, true),
        EventIn::Broadcast { data } => (EventOut::Broadcast { member, data }, false),
    };
    Some(Outgoing::Unlogged { json: event.to_json().into(), keeps })
}

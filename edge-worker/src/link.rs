//! The link: the socket that an origin has dialled. An ordinary server socket, so it sleeps with the object.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shared::{
    Millis,
    close::CloseCode,
    wire::link::{HubMessage, LinkError, encode_hub},
};
use wasm_bindgen::JsValue;
use worker::{State, WebSocket, WebSocketPair, console_log, console_warn};

use crate::sockets::{READY_STATE_OPEN, array_buffer, shut, tagged};

/// The tag of the link's socket.
pub(crate) const ORIGIN: &str = "origin";
/// Messages beyond this go into a frame of their own: a replay of the whole outbox is no single frame.
const FRAME_BYTES: usize = 1 << 20;

/// What is kept with the link's socket while the object sleeps.
#[derive(Debug, Serialize, Deserialize)]
struct Attachment {
    since: Millis,
    /// What the hub wants to have kept.
    #[serde(rename = "facts")]
    snapshot: Bytes,
}

/// The link, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Link {
    socket: Option<WebSocket>,
    since: Millis,
    lost: bool,
    /// It has brought something that could be read.
    heard: bool,
}

impl Link {
    /// Finds the link that outlived the object's memory, and the snapshot that was kept with it. Where there are
    /// several, the newest counts and the others are closed.
    pub(crate) fn found(state: &State) -> worker::Result<(Self, Option<Bytes>)> {
        let attached = |socket: &WebSocket| socket.deserialize_attachment::<Attachment>().ok().flatten();
        let sockets = tagged(state, ORIGIN, &[READY_STATE_OPEN])?.into_iter();
        let mut links: Vec<(WebSocket, Attachment)> =
            sockets.filter_map(|socket| attached(&socket).map(|attachment| (socket, attachment))).collect();
        links.sort_by_key(|(_, attachment)| attachment.since);
        let newest = links.pop();
        for (socket, _) in links {
            replace(&socket);
        }
        Ok(match newest {
            Some((socket, Attachment { since, snapshot })) => {
                (Self { socket: Some(socket), since, lost: false, heard: true }, Some(snapshot))
            }
            None => (Self::default(), None),
        })
    }

    /// Takes a new link in the place of the old one; the end that the origin gets.
    pub(crate) fn accept(&mut self, state: &State, now: Millis) -> worker::Result<WebSocket> {
        let pair = WebSocketPair::new()?;
        state.as_raw().accept_websocket_with_tags(pair.server.as_ref(), vec![JsValue::from_str(ORIGIN)])?;
        if let Some(older) = self.socket.replace(pair.server) {
            replace(&older);
        }
        self.since = now;
        self.lost = false;
        self.heard = false;
        self.keep(Bytes::new());
        Ok(pair.client)
    }

    /// Whether events of this socket are events of the link: those of a replaced one are not.
    pub(crate) fn is(&self, socket: &WebSocket) -> bool {
        self.socket.as_ref() == Some(socket)
    }

    /// Something has come that can be read.
    pub(crate) fn hears(&mut self) {
        self.heard = true;
    }

    /// Whether anything has.
    pub(crate) fn has_heard(&self) -> bool {
        self.heard
    }

    /// Whether there is a link.
    pub(crate) fn is_up(&self) -> bool {
        self.socket.is_some()
    }

    /// Sends messages in order.
    pub(crate) fn send(&mut self, messages: &[HubMessage]) {
        let Some(socket) = &self.socket else { return };
        for messages in split(messages) {
            let frame = array_buffer(&encode_hub(messages));
            if socket.as_ref().send_with_array_buffer(&frame).is_err() {
                self.socket = None;
                self.lost = true;
                return;
            }
        }
    }

    /// Whether a send has found the link gone since the last call.
    pub(crate) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// Keeps the hub's snapshot with the socket.
    pub(crate) fn keep(&self, snapshot: Bytes) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.serialize_attachment(Attachment { since: self.since, snapshot })
        {
            console_warn!("link.attachment: {error}");
        }
    }

    /// Closes the link from this side.
    pub(crate) fn leave(&mut self, reason: &str) {
        if let Some(socket) = self.socket.take() {
            console_log!("link.left: {reason}");
            shut(&socket, 1000, reason);
        }
    }

    /// Ends a link that cannot be read.
    pub(crate) fn break_off(&mut self, error: &LinkError) {
        if let Some(socket) = self.socket.take() {
            console_warn!("link.broken: {error}");
            shut(&socket, CloseCode::BadFrame.as_u16(), &error.to_string());
        }
    }

    /// The socket is gone.
    pub(crate) fn forget(&mut self) {
        self.socket = None;
    }
}

fn replace(socket: &WebSocket) {
    shut(socket, CloseCode::Restart.as_u16(), "replaced");
}

/// Splits messages into runs of about [`FRAME_BYTES`], each with one message at least.
fn split(messages: &[HubMessage]) -> impl Iterator<Item = &[HubMessage]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|message| {
            let first = bytes == 0;
            bytes += message.encoded_len();
            first || bytes <= FRAME_BYTES
        });
        let (run, left) = rest.split_at(fits.count());
        rest = left;
        (!run.is_empty()).then_some(run)
    })
}

#[cfg(test)]
mod tests {
    use shared::id::SessionId;

    use super::*;

    #[test]
    fn a_replay_is_cut_into_frames_that_keep_its_order() {
        let event = |fill: u8, bytes: usize| HubMessage::Stats { json: vec![fill; bytes].into() };
        let sizes = [10, FRAME_BYTES, FRAME_BYTES / 2, FRAME_BYTES / 4, FRAME_BYTES / 2, 1];
        let messages: Vec<HubMessage> = (0_u8..).zip(sizes).map(|(fill, bytes)| event(fill, bytes)).collect();
        let runs: Vec<usize> = split(&messages).map(<[_]>::len).collect();
        assert_eq!(runs, [1, 1, 2, 2]);
        assert_eq!(split(&messages).flatten().cloned().collect::<Vec<_>>(), messages);
        assert_eq!(split(&[]).count(), 0);
        // What a frame carries counts whole: text changes and tokens too.
        let text =
            HubMessage::Token { session: SessionId::from_u64(1 << 20), token: "t".repeat(FRAME_BYTES) };
        assert_eq!(split(&[text.clone(), text]).count(), 2);
    }
}

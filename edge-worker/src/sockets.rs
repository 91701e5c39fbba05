//! The sessions' sockets: a cache that is filled from the hibernated sockets, their attachments, and what they still
//! have to send.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use js_sys::{ArrayBuffer, Uint8Array};
use serde::{Deserialize, Serialize};
use shared::{close::CloseCode, grant::Member, id::SessionId};
use wasm_bindgen::JsValue;
use worker::{State, WebSocket, WebSocketPair, console_warn};

/// The tag of every session's socket.
pub(crate) const CLIENT: &str = "client";
/// Of less than this in a socket's buffer the hub need not know.
const BACKLOG_TOLD_BYTES: usize = 64 << 10;
const ATTACHMENT_VERSION: u8 = 1;
/// The socket can be used.
pub(crate) const READY_STATE_OPEN: u16 = 1;
const READY_STATE_CLOSING: u16 = 2;

/// What is kept with a session's socket while the object sleeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attachment {
    v: u8,
    id: u64,
    /// Who came with it, where no token says it.
    #[serde(rename = "stranger")]
    guest: Member,
    /// What the hub wants to have kept.
    #[serde(rename = "facts")]
    snapshot: Bytes,
}

#[derive(Debug)]
struct Socket {
    socket: WebSocket,
    guest: Member,
    backlog: usize,
}

/// The sockets by session.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: BTreeMap<SessionId, Socket>,
    /// Who was sent something since the last look.
    receivers: BTreeSet<SessionId>,
    /// What the hub wants to know of, whatever it is.
    wanted: BTreeSet<SessionId>,
    /// Whose socket took no more.
    gone: Vec<SessionId>,
}

impl Sockets {
    /// Finds the sockets that outlived the object's memory, and the snapshots that were kept with them. One whose
    /// attachment cannot be read is closed: it comes back. One that is just leaving still counts, since what it
    /// showed has to be ended.
    pub(crate) fn found(
        state: &State,
        leaving: Option<&WebSocket>,
    ) -> worker::Result<(Self, Vec<(SessionId, Bytes)>)> {
        let mut sockets = Self::default();
        let mut snapshots = Vec::new();
        let mut known = tagged(state, CLIENT, &[READY_STATE_OPEN, READY_STATE_CLOSING])?;
        if let Some(leaving) = leaving.filter(|leaving| !known.contains(leaving)) {
            known.push(leaving.clone());
        }
        for socket in known {
            match socket.deserialize_attachment::<Attachment>() {
                Ok(Some(attachment)) if attachment.v == ATTACHMENT_VERSION => {
                    let session = SessionId::from_u64(attachment.id);
                    let guest = attachment.guest;
                    sockets.open.insert(session, Socket { socket, guest, backlog: 0 });
                    snapshots.push((session, attachment.snapshot));
                }
                _ => shut(&socket, CloseCode::Restart.as_u16(), CloseCode::Restart.word()),
            }
        }
        Ok((sockets, snapshots))
    }

    /// Accepts a socket so that it may sleep; the end that the client gets.
    pub(crate) fn accept(
        &mut self,
        state: &State,
        session: SessionId,
        guest: Member,
    ) -> worker::Result<WebSocket> {
        let pair = WebSocketPair::new()?;
        let tag = session_tag(session);
        let tags = vec![JsValue::from_str(CLIENT), JsValue::from_str(&tag)];
        state.as_raw().accept_websocket_with_tags(pair.server.as_ref(), tags)?;
        let socket = Socket { socket: pair.server, guest, backlog: 0 };
        socket.keep(session, Bytes::new())?;
        self.open.insert(session, socket);
        Ok(pair.client)
    }

    /// Whether the session has a socket here.
    pub(crate) fn has(&self, session: SessionId) -> bool {
        self.open.contains_key(&session)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Who came with this socket.
    pub(crate) fn guest(&self, session: SessionId) -> Option<&Member> {
        self.open.get(&session).map(|socket| &socket.guest)
    }

    /// Sends one frame to each of these, copied out of the module's memory once for all.
    pub(crate) fn send(&mut self, to: &[SessionId], frame: &[u8]) {
        let buffer = array_buffer(frame);
        for session in to {
            self.send_with(*session, |socket| Ok(socket.as_ref().send_with_array_buffer(&buffer)?));
        }
    }

    /// Sends one text frame.
    pub(crate) fn send_text(&mut self, to: SessionId, text: &str) {
        self.send_with(to, |socket| socket.send_with_str(text));
    }

    /// Closes and forgets the socket.
    pub(crate) fn close(&mut self, session: SessionId, code: CloseCode, reason: &str) {
        if let Some(socket) = self.open.remove(&session) {
            shut(&socket.socket, code.as_u16(), reason);
        }
    }

    /// Forgets the socket.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.open.remove(&session);
    }

    /// Keeps the hub's snapshot with the socket.
    pub(crate) fn keep(&self, session: SessionId, snapshot: Bytes) {
        if let Some(socket) = self.open.get(&session)
            && let Err(error) = socket.keep(session, snapshot)
        {
            console_warn!("session.attachment: {error}");
        }
    }

    /// The sessions whose socket took no more since the last call.
    pub(crate) fn take_gone(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.gone)
    }

    /// The next look is also at this session, and tells of it if it has nothing to send, too.
    pub(crate) fn look_at(&mut self, session: SessionId) {
        self.wanted.insert(session);
    }

    /// What sockets that were sent something since the last look still have to send, where it is worth telling.
    pub(crate) fn look(&mut self) -> Vec<(SessionId, usize)> {
        let (mut receivers, wanted) = (std::mem::take(&mut self.receivers), std::mem::take(&mut self.wanted));
        receivers.extend(&wanted);
        let told = |session: SessionId| {
            let told = self.backlog(session);
            told.or_else(|| wanted.contains(&session).then_some((session, 0)))
        };
        receivers.into_iter().filter_map(told).collect()
    }

    /// The same for every socket that lagged at the last look, whether it was sent something or not.
    pub(crate) fn look_at_laggards(&mut self) -> Vec<(SessionId, usize)> {
        let lagging = self.open.iter().filter(|(_, socket)| socket.backlog > 0);
        let lagging: Vec<SessionId> = lagging.map(|(session, _)| *session).collect();
        lagging.into_iter().filter_map(|session| self.backlog(session)).collect()
    }

    fn backlog(&mut self, session: SessionId) -> Option<(SessionId, usize)> {
        let socket = self.open.get_mut(&session)?;
        let bytes = usize::try_from(socket.socket.as_ref().buffered_amount()).unwrap_or(usize::MAX);
        let bytes = if bytes >= BACKLOG_TOLD_BYTES { bytes } else { 0 };
        let before = std::mem::replace(&mut socket.backlog, bytes);
        (bytes > 0 || before > 0).then_some((session, bytes))
    }

    fn send_with(&mut self, to: SessionId, send: impl FnOnce(&WebSocket) -> worker::Result<()>) {
        let Some(socket) = self.open.get(&to) else { return };
        match send(&socket.socket) {
            Ok(()) => {
                self.receivers.insert(to);
            }
            Err(_) => {
                self.open.remove(&to);
                self.gone.push(to);
            }
        }
    }
}

impl Socket {
    fn keep(&self, session: SessionId, snapshot: Bytes) -> worker::Result<()> {
        let guest = self.guest.clone();
        let attachment = Attachment { v: ATTACHMENT_VERSION, id: session.as_u64(), guest, snapshot };
        self.socket.serialize_attachment(attachment)
    }
}

/// The tag that names a session.
pub(crate) fn session_tag(session: SessionId) -> String {
    format!("s{}", session.as_u64())
}

/// The session that a socket's tags name.
pub(crate) fn tagged_session(tags: &[String]) -> Option<SessionId> {
    let number = tags.iter().find_map(|tag| tag.strip_prefix('s')?.parse().ok())?;
    Some(SessionId::from_u64(number))
}

/// The sockets with a tag that are in one of these states.
pub(crate) fn tagged(state: &State, tag: &str, states: &[u16]) -> worker::Result<Vec<WebSocket>> {
    let sockets = state.as_raw().get_websockets_with_tag(tag)?;
    Ok(sockets
        .into_iter()
        .filter(|socket| states.contains(&socket.ready_state()))
        .map(WebSocket::from)
        .collect())
}

/// Closes a socket; that it is closed already is no error.
pub(crate) fn shut(socket: &WebSocket, code: u16, reason: &str) {
    let end = (0..=reason.len().min(123)).rev().find(|end| reason.is_char_boundary(*end));
    let reason = reason.get(..end.unwrap_or(0)).unwrap_or_default();
    socket.close(Some(code), Some(reason)).ok();
}

/// A copy outside the module's memory.
pub(crate) fn array_buffer(bytes: &[u8]) -> ArrayBuffer {
    Uint8Array::from(bytes).buffer()
}

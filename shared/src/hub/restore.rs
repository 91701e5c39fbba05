//! A hub that was evicted while its sockets stayed, restored from what was saved.
//!
//! Nothing else is trusted. A document with acknowledgements owed is asked with Step1: when the Step2 that answers
//! is logged, that many go out. A session of which too little is known is closed with 1012 and comes back.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    documents::Documents,
    session::Session,
    snapshot::{ChannelRow, SessionSnapshot},
};
use crate::{
    Millis,
    id::{ChannelId, SessionId},
};

/// What could be read back.
#[derive(Debug, Default)]
pub(super) struct Restored {
    pub(super) sessions: Vec<Session>,
    /// Sessions of which too little is known.
    pub(super) unknown: Vec<SessionId>,
    /// Channels whose rows cannot be read, or whose session is gone or not known.
    pub(super) lost: Vec<ChannelId>,
}

impl Restored {
    /// Reads snapshots and rows; the hub's next change has the number `next`.
    pub(super) fn read(
        snapshots: Vec<(SessionId, Bytes)>,
        rows: Vec<(ChannelId, Bytes)>,
        next: u64,
        now: Millis,
    ) -> Self {
        let mut restored = Self::default();
        let mut by_session: BTreeMap<SessionId, Vec<(ChannelId, Bytes)>> = BTreeMap::new();
        for (channel, row) in rows {
            by_session.entry(channel.session()).or_default().push((channel, row));
        }
        for (id, saved) in snapshots {
            let rows = by_session.remove(&id).unwrap_or_default();
            restored.session(id, saved, rows, next, now);
        }
        restored.lost.extend(by_session.into_values().flatten().map(|(channel, _)| channel));
        restored
    }

    fn session(
        &mut self,
        id: SessionId,
        saved: Bytes,
        rows: Vec<(ChannelId, Bytes)>,
        next: u64,
        now: Millis,
    ) {
        let snapshot = SessionSnapshot::read(&saved).filter(|(snapshot, _)| !snapshot.partial);
        let Some((snapshot, mut unsettled)) = snapshot else {
            self.unknown.push(id);
            return self.lost.extend(rows.into_iter().map(|(channel, _)| channel));
        };
        let mut session = Session::restored(id, snapshot, saved, now);
        for (channel, row) in rows {
            match ChannelRow::read(&row) {
                Some(row) => {
                    let unsettled = unsettled.remove(&channel.index()).unwrap_or_default();
                    session.restore_channel(channel.index(), row, unsettled, next);
                }
                None => self.lost.push(channel),
            }
        }
        self.sessions.push(session);
    }
}

/// The documents that a session has open, with what it shows in them.
pub(super) fn documents(documents: &mut Documents, session: &Session) {
    for (id, channel) in session.channels() {
        let Some(file) = channel.file() else { continue };
        if channel.key().is_text() && !file.is_room() {
            continue;
        }
        let document = documents.of(file);
        document.wait(id);
        if !channel.sync.is_unanswered() {
            document.join(id, channel.key());
        }
        for (client, clock) in channel.speaker.clients() {
            document.awareness.restore(*client, *clock, id);
        }
    }
}

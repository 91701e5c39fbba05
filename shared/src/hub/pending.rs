//! What comes before its document is open: it waits, in order, within bounds that a stock provider keeps to, which
//! sends everything for all of its documents at once.

use bytes::Bytes;

use super::{Hub, Session};
use crate::{Millis, close::CloseCode, id::ChannelId, limits};

/// What a frame that waits counts.
pub(super) fn weight(bytes: usize) -> usize {
    bytes + limits::PENDING_FRAME_BYTES
}

impl Session {
    /// How much may wait.
    pub(super) fn pending_most(&self) -> usize {
        match &self.admission {
            admission if admission.grant.is_some() => limits::PENDING_BYTES,
            // Its provider has not waited for the verdict on its first token.
            admission if admission.is_first() => limits::VERIFYING_BYTES,
            _ => limits::STRANGER_BYTES,
        }
    }
}

impl Hub {
    pub(super) fn keep_pending(&mut self, id: ChannelId, frame: Bytes, now: Millis) {
        let Some(session) = self.sessions.get_mut(&id.session()) else { return };
        // One large Step2 of offline work may come before its document is open.
        let alone = session.pending_bytes == 0 && session.admission.grant.is_some();
        if session.pending_bytes + weight(frame.len()) > session.pending_most() && !alone {
            return self.close(id.session(), CloseCode::RateLimited, "too-much-before-open", now);
        }
        session.pending_bytes += weight(frame.len());
        session.touched = true;
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.pending.push_back(frame);
        }
    }

    /// The channel gets no document: what has waited for it is given up, and its text is not asked for.
    pub(super) fn drop_pending(&mut self, id: ChannelId) {
        drop(self.take_pending(id));
        self.forget_text(id);
    }

    /// Handles what has waited for its document.
    pub(super) fn handle_pending(&mut self, id: ChannelId, now: Millis) {
        for frame in self.take_pending(id) {
            self.receive_on(id, frame, now);
        }
    }

    fn take_pending(&mut self, id: ChannelId) -> impl Iterator<Item = Bytes> + use<> {
        let channel = self.channels.get_mut(&id);
        let pending = channel.map(|channel| std::mem::take(&mut channel.pending)).unwrap_or_default();
        if let Some(session) = self.sessions.get_mut(&id.session()) {
            session.pending_bytes -= pending.iter().map(|frame| weight(frame.len())).sum::<usize>();
        }
        pending.into_iter()
    }
}

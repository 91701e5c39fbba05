//! Backpressure: what a socket still has to send, and when it is too much.

use crate::{Millis, limits};

/// A socket's unsent bytes, as the shell last told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backlog {
    bytes: usize,
    /// What of it is the first text of documents that it has just opened: that may be more than typing ever is.
    opening: usize,
    /// The least it has been since it was too much, and since when there was no progress.
    stuck: Option<(usize, Millis)>,
    /// When it was last less than before.
    moved_at: Millis,
}

impl Backlog {
    /// What it still has to send.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Presence is the first thing to go.
    pub(super) fn takes_presence(&self) -> bool {
        self.bytes <= limits::BACKLOG_PRESENCE_BYTES
    }

    /// The client speaks: it is alive, whatever its socket has to send.
    pub(super) fn heard(&mut self) {
        if self.excess() < limits::BACKLOG_STUCK_BYTES {
            self.stuck = None;
        }
    }

    /// A document is sent whole, because its client asked for it, or a change that is as large.
    pub(super) fn opens(&mut self, bytes: usize) {
        self.opening += bytes;
    }

    /// When it has been stuck for too long.
    pub(super) fn gives_up_at(&self) -> Option<Millis> {
        self.stuck.map(|(_, since)| since + limits::BACKLOG_STUCK_MS)
    }

    /// What of it is the first text of documents.
    pub(super) fn opening(&self) -> usize {
        self.opening
    }

    /// Whether nothing of the first texts that it has to send goes out.
    pub(super) fn is_stalled(&self, now: Millis) -> bool {
        self.bytes > 0 && self.opening > 0 && self.moved_at + limits::BACKLOG_STUCK_MS <= now
    }

    /// What it has to send beyond what it has asked for.
    pub(super) fn excess(&self) -> usize {
        self.bytes.saturating_sub(self.opening)
    }

    /// What the socket has to send, as the shell tells it.
    pub(super) fn told(&mut self, bytes: usize, now: Millis) {
        // What has just been added was not there to be sent before.
        if bytes < self.bytes || self.bytes == 0 {
            self.moved_at = now;
        }
        self.bytes = bytes;
        self.opening = self.opening.min(bytes);
        self.stuck = match self.stuck {
            _ if self.excess() < limits::BACKLOG_STUCK_BYTES => None,
            Some((least, since)) if bytes >= least => Some((least, since)),
            _ => Some((bytes, now)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    #[test]
    fn a_socket_without_progress_is_stuck_since_it_was_too_much() {
        let mut backlog = Backlog::default();
        backlog.told(2 * MB, 1_000);
        backlog.told(3 * MB, 2_000);
        assert_eq!(backlog.stuck, Some((2 * MB, 1_000)));
        backlog.told(2 * MB - 1, 3_000);
        assert_eq!(backlog.stuck, Some((2 * MB - 1, 3_000)));
        backlog.told(MB - 1, 4_000);
        assert_eq!(backlog.stuck, None);
    }

    #[test]
    fn who_opens_a_large_document_may_take_it_slowly() {
        let mut backlog = Backlog::default();
        backlog.opens(7 * MB);
        backlog.told(7 * MB, 1_000);
        backlog.told(7 * MB, 60_000);
        assert_eq!((backlog.stuck, backlog.excess()), (None, 0));
        backlog.told(9 * MB, 61_000);
        assert_eq!(backlog.stuck, Some((9 * MB, 61_000)), "what comes beside it counts");
    }
}

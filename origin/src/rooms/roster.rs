//! When an origin lists its members of a room in the room store: soon after one has come or gone, at most once a
//! second, and with each renewal of the lease.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two lists of a room.
const APART: Duration = Duration::from_secs(1);

/// When the list is due.
#[derive(Debug, Default)]
pub(super) struct Roster {
    due: Option<Instant>,
    listed: Option<Instant>,
    under_way: bool,
}

impl Roster {
    /// A member may have come or gone, or the room store may have forgotten the list.
    pub(super) fn changed(&mut self, now: Instant) {
        let earliest = self.listed.map_or(now, |listed| (listed + APART).max(now));
        self.due.get_or_insert(earliest);
    }

    /// When the members are to be listed; not while that is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.under_way)
    }

    /// Whether the list is due at `now`; it is under way then.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due {
            *self = Self { due: None, listed: Some(now), under_way: true };
        }
        is_due
    }

    /// The members were listed, or could not be.
    pub(super) fn ended(&mut self) {
        self.under_way = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_come_at_once_are_listed_at_once_and_then_once_a_second() {
        let mut roster = Roster::default();
        let begun = Instant::now();
        assert_eq!(roster.due(), None);
        roster.changed(begun);
        roster.changed(begun);
        assert!(roster.take(begun) && !roster.take(begun));
        roster.changed(begun);
        assert_eq!(roster.due(), None, "one list at a time");
        roster.ended();
        assert_eq!(roster.due(), Some(begun + APART));
        assert!(!roster.take(begun + APART / 2) && roster.take(begun + APART));
        roster.ended();
        assert_eq!(roster.due(), None, "nothing has changed since");
    }
}

//! When an origin tells the room store who is in a room: soon after somebody has come or gone, at most once a
//! second, and with each renewal of the lease.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two lists of a room.
const APART: Duration = Duration::from_secs(1);

/// What is to be told, and when.
#[derive(Debug, Default)]
pub(super) struct Roll {
    due: Option<Instant>,
    told: Option<Instant>,
    under_way: bool,
}

impl Roll {
    /// Somebody may have come or gone, or the room store may have forgotten the list.
    pub(super) fn changed(&mut self, now: Instant) {
        let earliest = self.told.map_or(now, |told| (told + APART).max(now));
        self.due.get_or_insert(earliest);
    }

    /// When the list is to be told; not while it is being told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.under_way)
    }

    /// Takes the list that is due at `now`, if it is: it is then being told.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due {
            *self = Self { due: None, told: Some(now), under_way: true };
        }
        is_due
    }

    /// It was told, or could not be.
    pub(super) fn told(&mut self) {
        self.under_way = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_come_at_once_are_told_at_once_and_then_once_a_second() {
        let mut roll = Roll::default();
        let begun = Instant::now();
        assert_eq!(roll.due(), None);
        roll.changed(begun);
        roll.changed(begun);
        assert!(roll.take(begun) && !roll.take(begun));
        roll.changed(begun);
        assert_eq!(roll.due(), None, "one list at a time");
        roll.told();
        assert_eq!(roll.due(), Some(begun + APART));
        assert!(!roll.take(begun + APART / 2) && roll.take(begun + APART));
        roll.told();
        assert_eq!(roll.due(), None, "nothing has changed since");
    }
}

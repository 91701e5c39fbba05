//! The deadlines of a hub: what is due, and when.

use crate::Millis;

/// What a hub does at a time of its own, in the order in which it does what is due at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A change has been unacknowledged for too long without being stored.
    Outbox,
    /// Clients and link are sent something.
    Keepalive,
    /// A link is missing or gives no sign of life.
    Link,
    /// A session's token, probe or backlog has run out of time.
    Sessions,
    /// First texts wait for sockets.
    FirstTexts,
    /// The position of the link is saved.
    Snapshot,
    /// Writers are asked for what the log lacks.
    Writers,
}

const ALL: [Timer; 7] = [
    Timer::Outbox,
    Timer::Keepalive,
    Timer::Link,
    Timer::Sessions,
    Timer::FirstTexts,
    Timer::Snapshot,
    Timer::Writers,
];

/// The table.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Millis>; ALL.len()]);

impl Timers {
    /// Sets a timer, or stops it.
    pub(super) fn set(&mut self, timer: Timer, at: Option<Millis>) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = at;
        }
    }

    /// The first that is due.
    pub(super) fn next(&self) -> Option<Millis> {
        self.0.iter().flatten().min().copied()
    }

    /// What is due at `now`.
    pub(super) fn due(&self, now: Millis) -> impl Iterator<Item = Timer> + use<> {
        let table = self.0;
        ALL.into_iter()
            .zip(table)
            .filter(move |(_, at)| at.is_some_and(|at| at <= now))
            .map(|(timer, _)| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_its_order_and_what_was_stopped_does_not() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Writers, Some(10));
        timers.set(Timer::Outbox, Some(30));
        timers.set(Timer::Link, Some(20));
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.due(30).collect::<Vec<_>>(), [Timer::Outbox, Timer::Link, Timer::Writers]);
        timers.set(Timer::Writers, None);
        assert_eq!((timers.next(), timers.due(19).count()), (Some(20), 0));
    }
}

//! Where the room stands in its log, and whether something is logged that it has not seen.

use shared::{Millis, position::Position};

use crate::effect::Effect;

/// How long what others have logged may take to be published before the log is read instead.
const PUBLISHED_MS: Millis = 500;

/// How far the room has followed its log.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    position: Position,
    /// The last seq that is known to be logged: own changes can be logged behind others' that were not published yet.
    logged_until: u64,
    /// When the log is read for what was not published.
    read_at: Millis,
    catching_up: bool,
    /// The room store has the room in another epoch.
    stale: bool,
}

/// Where a logged change stands, seen from the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// It is applied already.
    Old,
    /// It is the next one, and now the room's position.
    Next,
    /// Others before it were missed.
    Gap,
}

impl Tail {
    /// The room stands here.
    pub(crate) fn new(position: Position) -> Self {
        Self { position, ..Self::default() }
    }

    /// Everything up to here is applied.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Moves to a logged change if it is the next one.
    #[must_use]
    pub(crate) fn advance(&mut self, seq: u64, ts: u64) -> Order {
        if seq <= self.position.seq {
            return Order::Old;
        }
        if seq != self.position.seq + 1 {
            return Order::Gap;
        }
        self.position = Position { seq, ts, ..self.position };
        Order::Next
    }

    /// An own change was logged. Whether it waits for others before it: it will be published like theirs.
    #[must_use]
    pub(crate) fn waits_for(&mut self, seq: u64, now: Millis) -> bool {
        if seq <= self.position.seq + 1 {
            return false;
        }
        if !self.has_gap() {
            self.read_at = now + PUBLISHED_MS;
        }
        self.logged_until = self.logged_until.max(seq);
        true
    }

    fn has_gap(&self) -> bool {
        self.logged_until > self.position.seq
    }

    /// Whether everything that is known to be logged is applied: nothing is validated before.
    pub(crate) fn is_complete(&self) -> bool {
        !self.has_gap() && !self.catching_up
    }

    /// When the log is read for what was not published.
    pub(crate) fn due_at(&self) -> Option<Millis> {
        (self.has_gap() && !self.catching_up).then_some(self.read_at)
    }

    /// Whether others' changes were not published in time: the log is to be read.
    #[must_use]
    pub(crate) fn take_due(&mut self, now: Millis) -> bool {
        let due = self.due_at().is_some_and(|at| at <= now);
        if due {
            self.read_at = now + PUBLISHED_MS;
        }
        due
    }

    /// Reads the log, unless that is being done.
    #[must_use]
    pub(crate) fn catch_up(&mut self) -> Option<Effect> {
        let begins = !std::mem::replace(&mut self.catching_up, true);
        begins.then_some(Effect::CatchUp(self.position))
    }

    /// Whether the log is being read.
    pub(crate) fn is_catching_up(&self) -> bool {
        self.catching_up
    }

    /// The log was read, or could not be.
    pub(crate) fn caught_up(&mut self) {
        self.catching_up = false;
    }

    /// The room store has the room in another epoch: nothing continues this log.
    pub(crate) fn end(&mut self) {
        self.stale = true;
    }

    /// Whether nothing continues this log.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }
}

//! Whether the archive keeps up, and when members are told: when a change has waited for too long, again while it
//! stays so, and when the archive has caught up.
//!
//! The room store is asked when the room is populated, and each time before members are told that the archive is
//! behind: a flush may have been missed.

use shared::{Millis, wire::event::StoringState};

/// What members know of the archive.
#[derive(Debug)]
pub(crate) struct FlushLag {
    /// How long a change may wait until members are told.
    behind: Millis,
    /// When members were told last that the archive is behind; `None` if it is not.
    told: Option<Millis>,
    /// The room store is asked which files are dirty.
    asking: bool,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LagStep {
    /// Nothing.
    Nothing,
    /// Ask the room store which files are dirty.
    Ask,
    /// Tell all members.
    Tell(StoringState),
}

impl FlushLag {
    /// The archive keeps up; a change may wait so long.
    pub(crate) fn new(behind: Millis) -> Self {
        Self { behind, told: None, asking: false }
    }

    /// The room store is being asked.
    pub(crate) fn ask(&mut self) {
        self.asking = true;
    }

    /// When members are to be told (again) that the archive is behind, if the oldest change waits since then.
    pub(crate) fn due_at(&self, oldest: Option<Millis>) -> Option<Millis> {
        let oldest = oldest.filter(|_| !self.asking)?;
        Some(self.told.unwrap_or(oldest) + self.behind)
    }

    /// Time has passed, or something was logged or flushed.
    #[must_use]
    pub(crate) fn check(&mut self, oldest: Option<Millis>, now: Millis) -> LagStep {
        if self.due_at(oldest).is_some_and(|at| at <= now) {
            self.ask();
            return LagStep::Ask;
        }
        if self.asking { LagStep::Nothing } else { self.tell(oldest, now) }
    }

    /// The room store has answered. A store that does not answer has stored nothing either.
    #[must_use]
    pub(crate) fn answered(&mut self, oldest: Option<Millis>, now: Millis) -> LagStep {
        self.asking = false;
        self.tell(oldest, now)
    }

    fn tell(&mut self, oldest: Option<Millis>, now: Millis) -> LagStep {
        let behind = oldest.is_some_and(|since| since + self.behind <= now);
        let due = self.told.is_none_or(|told| told + self.behind <= now);
        let state = match (behind, self.told) {
            (true, _) if due => StoringState::Behind,
            (false, Some(_)) => StoringState::CaughtUp,
            _ => return LagStep::Nothing,
        };
        self.told = behind.then_some(now);
        LagStep::Tell(state)
    }
}

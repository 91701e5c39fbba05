//! How a room is held: joined when a hub needs it, left when none does, and joined again if the store has lost what
//! is kept here.

use tokio::time::Instant;

/// What the process has of a room in the room store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Residency {
    /// Not joined.
    Parked {
        /// When the room is joined although no hub has come, to restore what the store may have lost.
        back_at: Instant,
        /// It was given up without leaving, since its hubs usually come back at once.
        may_have_lease: bool,
    },
    /// It could not be populated; tried again from then on. It may have left a lease.
    Failed { until: Instant },
    /// Populated, with a lease that is renewed then.
    Live { renew_at: Instant },
    /// Populated, but no document is open and the lease is given up: files are dirty. Leaving is tried again then, or when
    /// a flush says so.
    Leaving { again_at: Instant },
}

impl Residency {
    /// Not joined, and joined again then at the earliest.
    pub(super) fn parked(back_at: Instant) -> Self {
        Self::Parked { back_at, may_have_lease: false }
    }

    /// The room was erased: it may be joined again from `now` on. A lease that may be left is still to be ended.
    pub(super) fn erased(self, now: Instant) -> Self {
        let may_have_lease = match self {
            Self::Parked { may_have_lease, .. } => may_have_lease,
            Self::Failed { .. } => true,
            Self::Live { .. } | Self::Leaving { .. } => false,
        };
        Self::Parked { back_at: now, may_have_lease }
    }

    /// Whether the room's state is that of the room store.
    pub(super) fn is_joined(self) -> bool {
        matches!(self, Self::Live { .. } | Self::Leaving { .. })
    }

    /// Whether this process keeps a lease on the room.
    pub(super) fn has_lease(self) -> bool {
        matches!(self, Self::Live { .. })
    }

    /// When the room is joined although no hub has come, if copies are kept of what the store may have lost.
    pub(super) fn comes_back_at(self) -> Option<Instant> {
        match self {
            Self::Parked { back_at: at, .. } | Self::Failed { until: at } => Some(at),
            Self::Live { .. } | Self::Leaving { .. } => None,
        }
    }

    /// When something is to be done about it.
    pub(super) fn due_at(self) -> Option<Instant> {
        match self {
            Self::Live { renew_at: at } | Self::Leaving { again_at: at } => Some(at),
            Self::Parked { .. } | Self::Failed { .. } => None,
        }
    }

    /// Whether the lease is to be renewed; then it is next renewed at `next`.
    #[must_use]
    pub(super) fn take_renewal(&mut self, now: Instant, next: Instant) -> bool {
        match self {
            Self::Live { renew_at } if *renew_at <= now => {
                *renew_at = next;
                true
            }
            _ => false,
        }
    }

    /// Whether a lease is left to end; once.
    #[must_use]
    pub(super) fn take_lease(&mut self) -> bool {
        match self {
            Self::Parked { may_have_lease, .. } => std::mem::take(may_have_lease),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_may_be_left_is_ended_although_the_room_was_erased() {
        let now = Instant::now();
        let left = Residency::Parked { back_at: now, may_have_lease: true };
        assert!(left.erased(now).take_lease());
        assert!(Residency::Failed { until: now }.erased(now).take_lease());
        assert!(!Residency::Live { renew_at: now }.erased(now).take_lease());
        assert!(!Residency::parked(now).erased(now).take_lease());
    }
}

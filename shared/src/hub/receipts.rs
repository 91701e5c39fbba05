//! Which acknowledgements a channel is owed: one `SyncStatus` for each change that the stock client counts.
//!
//! The client sets its own count to 1 when it sends Step1 and adds 1 for each Update. So a Step1 begins the count
//! again; nothing is acknowledged until a Step2 that followed it, and everything received before that, is logged.

use std::collections::BTreeSet;

use crate::wire::link::ChangeKind;

/// The counted, not yet acknowledged changes of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Receipts {
    owed: u32,
    settling: bool,
    since: u64,
    unlogged: BTreeSet<u64>,
}

impl Receipts {
    /// What a lost memory leaves: so many are owed, and the next Step2 (numbered from `next`) settles them. One
    /// that is replayed from before may be older than what is owed.
    pub(super) fn restored(owed: u32, next: u64) -> Self {
        Self { owed, settling: owed > 0, since: next, unlogged: BTreeSet::new() }
    }

    /// The client has sent Step1; its later changes are numbered from `next`.
    pub(super) fn begin(&mut self, next: u64) {
        *self = Self { owed: 1, settling: true, since: next, unlogged: BTreeSet::new() };
    }

    /// The client has sent an Update, or one that could not even be kept (`None`): a later Step2 covers that.
    pub(super) fn count(&mut self, hub_seq: Option<u64>) {
        self.owed += 1;
        match hub_seq {
            Some(hub_seq) => {
                self.unlogged.insert(hub_seq);
            }
            None => self.settling = true,
        }
    }

    /// A change is logged; how many acknowledgements are due now.
    pub(super) fn logged(&mut self, hub_seq: u64, kind: ChangeKind) -> u32 {
        match kind {
            ChangeKind::Update | ChangeKind::Held => {
                if !self.unlogged.remove(&hub_seq) || self.settling {
                    return 0;
                }
                self.owed -= 1;
                1
            }
            ChangeKind::Step2 => {
                let due = self.settle(hub_seq);
                self.owed -= due;
                due
            }
        }
    }

    /// A Step2 is refused for good: what it was to settle will never be acknowledged.
    pub(super) fn refused(&mut self, hub_seq: u64) {
        let lost = self.settle(hub_seq);
        self.owed -= lost;
    }

    /// How many the client still waits for.
    pub(super) fn owed(&self) -> u32 {
        self.owed
    }

    /// A Step2 carries everything that its author had sent before it.
    fn settle(&mut self, hub_seq: u64) -> u32 {
        if hub_seq < self.since {
            return 0;
        }
        self.unlogged = self.unlogged.split_off(&hub_seq);
        self.settling = false;
        let later = u32::try_from(self.unlogged.len()).unwrap_or(u32::MAX);
        self.owed.saturating_sub(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChangeKind::{Step2, Update};

    #[test]
    fn nothing_is_acknowledged_before_the_step2_of_the_opening() {
        let mut receipts = Receipts::default();
        receipts.begin(1);
        receipts.count(Some(1));
        assert_eq!(receipts.logged(1, Update), 0);
        receipts.count(Some(3));
        assert_eq!(receipts.logged(2, Step2), 2);
        assert_eq!(receipts.logged(3, Update), 1);
        assert_eq!(receipts.owed(), 0);
    }

    #[test]
    fn a_step2_that_the_server_asked_for_is_not_counted() {
        let mut receipts = Receipts::default();
        receipts.begin(1);
        assert_eq!(receipts.logged(1, Step2), 1);
        receipts.count(Some(3));
        assert_eq!(receipts.logged(2, Step2), 0);
        assert_eq!(receipts.logged(3, Update), 1);
    }

    #[test]
    fn a_change_that_was_missing_is_paid_by_a_later_step2() {
        let mut receipts = Receipts::default();
        receipts.begin(1);
        assert_eq!(receipts.logged(1, Step2), 1);
        receipts.count(Some(2));
        receipts.count(Some(4));
        assert_eq!(receipts.logged(3, Step2), 1);
        assert_eq!(receipts.logged(4, Update), 1);
    }

    #[test]
    fn a_second_step1_begins_the_count_again() {
        let mut receipts = Receipts::default();
        receipts.begin(1);
        receipts.count(Some(1));
        receipts.begin(3);
        assert_eq!(receipts.logged(1, Update), 0);
        assert_eq!(receipts.logged(2, Step2), 0, "an answer sent before the second Step1 settles nothing");
        assert_eq!(receipts.logged(3, Step2), 1);
        assert_eq!(receipts.owed(), 0);
    }

    #[test]
    fn what_a_lost_memory_owed_is_paid_by_the_next_step2() {
        let mut receipts = Receipts::restored(3, 9);
        assert_eq!(receipts.logged(8, Step2), 0, "replayed from before the loss");
        receipts.count(Some(9));
        assert_eq!(receipts.logged(10, Step2), 4);
        assert_eq!(receipts.owed(), 0);
    }
}

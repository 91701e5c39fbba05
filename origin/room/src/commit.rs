//! Group commit: at most one append is in flight; what waits meanwhile goes as one batch. When the room store takes
//! nothing, everything is held for a while, and the hubs replay it.

use std::collections::BTreeSet;

use shared::{Millis, id::FileId};

use crate::{
    change::{Change, Verdict},
    effect::{LinkId, Place},
    log::{Batch, Entry},
    queue::Queue,
};

const FIRST_HOLD_MS: Millis = 200;
const LONGEST_HOLD_MS: Millis = 5_000;
/// How often in a row a batch is validated again.
const OVERTAKEN_IN_A_ROW: u32 = 8;

/// Changes that were validated, in order.
pub(crate) type Validated = Vec<(Change, Verdict)>;

/// What waits for the log, and what is on its way there.
#[derive(Debug)]
pub(crate) struct Commit {
    /// What is not validated yet.
    pub(crate) queue: Queue,
    in_flight: Option<Validated>,
    /// The number of the last batch.
    batches: u64,
    /// How often in a row an append was refused because the log had more than the batch was validated by.
    overtaken: u32,
    /// Channels with a change that contradicts the log: what follows on it has no meaning, until they are opened again.
    contradicting: BTreeSet<Place>,
    /// Nothing is taken until then.
    held_until: Option<Millis>,
    /// Holds since something was logged or read.
    holds: u32,
}

impl Commit {
    /// Nothing waits; `batches` is a number above that of every batch this origin has appended in the epoch.
    pub(crate) fn new(batches: u64) -> Self {
        Self {
            queue: Queue::default(),
            in_flight: None,
            batches,
            overtaken: 0,
            contradicting: BTreeSet::new(),
            held_until: None,
            holds: 0,
        }
    }

    /// What waits and what is in flight is given up. The numbers of batches go on: the room store may still know them.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.batches);
    }

    /// Whether nothing waits and nothing is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_none()
    }

    /// Whether an append is in flight.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// How many changes a batch may hold: one that is overtaken again and again keeps no others from the log.
    pub(crate) fn batch_changes(&self) -> usize {
        if self.overtaken > 0 { 1 } else { crate::limits::BATCH_CHANGES }
    }

    /// These changes are in flight. The batch to append; `None` if there is nothing to log or, with `confirm`, to be
    /// confirmed of what is logged already.
    #[must_use]
    pub(crate) fn begin(&mut self, validated: Validated, origin: &str, confirm: bool) -> Option<Batch> {
        let is = |wanted: Verdict| move |(_, verdict): &&(Change, Verdict)| *verdict == wanted;
        let entries: Vec<Entry> =
            validated.iter().filter(is(Verdict::Log)).map(|(change, _)| change.entry()).collect();
        let confirms = confirm && validated.iter().any(|pair| is(Verdict::Duplicate)(&pair));
        self.in_flight = Some(validated);
        if entries.is_empty() && !confirms {
            return None;
        }
        self.batches += 1;
        Some(Batch { origin: origin.to_owned(), number: self.batches, entries })
    }

    /// The append has succeeded.
    pub(crate) fn appended(&mut self) {
        self.overtaken = 0;
    }

    /// What was in flight is logged, or was not to be.
    #[must_use]
    pub(crate) fn end(&mut self) -> Validated {
        self.in_flight.take().unwrap_or_default()
    }

    /// Another origin was first with text of the same client, and nothing was logged. The changes wait again, as they
    /// were before they were validated; after too many times in a row they are the answer instead.
    #[must_use]
    pub(crate) fn overtaken(&mut self) -> Vec<Change> {
        self.overtaken += 1;
        let mut changes: Vec<Change> =
            self.in_flight.take().unwrap_or_default().into_iter().map(|(change, _)| change).collect();
        changes.iter_mut().for_each(Change::reset);
        if self.overtaken > OVERTAKEN_IN_A_ROW {
            self.overtaken = 0;
            return changes;
        }
        changes.into_iter().rev().for_each(|change| self.queue.push_front(change));
        Vec::new()
    }

    /// The files of what is in flight.
    pub(crate) fn files_in_flight(&self) -> BTreeSet<FileId> {
        self.in_flight.iter().flatten().map(|(change, _)| change.file.clone()).collect()
    }

    /// A channel has sent what contradicts the log.
    pub(crate) fn contradicts(&mut self, place: Place) {
        self.contradicting.insert(place);
    }

    /// Whether it has.
    pub(crate) fn is_contradicting(&self, place: Place) -> bool {
        self.contradicting.contains(&place)
    }

    /// A channel opens a document, perhaps again.
    pub(crate) fn forget_channel(&mut self, place: Place) {
        self.contradicting.remove(&place);
    }

    /// A link is gone.
    pub(crate) fn forget_link(&mut self, link: LinkId) {
        self.contradicting.retain(|(of, _)| *of != link);
    }

    /// Gives up everything that was to be logged, and takes nothing for a while.
    #[must_use]
    pub(crate) fn hold(&mut self, now: Millis) -> Vec<Change> {
        self.held_until = Some(now + (FIRST_HOLD_MS << self.holds.min(8)).min(LONGEST_HOLD_MS));
        self.holds += 1;
        let mut given_up: Vec<Change> =
            self.in_flight.take().unwrap_or_default().into_iter().map(|(change, _)| change).collect();
        given_up.extend(self.queue.take_changes());
        given_up
    }

    /// Until when nothing is taken.
    pub(crate) fn held_until(&self) -> Option<Millis> {
        self.held_until
    }

    /// The log was read: it takes changes again.
    pub(crate) fn resume(&mut self) {
        self.held_until = None;
        self.holds = 0;
    }

    /// Whether a change of this size has no room in the queue.
    pub(crate) fn is_full_for(&self, bytes: usize) -> bool {
        self.queue.bytes() + bytes > crate::limits::QUEUE_BYTES && !self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shared::id::ChannelId;

    use super::*;
    use crate::change::Kind;

    #[test]
    fn the_numbers_of_batches_go_on_after_what_waited_was_given_up() {
        let change = Change::new(ChannelId(1), FileId::from_random(1), 1, Kind::Update, Bytes::new());
        let mut commit = Commit::new(7);
        commit.clear();
        let batch = commit.begin(vec![(change, Verdict::Log)], "o", false);
        assert_eq!(batch.map(|batch| batch.number), Some(8));
    }
}

//! What the log holds of one file.

use std::collections::BTreeSet;

use super::{
    Advance, Ahead, GateError, IdRanges, StateVector, causality,
    order::{Order, Piece},
    read::{self, Content, Id, Part, Struct},
    runs::{self, Comparison, Runs},
};
use crate::limits;

/// How much of a client's text is asked for again, in UTF-16 units.
const OVERLAP_UNITS: u32 = 64;

/// Which characters were ever typed, beside what, and which of them are deleted, as far as they are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Up to where each author's text is logged.
    pub state_vector: StateVector,
    /// What of it is deleted.
    pub deleted: IdRanges,
    runs: Runs,
    /// Where its text stands; `None` if what is stored has text in impossible places: then nothing is refused for its
    /// place.
    order: Placement,
}

/// What an update deletes that was not deleted before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletions {
    /// UTF-16 units.
    pub units: u64,
    /// Ranges without a gap: each may divide a run in three.
    pub ranges: u64,
}

impl Novelty {
    /// By how many bytes a state grows with it, about, and never more.
    pub fn growth(&self) -> usize {
        self.text_bytes + self.ranges * limits::RANGE_BYTES
    }
}

/// What an update holds beside what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Novelty {
    /// Whether there is text or a deletion that is not logged.
    pub is_new: bool,
    /// What is neither logged nor on its way of text takes so many bytes at most; 0 if there is none.
    pub text_bytes: usize,
    /// How many ranges are deleted that were not all deleted before.
    pub ranges: usize,
    /// Whether there is garbage that is neither logged nor on its way.
    pub new_garbage: bool,
    /// How many runs of what is known it was compared with.
    pub runs: usize,
}

impl History {
    /// The history of a file by its whole state; an error if it is not whole.
    pub fn of(update: &[u8]) -> Result<Self, GateError> {
        let mut history = Self::default();
        causality::settle(history.known(&Ahead::default()), update, |_, _, _| Ok(()))?;
        history.absorb(update)?;
        Ok(history)
    }

    /// Adds what was logged, as it was logged: what was taken once is not refused later. Nothing is added if it cannot
    /// be read. The answer is what was deleted by it, each character counted once.
    pub fn absorb(&mut self, update: &[u8]) -> Result<Deletions, GateError> {
        read::walk(update, |_| {})?;
        self.place(update);
        read::walk(update, |part| {
            let Part::Struct(client, read) = part else { return };
            let known = self.state_vector.get(client);
            if read.content == Content::Skip || read.clock > known || read.end <= known {
                return;
            }
            self.runs.append(client, &read, known);
            self.state_vector.advance(client, read.end);
            if matches!(read.content, Content::Deleted | Content::Garbage) {
                self.deleted.insert(client, known..read.end);
            }
        })?;
        // What divides text may come before the text.
        let mut deletions = Deletions::default();
        read::walk(update, |part| match part {
            Part::Struct(client, read) => {
                divided_by(client, &read, |id| self.runs.divide(id.client, id.clock));
            }
            Part::Range(client, range) => {
                self.runs.divide(client, range.start);
                self.runs.divide(client, range.end);
                for gap in self.deleted.gaps(client, range.clone()) {
                    deletions.ranges += 1;
                    deletions.units += u64::from(gap.end - gap.start);
                    self.runs.delete(client, gap);
                }
                self.deleted.insert(client, range);
            }
            _ => {}
        })?;
        Ok(deletions)
    }

    /// Compares an update with what is logged and on its way: [`GateError::Reuse`] if it has other text, or text in
    /// another place, under clocks that are known. Text of which either side only knows that it is deleted is the
    /// same. Replicas would keep what they had first, and differ.
    ///
    /// Yjs has two replacement characters where a surrogate pair was divided, so both are the same where the log or the
    /// update itself divides it, and in what brings nothing new. Work is bounded by the size of the update and the
    /// number of runs that it overlaps.
    pub fn compare(&self, ahead: &Ahead, update: &[u8]) -> Result<Novelty, GateError> {
        let mut comparison = Comparison { lenient: !self.checks_places(), ..Comparison::default() };
        let mut novelty = self.compare_with(ahead, update, &mut comparison)?;
        if comparison.inexact && novelty.is_new {
            let (divides, deletes) = divided_in(update)?;
            comparison = Comparison { divides, deletes, inexact: false, ..comparison };
            novelty = self.compare_with(ahead, update, &mut comparison)?;
            if comparison.inexact {
                return Err(GateError::Reuse);
            }
        }
        novelty.text_bytes = novelty.text_bytes.min(update.len());
        Ok(Novelty { runs: comparison.runs, ..novelty })
    }

    fn compare_with(
        &self,
        ahead: &Ahead,
        update: &[u8],
        comparison: &mut Comparison,
    ) -> Result<Novelty, GateError> {
        let mut novelty = Novelty::default();
        let mut outcome = Ok(());
        read::walk(update, |part| match part {
            Part::Struct(client, read) if read.content != Content::Skip && outcome.is_ok() => {
                let logged = self.state_vector.get(client);
                let known = logged.max(ahead.get(client));
                novelty.is_new |= read.end > logged;
                if read.end > known {
                    novelty.text_bytes += read.bytes_at_most();
                }
                novelty.new_garbage |= read.content == Content::Garbage && read.end > known;
                if read.clock < logged {
                    let part = read.clock..read.end.min(logged);
                    outcome = self.runs.compare(client, &read, part, comparison);
                }
                if read.clock < known && read.end > logged && outcome.is_ok() {
                    let part = read.clock.max(logged)..read.end.min(known);
                    outcome = ahead.runs.compare(client, &read, part, comparison);
                }
                let goes_on = read.clock < known && read.end > known;
                if goes_on && runs::divides_a_pair(&read, known) {
                    outcome = Err(GateError::Reuse);
                }
            }
            Part::Range(client, range) if !self.deleted.contains_range(client, range.clone()) => {
                novelty.is_new = true;
                novelty.ranges += 1;
            }
            _ => {}
        })?;
        outcome.map(|()| novelty)
    }

    /// The state vector to ask a client with, so that its answer has the end of what is known of these clients too, and
    /// shows whether it is the same: two documents with one client id may be of one length.
    pub fn overlapping(&self, clients: impl IntoIterator<Item = u64>) -> StateVector {
        let mut clocks = self.state_vector.clone();
        for client in clients {
            let known = self.state_vector.get(client);
            clocks.set(client, self.runs.in_front(client, known, OVERLAP_UNITS));
        }
        clocks
    }

    /// Admits an update if everything that it builds on is logged, on its way, or in the update itself
    /// ([`GateError::Missing`] if not), if its text fits between its neighbours ([`GateError::Place`]), and if it brings
    /// text of no more than [`limits::UPDATE_CLIENTS`] clients. What is admitted has its place until [`Self::settle`],
    /// or until something is logged.
    pub fn admit(&mut self, ahead: &Ahead, update: &[u8]) -> Result<Advance, GateError> {
        let known = causality::Known { logged: &self.state_vector, ahead };
        let Some(order) = &mut self.order.0 else {
            return causality::settle(known, update, |_, _, _| Ok(())).and_then(bounded);
        };
        let mark = order.begin(update.len());
        let placed =
            causality::settle(known, update, |client, read, from| order.put(piece(client, read, from)));
        let admitted = placed.and_then(bounded);
        if admitted.is_err() {
            order.undo_to(mark);
        }
        admitted
    }

    /// What was admitted is logged by now, or never will be.
    pub fn settle(&mut self) {
        if let Some(order) = &mut self.order.0 {
            order.undo_to(0);
        }
    }

    /// Whether text is refused that does not fit between its neighbours.
    pub fn checks_places(&self) -> bool {
        self.order.0.is_some()
    }

    /// How many runs were looked at so far to find places: what it cost.
    pub fn runs_looked_at(&self) -> u64 {
        self.order.0.as_ref().map_or(0, |order| order.looked_at)
    }

    /// How many runs have a place.
    pub fn runs_placed(&self) -> usize {
        self.order.0.as_ref().map_or(0, Order::len)
    }

    fn known<'a>(&'a self, ahead: &'a Ahead) -> causality::Known<'a> {
        causality::Known { logged: &self.state_vector, ahead }
    }

    /// Gives what was logged its place. Where that cannot be, places are not checked any more.
    fn place(&mut self, update: &[u8]) {
        let Some(order) = &mut self.order.0 else { return };
        order.begin_logged();
        let nothing = Ahead::default();
        let known = causality::Known { logged: &self.state_vector, ahead: &nothing };
        let placed = causality::settle(known, update, |client, read, from| {
            if read.content == Content::Garbage {
                return Err(GateError::Garbage);
            }
            order.put(piece(client, read, from))
        });
        order.keep();
        if placed.is_err() {
            self.order.0 = None;
        }
    }
}

/// What an update brings costs the log something for each client.
fn bounded(advance: Advance) -> Result<Advance, GateError> {
    if advance.iter().count() > limits::UPDATE_CLIENTS { Err(GateError::Clients) } else { Ok(advance) }
}

/// In front of which characters a struct stands between others.
fn divided_by(client: u64, read: &Struct<'_>, mut on: impl FnMut(Id)) {
    let own = Id { client, clock: read.clock };
    let behind = read.origin.map(|Id { client, clock }| Id { client, clock: clock + 1 });
    // What goes on with the text of its author divides nothing.
    if let Some(id) = behind.filter(|id| *id != own) {
        on(id);
    }
    if let Some(id) = read.right_origin {
        on(id);
    }
}

/// In front of which characters something of an update stands or ends, and what it deletes.
fn divided_in(update: &[u8]) -> Result<(BTreeSet<Id>, IdRanges), GateError> {
    let (mut divided, mut deleted) = (BTreeSet::new(), IdRanges::default());
    read::walk(update, |part| match part {
        Part::Struct(client, read) => divided_by(client, &read, |id| {
            divided.insert(id);
        }),
        Part::Range(client, range) => {
            divided.extend([range.start, range.end].map(|clock| Id { client, clock }));
            deleted.insert(client, range);
        }
        _ => {}
    })?;
    Ok((divided, deleted))
}

/// The part of a struct from a clock on.
fn piece(client: u64, read: &Struct<'_>, from: u32) -> Piece {
    let origin = match from.checked_sub(1) {
        Some(before) if from > read.clock => Some(Id { client, clock: before }),
        _ => read.origin,
    };
    Piece { client, start: from, end: read.end, origin, right_origin: read.right_origin }
}

/// The order of a file's text, unless it is not checked.
#[derive(Clone, Debug)]
struct Placement(Option<Order>);

impl Default for Placement {
    fn default() -> Self {
        Self(Some(Order::default()))
    }
}

/// Two histories are the same by what they hold; how the order came to be is of no account.
impl PartialEq for Placement {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_some() == other.0.is_some()
    }
}

impl Eq for Placement {}

//! Causality: whether everything that an update builds on is there, in the log or in the update itself.
//!
//! The structs of one author follow one another, but those of different authors may build on each other in
//! any order. So every author's group has a cursor; a cursor that needs a clock that another group has yet to
//! reach waits for it. When nothing can go on and something still waits, the update lacks something (a circle
//! of origins included). Time n log n, a few dozen bytes per group, no recursion.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    GateError, StateVector,
    read::{self, Content, Id, Part, Struct, UpdateReader},
    runs::Runs,
};

/// How far an update moves the clock of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The client.
    pub client: u64,
    /// Up to where its text was there before.
    pub from: u32,
    /// Up to where it is there with the update.
    pub to: u32,
}

/// How far an update moves the clocks: an extension for each client that it brings something of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advance(Vec<Extension>);

impl Advance {
    /// The extensions, clients ascending.
    pub fn iter(&self) -> impl Iterator<Item = Extension> + '_ {
        self.0.iter().copied()
    }

    /// Whether no clock moves.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is on its way into the log: a layer over what the log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    clocks: BTreeMap<u64, u32>,
    pub(super) runs: Runs,
}

impl Ahead {
    /// Counts on an update that was admitted with this advance.
    pub fn apply(&mut self, advance: &Advance, update: &[u8]) -> Result<(), GateError> {
        if advance.is_empty() {
            return Ok(());
        }
        for Extension { client, from, .. } in advance.iter() {
            self.clocks.insert(client, from);
        }
        read::walk(update, |part| {
            if let Part::Struct(client, read) = part
                && read.content != Content::Skip
                && let Some(known) = self.clocks.get_mut(&client)
                && (read.clock..read.end).contains(known)
            {
                self.runs.append(client, &read, *known);
                *known = read.end;
            }
        })
    }

    /// Counts on nothing any more: all of it is in the log, or failed to get there.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.clocks.is_empty()
    }

    /// Up to where a client's text is on its way; 0 if none is.
    pub fn get(&self, client: u64) -> u32 {
        self.clocks.get(&client).copied().unwrap_or(0)
    }
}

/// What is there before the update.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) logged: &'a StateVector,
    pub(super) ahead: &'a Ahead,
}

impl Known<'_> {
    fn get(&self, client: u64) -> u32 {
        self.logged.get(client).max(self.ahead.get(client))
    }
}

/// The cursor of one author's structs.
struct Cursor {
    client: u64,
    /// Where the next struct begins in the update.
    position: usize,
    left: u32,
    /// The clock of the next struct.
    clock: u32,
    /// Up to where this author's text is there.
    reached: u32,
}

struct Cursors<'a, F> {
    update: &'a [u8],
    known: Known<'a>,
    /// Sorted by client.
    cursors: Vec<Cursor>,
    /// Who waits for whom: the cursor waited for, the clock it has to reach, the cursor that waits.
    waiting: BTreeSet<(usize, u32, usize)>,
    on_new: F,
}

/// Settles an update that can be read against what is there. `on_new` gets each struct with something new, once all
/// that it builds on is there, and the clock from which it is new.
pub(super) fn settle(
    known: Known<'_>,
    update: &[u8],
    on_new: impl FnMut(u64, &Struct<'_>, u32) -> Result<(), GateError>,
) -> Result<Advance, GateError> {
    let (cursors, mut reader) = cursors(known, update)?;
    let mut cursors = Cursors { update, known, cursors, waiting: BTreeSet::new(), on_new };
    cursors.run()?;
    let mut beyond = false;
    reader.ranges(|part| {
        if let Part::Range(client, range) = part {
            beyond |= range.end > cursors.reached(client);
        }
    })?;
    if beyond { Err(GateError::Missing) } else { Ok(cursors.advance()) }
}

/// Finds where each group begins; the reader is left where the deleted ranges begin.
fn cursors<'a>(known: Known<'_>, update: &'a [u8]) -> Result<(Vec<Cursor>, UpdateReader<'a>), GateError> {
    let mut reader = UpdateReader::new(update);
    let mut cursors = Vec::new();
    for _ in 0..reader.count(5)? {
        let group = reader.group()?;
        cursors.push(Cursor {
            client: group.client,
            position: reader.position(),
            left: group.structs,
            clock: group.clock,
            reached: known.get(group.client),
        });
        let mut clock = group.clock;
        for _ in 0..group.structs {
            clock = reader.next_struct(group.client, clock)?.end;
        }
    }
    cursors.sort_unstable_by_key(|cursor| cursor.client);
    Ok((cursors, reader))
}

impl<F: FnMut(u64, &Struct<'_>, u32) -> Result<(), GateError>> Cursors<'_, F> {
    fn run(&mut self) -> Result<(), GateError> {
        let mut ready: Vec<usize> = (0..self.cursors.len()).collect();
        while let Some(index) = ready.pop() {
            self.follow(index)?;
            self.wake(index, &mut ready);
        }
        if self.waiting.is_empty() { Ok(()) } else { Err(GateError::Missing) }
    }

    /// Takes the structs of one author until the end, or until one has to wait.
    fn follow(&mut self, index: usize) -> Result<(), GateError> {
        let cursor = &self.cursors[index];
        let mut reader = UpdateReader::at(self.update, cursor.position);
        while self.cursors[index].left > 0 {
            let cursor = &self.cursors[index];
            let next = reader.next_struct(cursor.client, cursor.clock)?;
            if is_gap(&next, cursor.reached) {
                return Err(GateError::Missing);
            }
            if let Some((other, clock)) = self.awaited(&next, cursor.client)? {
                self.waiting.insert((other, clock, index));
                return Ok(());
            }
            if next.end > cursor.reached && next.content != Content::Skip {
                (self.on_new)(cursor.client, &next, cursor.reached)?;
            }
            let cursor = &mut self.cursors[index];
            cursor.position = reader.position();
            cursor.left -= 1;
            cursor.clock = next.end;
            cursor.reached = cursor.reached.max(next.end);
        }
        Ok(())
    }

    /// What a struct still has to wait for: a cursor and the clock that it must reach.
    fn awaited(&self, next: &Struct<'_>, client: u64) -> Result<Option<(usize, u32)>, GateError> {
        let others = [next.origin, next.right_origin].into_iter().flatten().filter(|id| id.client != client);
        for Id { client, clock } in others {
            match self.find(client) {
                Some(other) if clock < self.cursors[other].reached => {}
                Some(other) => return Ok(Some((other, clock + 1))),
                None if clock < self.known.get(client) => {}
                None => return Err(GateError::Missing),
            }
        }
        Ok(None)
    }

    fn wake(&mut self, index: usize, ready: &mut Vec<usize>) {
        let reached = self.cursors[index].reached;
        while let Some(&first) = self.waiting.range((index, 0, 0)..=(index, reached, usize::MAX)).next() {
            self.waiting.remove(&first);
            ready.push(first.2);
        }
    }

    fn find(&self, client: u64) -> Option<usize> {
        self.cursors.binary_search_by_key(&client, |cursor| cursor.client).ok()
    }

    fn reached(&self, client: u64) -> u32 {
        self.find(client).map_or_else(|| self.known.get(client), |index| self.cursors[index].reached)
    }

    fn advance(&self) -> Advance {
        let all = self.cursors.iter().map(|cursor| Extension {
            client: cursor.client,
            from: self.known.get(cursor.client),
            to: cursor.reached,
        });
        Advance(all.filter(|extension| extension.to > extension.from).collect())
    }
}

/// Whether text of the same author is missing: before a struct, or where the update skips some.
fn is_gap(next: &Struct<'_>, reached: u32) -> bool {
    next.clock > reached || (next.content == Content::Skip && next.end > reached)
}

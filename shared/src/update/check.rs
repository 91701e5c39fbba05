//! The shape check: everything about an update that can be refused for good, decided by its bytes alone.

use super::{
    GateError, IdRanges,
    read::{self, Content, Part, Struct},
};
use crate::wire::yjs::EMPTY_UPDATE;

/// What an update does, as far as its bytes tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// It holds text, there or deleted (which may be known already).
    pub inserts: bool,
    /// It deletes (what may be deleted already).
    pub deletes: bool,
    /// It holds garbage: structs without text or place, which only a file of other types has.
    pub garbage: bool,
    /// Its size.
    pub bytes: usize,
}

/// Checks an update of a text file: garbage, Skip, Deleted and String structs in the root text, numbers within
/// their limits, valid UTF-8, ordered ranges, groups of structs in descending order of their clients, no client
/// twice, nothing behind the end. A Deleted struct must be among the update's own deletions, and no struct may stand
/// between a character and that same character.
///
/// One pass without recursion. Nothing is allocated, unless there are Deleted structs, or clients of deleted ranges
/// are out of the order in which Yjs writes them: then the ranges, or their clients, are collected.
pub fn check(update: &[u8]) -> Result<Shape, GateError> {
    let mut shape = Shape { bytes: update.len(), ..Shape::default() };
    let (mut authors, mut deleters) = (Descent::default(), Descent::default());
    let (mut deleted, mut between_one) = (false, false);
    read::walk(update, |part| match part {
        Part::Author(client) => authors.note(client),
        Part::Struct(_, read) => {
            shape.inserts |= read.content != Content::Skip;
            shape.garbage |= read.content == Content::Garbage;
            deleted |= read.content == Content::Deleted;
            between_one |= read.origin.is_some() && read.origin == read.right_origin;
        }
        Part::Deleter(client) => deleters.note(client),
        Part::Range(..) => shape.deletes = true,
    })?;
    if authors.broken {
        return Err(GateError::Groups);
    }
    if between_one {
        return Err(GateError::Place);
    }
    if deleters.broken && names_a_deleter_twice(update)? {
        return Err(GateError::Twice);
    }
    if deleted && !deletes_its_deleted(update)? {
        return Err(GateError::Uncovered);
    }
    Ok(shape)
}

/// Whether clients come in descending order, as Yjs writes them: then none is named twice.
#[derive(Default)]
struct Descent {
    last: Option<u64>,
    broken: bool,
}

impl Descent {
    fn note(&mut self, client: u64) {
        self.broken |= self.last.is_some_and(|last| last <= client);
        self.last = Some(client);
    }
}

fn names_a_deleter_twice(update: &[u8]) -> Result<bool, GateError> {
    let mut deleters = Vec::new();
    read::walk(update, |part| {
        if let Part::Deleter(client) = part {
            deleters.push(client);
        }
    })?;
    deleters.sort_unstable();
    Ok(deleters.windows(2).any(|pair| pair[0] == pair[1]))
}

/// Whether the update's delete list covers its Deleted structs. Replicas that have the text already, and would not
/// read it from this update, delete it only then.
fn deletes_its_deleted(update: &[u8]) -> Result<bool, GateError> {
    let mut ranges = IdRanges::default();
    read::walk(update, |part| {
        if let Part::Range(client, range) = part {
            ranges.insert(client, range);
        }
    })?;
    let mut covered = true;
    read::walk(update, |part| {
        if let Part::Struct(client, Struct { content: Content::Deleted, clock, end, .. }) = part {
            covered &= ranges.contains_range(client, clock..end);
        }
    })?;
    Ok(covered)
}

/// Whether it is the update that changes nothing.
pub fn is_empty(update: &[u8]) -> bool {
    update == EMPTY_UPDATE
}

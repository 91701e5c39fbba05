//! The shape check: everything about an update that can be refused for good, decided by its bytes alone.

use super::{
    GateError,
    read::{self, Content, Part},
};
use crate::wire::yjs::EMPTY_UPDATE;

/// What an update does, as far as its bytes tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// It holds text, there or deleted (which may be known already).
    pub inserts: bool,
    /// It deletes (what may be deleted already).
    pub deletes: bool,
    /// Its size.
    pub bytes: usize,
}

/// Checks an update of a text file: GC, Skip, Deleted and String structs in the root text, numbers within
/// their limits, valid UTF-8, ordered ranges, no client twice, nothing behind the end.
///
/// One pass without recursion. Nothing is allocated, unless clients are out of the order in which Yjs writes
/// them: then their ids are collected to find a client that is named twice.
pub fn check(update: &[u8]) -> Result<Shape, GateError> {
    let mut shape = Shape { bytes: update.len(), ..Shape::default() };
    let (mut authors, mut deleters) = (Descent::default(), Descent::default());
    read::walk(update, |part| match part {
        Part::Author(client) => authors.note(client),
        Part::Struct(_, read) => shape.inserts |= read.content != Content::Skip,
        Part::Deleter(client) => deleters.note(client),
        Part::Range(..) => shape.deletes = true,
    })?;
    if (authors.broken || deleters.broken) && names_a_client_twice(update)? {
        return Err(GateError::Twice);
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

fn names_a_client_twice(update: &[u8]) -> Result<bool, GateError> {
    let (mut authors, mut deleters) = (Vec::new(), Vec::new());
    read::walk(update, |part| match part {
        Part::Author(client) => authors.push(client),
        Part::Deleter(client) => deleters.push(client),
        _ => {}
    })?;
    Ok([authors, deleters].iter_mut().any(|clients| {
        clients.sort_unstable();
        clients.windows(2).any(|pair| pair[0] == pair[1])
    }))
}

/// Whether it is the update that changes nothing.
pub fn is_empty(update: &[u8]) -> bool {
    update == EMPTY_UPDATE
}

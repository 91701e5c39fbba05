//! Which clocks of which clients an update has text for.

use super::{
    Ahead, GateError, StateVector, causality,
    read::{self, Part},
};

/// The clocks that an update has of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The client.
    pub client: u64,
    /// Its first clock.
    pub start: u32,
    /// The clock behind its last one.
    pub end: u32,
}

/// The span of each client of whom the update has structs, in the order of the update.
pub fn spans(update: &[u8]) -> Result<Vec<Span>, GateError> {
    let mut spans: Vec<Span> = Vec::new();
    read::walk(update, |part| {
        if let Part::Struct(client, read) = part {
            match spans.last_mut().filter(|last| last.client == client) {
                Some(last) => last.end = read.end,
                None => spans.push(Span { client, start: read.clock, end: read.end }),
            }
        }
    })?;
    Ok(spans)
}

/// Moves clocks on to what an update has text for, stands beside and deletes: all of that is there once it is logged.
pub fn learn(known: &mut StateVector, update: &[u8]) -> Result<(), GateError> {
    read::walk(update, |part| match part {
        Part::Struct(client, read) => {
            known.advance(client, read.end);
            for id in [read.origin, read.right_origin].into_iter().flatten() {
                known.advance(id.client, id.clock + 1);
            }
        }
        Part::Range(client, range) => known.advance(client, range.end),
        Part::Author(_) | Part::Deleter(_) => {}
    })
}

/// Whether an update builds only on what is known to be there, and on itself.
pub fn builds_on(known: &StateVector, update: &[u8]) -> bool {
    let known = causality::Known { logged: known, ahead: &Ahead::default() };
    causality::settle(known, update, |_, _, _| Ok(())).is_ok()
}

//! Which clocks of which clients an update has text for.

use super::{
    GateError,
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

//! What changes in a room and lasts.

use shared::{
    id::{FileId, FilePath},
    position::Position,
};

use super::open::{Clocks, Unflushed};
use crate::store::{Base, FlushAck, LogEntry, Logged};

/// What must be on disk before a decision is answered.
pub(super) enum Change {
    /// Nothing.
    None,
    /// The room was populated.
    Opened { position: Position, bases: Vec<Base> },
    /// Entries were logged, perhaps with the file that the first of them creates.
    Logged {
        position: Position,
        entries: Vec<LogEntry>,
        created: Option<(FileId, FilePath)>,
        answered: Option<Answered>,
        clocks: Clocks,
    },
    /// A file's base was replaced and its log trimmed; what the archive lacks of the new base, if anything.
    Based { ack: FlushAck, unflushed: Option<Unflushed> },
    /// The deletion of the open room's shard was begun, or taken back.
    Sealed(bool),
    /// The room was depopulated.
    Gone,
    /// The room's shard was deleted.
    Erased,
}

/// What the last numbered batch of an origin was answered.
pub(super) struct Answered {
    pub(super) origin: String,
    pub(super) number: u64,
    pub(super) answers: Vec<Logged>,
}

//! What goes into the log of a room, and what is read from it.

use std::sync::Arc;

use bytes::Bytes;
use shared::{
    id::{FileId, FilePath},
    position::Position,
    update::Extension,
};

/// A group commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The origin that sends it.
    pub origin: String,
    /// Its number at that origin, rising from 1 while it has the room open: a repeated batch is logged once.
    /// 0 for a batch that is never repeated.
    pub number: u64,
    /// The changes in order.
    pub entries: Vec<Entry>,
}

/// One change of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The file, or `.room` for an event: that one is never dirty.
    pub file: FileId,
    /// Whose change it is: the hub's name and its number there.
    pub source: Source,
    /// The Yjs update, or the event's JSON.
    pub bytes: Bytes,
    /// How far the update moves the clocks of its clients, as far as its sender knows the log.
    pub extensions: Vec<Extension>,
    /// The member who extends them, and to whom they belong from then on; empty for none.
    pub author: Arc<str>,
}

impl Entry {
    /// A change that moves no clocks, as far as its sender says.
    pub fn new(file: FileId, source: Source, bytes: Bytes) -> Self {
        Self { file, source, bytes, extensions: Vec::new(), author: "".into() }
    }
}

/// Where a change came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// The hub's name; empty for the origin itself.
    pub hub: String,
    /// The hub's number for the change; 0 for none.
    pub hub_seq: u64,
    /// The author's channel; 0 for none.
    pub channel: u64,
}

/// Where a change now stands in the room's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The room's seq; that of the first time, if it is a duplicate whose place is still known, else the room's last.
    pub seq: u64,
    /// Its timestamp.
    pub ts: u64,
    /// Whether it had been logged before.
    pub duplicate: bool,
}

/// A file's base and its log.
#[derive(Clone, Debug, PartialEq)]
pub struct FileLog {
    /// The room's position when it was read.
    pub position: Position,
    /// The file's path; of `.room` it says nothing.
    pub path: FilePath,
    /// The timestamp of the base.
    pub base_ts: u64,
    /// The seq of the last update in the base.
    pub base_seq: u64,
    /// The seq up to which the archive has the file, as far as the room store was told: that of the base, unless the
    /// log was compacted since. Of a file that was claimed and never flushed, that of its creation.
    pub stored_seq: u64,
    /// The base, a Yjs v1 update.
    pub base: Bytes,
    /// What was logged since, in order.
    pub updates: Vec<LogEntry>,
}

/// One change in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// The file, or `.room`.
    pub file: FileId,
    /// The room's seq.
    pub seq: u64,
    /// The timestamp.
    pub ts: u64,
    /// Whose change it is.
    pub source: Source,
    /// The update or event.
    pub bytes: Bytes,
}

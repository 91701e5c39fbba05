//! What a room is told about itself, and what it asks to be done.

use bytes::Bytes;
use shared::{
    Millis,
    id::{ChannelId, FileId, FilePath},
    position::Position,
    wire::link::OriginMessage,
};

use crate::log::Batch;

/// Names one link of a room in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A channel of a link.
pub(crate) type Place = (LinkId, ChannelId);

/// What is to be done for a room.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send these messages to a hub, in order.
    ToHub(LinkId, Vec<OriginMessage>),
    /// End a link.
    Unlink(LinkId, &'static str),
    /// Append this batch and answer with [`crate::Room::appended`].
    Append(Batch),
    /// Read this file and answer with [`crate::Room::file_read`].
    Read(FileId),
    /// Read what this link lacks and answer with [`crate::Room::backfilled`].
    Backfill(LinkId, Position),
    /// Read the room's events and answer with [`crate::Room::events_read`] for this link, which has them up to this
    /// seq.
    Events(LinkId, u64),
    /// Read what the room itself lacks and answer with [`crate::Room::caught_up`].
    CatchUp(Position),
    /// Claim this path for a new file, which has this id if it had one before, and answer with
    /// [`crate::Room::claimed`].
    Claim(FilePath, Option<FileId>),
    /// Read what the archive has of this file and answer with [`crate::Room::archive_read`].
    ReadArchive(FileId),
    /// Read which files are dirty and answer with [`crate::Room::dirty_read`].
    Dirty,
    /// Send this note to the other origins, in order; nothing durable depends on it.
    Announce(Bytes),
    /// Something is dirty: a flush is due.
    Flush,
}

/// What a room counts; the shell moves it into the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Changes that came over links.
    pub received: u64,
    /// Changes refused for good.
    pub refused: u64,
    /// Changes whose dependencies are not logged.
    pub missing: u64,
    /// Times that published changes did not follow on what the room had.
    pub backfills: u64,
    /// Files read whose text stands in impossible places, so that places are not checked in them.
    pub unchecked: u64,
}

/// How a room behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This origin's id.
    pub origin: String,
    /// Whether opening a path that does not exist creates the file.
    pub create_on_open: bool,
    /// Whether other origins can have the room open too.
    pub shared: bool,
    /// Whether the text of a Yjs client belongs to the member who has extended it: not where every member is a guest.
    pub owned: bool,
    /// Whether a change that the log has already is acknowledged only after an append has been answered.
    pub confirm: bool,
    /// How long a change may wait for the archive until members are told.
    pub behind: Millis,
}

//! What a room hears from its store: answers, what others have published, and why something was not done.

use bytes::Bytes;
use shared::{
    id::FileId,
    position::{Epoch, Position},
};

use crate::log::{LogEntry, Logged};

/// The answer to a request for what came after a position.
#[derive(Clone, Debug, PartialEq)]
pub enum Backfill {
    /// What came after, in order, and the room's position now.
    Changes(Position, Vec<LogEntry>),
    /// That position is of another epoch, or no longer in the logs: read the files instead.
    Reset(Position),
}

/// The answer to a claim of a path for a new file.
#[derive(Clone, Debug, PartialEq)]
pub enum Claimed {
    /// The path is the new file's; its creation stands here in the room's history.
    New(Logged),
    /// Another file has the path.
    Taken(FileId),
}

/// The files changed since the last flush.
#[derive(Clone, Debug, PartialEq)]
pub struct Dirty {
    /// The room's epoch.
    pub epoch: Epoch,
    /// The room's last timestamp when the list was made.
    pub cutoff: u64,
    /// Each file with the timestamp of its first unflushed change.
    pub files: Vec<(FileId, u64)>,
}

impl Dirty {
    /// What `last_sync_timestamp` may be: nothing older than it is unflushed.
    pub fn synced_until(&self) -> u64 {
        self.files.iter().map(|(_, first)| first - 1).min().unwrap_or(self.cutoff)
    }
}

/// What subscribers of a room receive.
#[derive(Clone, Debug, PartialEq)]
pub enum Published {
    /// Changes that were logged, in order, without gaps.
    Changes(Epoch, Vec<LogEntry>),
    /// The room was populated again.
    Epoch(Epoch),
    /// The room was deleted.
    Erased,
    /// What an origin tells the others, unlogged.
    Note(Bytes),
}

/// Why the room store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The room is not populated: join and load it.
    #[error("the room is not populated")]
    Cold,
    /// The room is in another epoch by now.
    #[error("the room is in epoch {0:?}")]
    Epoch(Epoch),
    /// Another loader has taken over.
    #[error("another loader has taken over")]
    Stale,
    /// The room's shard is being deleted.
    #[error("the shard is being deleted")]
    Sealed,
    /// Another flush came first.
    #[error("another flush has replaced the base")]
    Conflict,
    /// The file is not in the room.
    #[error("the file is not in the room")]
    NoFile,
    /// Another origin has logged more of a client's text than the sender of the batch knew.
    #[error("another origin has logged more of the same client")]
    Overtaken,
    /// The text of a client belongs to another member, who has extended it before.
    #[error("client {client} of {file} belongs to another member")]
    Owned {
        /// The file.
        file: FileId,
        /// The client.
        client: u64,
        /// The member.
        owner: String,
    },
    /// The store has no room for more; what frees room still works.
    #[error("the room store is full")]
    Full,
    /// What it has was not written by this version, or is damaged.
    #[error("what is stored cannot be read: {0}")]
    Damaged(String),
    /// Anything else; the outcome of a write is unknown until it is asked for.
    #[error("room store: {0}")]
    Failed(String),
}

impl StoreError {
    /// The stable word for it in events and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Epoch(_) => "epoch",
            Self::Stale => "stale-loader",
            Self::Sealed => "sealed",
            Self::Conflict => "conflict",
            Self::NoFile => "no-file",
            Self::Overtaken => "overtaken",
            Self::Owned { .. } => "owned",
            Self::Full => "store-full",
            Self::Damaged(_) | Self::Failed(_) => "store-failed",
        }
    }
}

/// The base of a file without content: a Yjs v1 update that holds nothing.
pub fn empty_base() -> Bytes {
    Bytes::from_static(&[0, 0])
}

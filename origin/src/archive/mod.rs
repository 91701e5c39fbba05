//! The document store: what was flushed, by shard and file.
//!
//! Promise: what a write has answered is durable, and no write overwrites what its writer has not seen.
//! One contract suite (`tests/it/archive_contract.rs`) runs against every implementation.

pub mod mongo;
pub mod sqlite;

use async_trait::async_trait;
use bytes::Bytes;
pub use room::lines::Eol;
use serde::{Deserialize, Serialize};
use shared::id::{FileId, FilePath, RoomId};

/// Where shards are kept.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// The shard without its files' contents. Only a successful read that finds nothing gives `None`.
    async fn find_by_id(&self, id: &RoomId) -> Result<Option<Shard>, ArchiveError>;

    /// Which making of a shard there is, without reading more; `None` as for [`Self::find_by_id`].
    async fn making(&self, id: &RoomId) -> Result<Option<Making>, ArchiveError>;

    /// Creates a shard with all its files, or nothing: [`ArchiveError::Taken`] if the id exists.
    async fn create(&self, shard: NewShard) -> Result<(), ArchiveError>;

    /// Every file of a shard, with its state.
    async fn files(&self, id: &RoomId) -> Result<Vec<StoredFile>, ArchiveError>;

    /// One file of a shard, with its state.
    async fn file(&self, id: &RoomId, file: &FileId) -> Result<Option<StoredFile>, ArchiveError>;

    /// Writes one file if its stored version is still `known` (`None`: it is not stored yet), and makes the
    /// version one higher. A miss answers what is stored instead; the caller merges it and tries again.
    /// If what is stored has this write's id, an earlier try succeeded and its version is the answer. A file
    /// that is not stored any more is written again. A shard of another making than the write's is no shard to it. [`ArchiveError::Path`] if another file has the path.
    async fn save_file(
        &self,
        id: &RoomId,
        known: Option<u64>,
        file: FileWrite,
    ) -> Result<Saved, ArchiveError>;

    /// Moves `last_sync_timestamp` forward; never back.
    async fn synced(&self, id: &RoomId, last_sync_timestamp: u64) -> Result<(), ArchiveError>;

    /// Removes a shard and its files. Whether there was one.
    async fn delete(&self, id: &RoomId) -> Result<bool, ArchiveError>;
}

/// Tells a shard from one of the same id that was deleted before it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Making(pub u64);

/// A stored project: metadata and tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Its id, also that of its room.
    pub id: RoomId,
    /// Its title.
    pub title: String,
    /// The template that it was made from.
    pub template: Option<String>,
    /// The files, by path.
    pub files: Vec<FileEntry>,
    /// Nothing older than this (µs) is unflushed.
    pub last_sync_timestamp: u64,
}

/// A file in a shard's tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its id.
    pub id: FileId,
    /// Its path.
    pub path: FilePath,
    /// The timestamp (µs) of the last change stored.
    pub ts: u64,
    /// When it was last written (µs).
    pub stored_at: u64,
    /// Its line ends when it was imported.
    pub eol: Eol,
}

/// A shard to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewShard {
    /// Its id.
    pub id: RoomId,
    /// Its title.
    pub title: String,
    /// The template that it is made from.
    pub template: Option<String>,
    /// Its files.
    pub files: Vec<FileWrite>,
    /// The time of creation (µs).
    pub now: u64,
}

/// A file as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct FileWrite {
    /// Its id.
    pub id: FileId,
    /// Its path.
    pub path: FilePath,
    /// Its text, for people and tools.
    pub text: String,
    /// Its CRDT state, a Yjs v1 update.
    pub state: Bytes,
    /// The timestamp (µs) of the last change in it.
    pub ts: u64,
    /// The seq of that change, 0 if there is none.
    pub seq: u64,
    /// Its line ends outside.
    pub eol: Eol,
    /// The making of the shard that it is meant for; `None` for any.
    pub making: Option<Making>,
    /// An id of this write, so that a repeated one is known as its own.
    pub write_id: String,
    /// When it is written (µs).
    pub now: u64,
}

/// A file as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFile {
    /// Its id.
    pub id: FileId,
    /// Its path.
    pub path: FilePath,
    /// Counts the writes, from 1.
    pub version: u64,
    /// Its text.
    pub text: String,
    /// Its CRDT state.
    pub state: Bytes,
    /// The timestamp (µs) of the last change in it.
    pub ts: u64,
    /// Its line ends outside.
    pub eol: Eol,
    /// The id of the last write.
    pub write_id: String,
    /// When it was last written (µs).
    pub stored_at: u64,
}

/// The answer to [`Archive::save_file`].
#[derive(Clone, Debug, PartialEq)]
pub enum Saved {
    /// Written; the version is now this.
    Written(u64),
    /// Another version is stored: this one.
    Miss(Box<StoredFile>),
    /// The shard does not exist (any more).
    NoShard,
}

/// Why the archive did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A shard with that id exists.
    #[error("a shard with that id exists")]
    Taken,
    /// Another file of the shard has that path.
    #[error("another file has the path {0}")]
    Path(FilePath),
    /// What is stored was written by a newer version of this software.
    #[error("the record has version {0}, which this software does not read")]
    Version(u32),
    /// The archive does not take this file, however often it is tried.
    #[error("the archive refuses it: {0}")]
    Refused(String),
    /// Anything else.
    #[error("archive: {0}")]
    Failed(String),
}

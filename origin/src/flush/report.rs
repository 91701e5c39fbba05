//! What a flush did, and why it did not do all of it.

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    id::{FileId, FilePath},
    position::Epoch,
};

use crate::{archive::ArchiveError, project::text::TextError, store::StoreError};

/// How often a file is read and merged again because somebody else wrote it meanwhile.
pub(super) const TRIES: usize = 5;

/// What a flush did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlushReport {
    /// The epoch that was flushed; `None` if the room is not populated.
    pub epoch: Option<Epoch>,
    /// Files that were written.
    pub written: Vec<FlushedFile>,
    /// Dirty files of which the archive had everything already.
    pub unchanged: Vec<FlushedFile>,
    /// Files that stay dirty because trying again does not help.
    pub parked: Vec<ParkedFile>,
    /// Bytes of text and state written.
    pub bytes: u64,
    /// Whether nothing was dirty at the end.
    pub clean: bool,
}

/// A file of which the archive has everything up to `seq`.
#[derive(Clone, Debug, PartialEq)]
pub struct FlushedFile {
    /// The file.
    pub id: FileId,
    /// Its path.
    pub path: FilePath,
    /// The room's seq of its last change in the archive.
    pub seq: u64,
    /// The timestamp of that change.
    pub ts: u64,
}

/// A file that cannot be flushed.
#[derive(Clone, Debug, PartialEq)]
pub struct ParkedFile {
    /// The file.
    pub id: FileId,
    /// Why.
    pub reason: String,
}

/// Why a flush is to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The room store failed before any file was read.
    #[error("reading what is dirty: {0}")]
    Store(#[from] StoreError),
    /// The archive failed before any file was read.
    #[error("the shard's record: {0}")]
    Archive(#[from] ArchiveError),
    /// The room is open and dirty, but the archive has no such shard. Nothing is dropped.
    #[error("the room is dirty but the archive has no shard for it")]
    NoShard,
    /// The shard's `last_sync_timestamp` could not be moved; what the report says was done.
    #[error("the shard's record: {cause}")]
    Unsettled {
        /// What was done all the same.
        report: Box<FlushReport>,
        /// Why not.
        cause: FileError,
    },
    /// The room is clean, and could not be removed although nobody has it open; what the report says was done.
    #[error("removing the room: {cause}")]
    Left {
        /// What was done all the same.
        report: Box<FlushReport>,
        /// Why not.
        cause: StoreError,
    },
    /// Some files failed; what the report says was done.
    #[error("{file}: {cause}")]
    Unfinished {
        /// What was done all the same.
        report: Box<FlushReport>,
        /// The first file that failed.
        file: FileId,
        /// Why it failed.
        cause: FileError,
    },
}

/// Why one file was not flushed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The room store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The file's state cannot be merged.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The shard is gone from the archive.
    #[error("the archive has no such shard")]
    NoShard,
    /// Others wrote it again and again.
    #[error("it was written by others {TRIES} times meanwhile")]
    Contended,
}

impl FileError {
    /// Whether trying again soon is no use.
    pub(super) fn parks(&self) -> bool {
        use ArchiveError::{Path, Refused, Version};
        use StoreError::Damaged;
        matches!(
            self,
            Self::Text(_) | Self::Archive(Version(_) | Path(_) | Refused(_)) | Self::Store(Damaged(_))
        )
    }
}

impl FlushReport {
    /// What an operator sees of a job that is done.
    pub fn summary(&self) -> Value {
        let parked = self.parked.iter().map(|file| json!({ "file": file.id, "reason": file.reason }));
        json!({
            "written": self.written.len(),
            "unchanged": self.unchanged.len(),
            "parked": parked.collect::<Vec<_>>(),
            "bytes": self.bytes,
            "clean": self.clean,
        })
    }
}

impl FlushError {
    /// What was done all the same.
    pub fn report(&self) -> Option<&FlushReport> {
        match self {
            Self::Unfinished { report, .. } | Self::Unsettled { report, .. } | Self::Left { report, .. } => {
                Some(report)
            }
            Self::Store(_) | Self::Archive(_) | Self::NoShard => None,
        }
    }
}

/// Why an attempt to flush failed.
#[derive(Debug, thiserror::Error)]
pub enum FlushFailure {
    /// The flush says why.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// It panicked, with this text.
    #[error("panicked: {0}")]
    Panicked(String),
    /// It was not finished after this time.
    #[error("not finished after {} ms", .0.as_millis())]
    Late(Duration),
    /// The threads that flush have ended.
    #[error("the threads that flush have ended")]
    Ended,
}

impl FlushFailure {
    /// What was done all the same, as far as it is known.
    pub fn report(&self) -> Option<&FlushReport> {
        match self {
            Self::Flush(error) => error.report(),
            Self::Panicked(_) | Self::Late(_) | Self::Ended => None,
        }
    }
}

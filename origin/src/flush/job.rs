//! One flush of one room: dirty files to the archive, then its members and the room store told what the archive has.
//!
//! Promise: the room store is told last, after the archive has answered and the members were told, so a flush that
//! dies anywhere leaves its files dirty, and the next one finds what was written and says so again. A file that
//! cannot be flushed is parked with its reason; the others go on.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::{StreamExt, stream};
use shared::{
    id::{FileId, FilePath, RoomId},
    position::Epoch,
};
use tokio::sync::Mutex;

use super::{
    compact::compact_long,
    file::{Flush, Stored, TRIES, in_turn},
    parking::Parking,
};
use crate::{
    archive::{Archive, ArchiveError},
    project::text::TextError,
    room_store::{RoomStore, StoreError},
};

/// Files of one room that are written at the same time.
const FILES_AT_ONCE: usize = 8;

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
    /// The room store failed before any file was touched.
    #[error("reading what is dirty: {0}")]
    Store(#[from] StoreError),
    /// The archive failed before any file was touched.
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

/// Flushes what is dirty in a room, but for what is parked. `now_us` is the time that the archive and the members are
/// told.
pub async fn flush_room(
    store: &dyn RoomStore,
    archive: &dyn Archive,
    parking: &Parking,
    room: &RoomId,
    now_us: u64,
) -> Result<FlushReport, FlushError> {
    let dirty = match store.dirty(room).await {
        Err(StoreError::Cold) => {
            parking.forget(room);
            return Ok(FlushReport { clean: true, ..FlushReport::default() });
        }
        dirty => dirty?,
    };
    let mut report = FlushReport { epoch: Some(dirty.epoch), ..FlushReport::default() };
    let mut due = Vec::new();
    for (file, _) in &dirty.files {
        match parking.reason(room, file, now_us) {
            Some(reason) => report.parked.push(ParkedFile { id: file.clone(), reason }),
            None => due.push(file.clone()),
        }
    }
    // After what is dirty and before what is read: what the room holds of a deleted shard stays out of a new one.
    let making = match archive.making(room).await {
        Ok(Some(making)) => making,
        Ok(None) if dirty.files.is_empty() => return Ok(FlushReport { clean: true, ..report }),
        nowhere => {
            compact_long(store, parking, room, dirty.epoch, &due, now_us).await;
            return Err(nowhere.err().map_or(FlushError::NoShard, FlushError::Archive));
        }
    };
    let flush = Flush { store, archive, room, epoch: dirty.epoch, making, now_us, merging: Mutex::default() };
    let (failed, not_taken) = flush.files(due, parking, &mut report).await;
    let settled = flush.settle(&mut report).await;
    compact_long(store, parking, room, dirty.epoch, &not_taken, now_us).await;
    match (failed, settled) {
        (None, Ok(())) => Ok(report),
        (None, Err(cause)) => Err(FlushError::Unsettled { report: Box::new(report), cause }),
        (Some((_, FileError::NoShard)), _) => Err(FlushError::NoShard),
        (Some((file, cause)), _) => Err(FlushError::Unfinished { report: Box::new(report), file, cause }),
    }
}

impl Flush<'_> {
    /// Flushes these files. The answer is the first that failed and is to be tried again soon, and all those that the
    /// archive has not taken.
    async fn files(
        &self,
        files: Vec<FileId>,
        parking: &Parking,
        report: &mut FlushReport,
    ) -> (Option<(FileId, FileError)>, Vec<FileId>) {
        let (mut failed, mut not_taken) = (None, Vec::new());
        let mut fail = |id: FileId, error: FileError, report: &mut FlushReport| {
            if matches!(error, FileError::Archive(_) | FileError::NoShard | FileError::Contended) {
                not_taken.push(id.clone());
            }
            if matches!(error, FileError::Store(StoreError::Cold)) {
                // Another flush has stored it, and the room is gone.
            } else if error.parks() {
                let reason = error.to_string();
                parking.park(self.room, &id, &reason, self.now_us);
                report.parked.push(ParkedFile { id, reason });
            } else if failed.is_none() || matches!(error, FileError::NoShard) {
                failed = Some((id, error));
            }
        };
        let away = &AtomicBool::new(false);
        let logs = stream::iter(files).map(|id| async move {
            // Who did not answer for one file is not waited for again for each of the others.
            if away.load(Relaxed) {
                return (Err(StoreError::Failed("it did not answer for another file".to_owned())), id);
            }
            let log = in_turn(self.store, self.store.read(self.room, &id)).await;
            if matches!(log, Err(StoreError::Failed(_))) {
                // Or it was this one file.
                away.store(self.store.dirty(self.room).await.is_err(), Relaxed);
            }
            (log, id)
        });
        let logs = logs.buffered(1);
        let stored = logs.map(|(log, id)| async move { (self.stored(&id, Some(log)).await, id) });
        let mut stored = stored.buffer_unordered(FILES_AT_ONCE).ready_chunks(FILES_AT_ONCE);
        while let Some(some) = stored.next().await {
            let mut told = Vec::new();
            for (outcome, id) in some {
                match outcome {
                    Ok(stored) => told.push(stored),
                    Err(error) => fail(id, error, report),
                }
            }
            if let Err(error) = self.announce(&told).await {
                let why = error.to_string();
                for stored in told {
                    fail(stored.file.id, FileError::Store(StoreError::Failed(why.clone())), report);
                }
                continue;
            }
            for stored in told {
                match in_turn(self.store, self.acknowledged(stored)).await {
                    Ok(Stored { file, bytes, .. }) => {
                        parking.release(self.room, &file.id);
                        report.bytes += bytes.unwrap_or(0);
                        if bytes.is_some() { &mut report.written } else { &mut report.unchanged }.push(file);
                    }
                    Err((id, error)) => fail(id, error, report),
                }
            }
        }
        (failed, not_taken)
    }

    /// After the files: moves the shard's `last_sync_timestamp`, also to where a flush that died did not come to.
    async fn settle(&self, report: &mut FlushReport) -> Result<(), FileError> {
        let until = match self.store.dirty(self.room).await {
            Ok(left) if left.epoch == self.epoch => {
                report.clean = left.files.is_empty();
                left.synced_until()
            }
            // Another life of the room counts for itself.
            Ok(_) => return Ok(()),
            // Its last member has left since the last file was acknowledged: nothing was dirty.
            Err(StoreError::Cold) => {
                report.clean = true;
                report.written.iter().chain(&report.unchanged).map(|file| file.ts).max().unwrap_or_default()
            }
            Err(error) => return Err(error.into()),
        };
        Ok(self.archive.synced(self.room, until).await?)
    }
}

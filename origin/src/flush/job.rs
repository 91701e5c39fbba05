//! One flush of one room: dirty files to the archive, then its members and the room store told what the archive has.
//!
//! Promise: the room store is told last, after the archive has answered and the members were told, so a flush that
//! dies anywhere leaves its files dirty, and the next one finds what was written and says so again. A file that
//! cannot be flushed is parked with its reason; the others go on.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::{StreamExt, stream};
use shared::id::{FileId, RoomId};
use tokio::sync::Mutex;

use super::{
    compact::compact_long,
    file::{Flush, Stored},
    pace::paced,
    parking::Parking,
    report::{FileError, FlushError, FlushReport, ParkedFile},
};
use crate::{
    archive::Archive,
    store::{RoomStore, StoreError},
};

/// Files of one room that are written at the same time.
const FILES_AT_ONCE: usize = 8;

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
            let log = paced(self.store, self.store.read(self.room, &id)).await;
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
                match paced(self.store, self.acknowledged(stored)).await {
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

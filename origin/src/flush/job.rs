//! One flush of one room: dirty files to the archive, then the room store told what the archive has.
//!
//! Promise: the room store is told only after the archive has answered, so a flush that dies anywhere leaves
//! its files dirty and the next one finds what was written. A file that cannot be flushed is parked with its
//! reason; the others go on.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::json;
use shared::{
    id::{FileId, FilePath, RoomId},
    position::Epoch,
};

use crate::{
    archive::{Archive, ArchiveError, Eol, FileWrite, Making, Saved, StoredFile},
    project::text::{Merged, TextError},
    room_store::{Batch, Entry, FileLog, FlushAck, RoomStore, Source, StoreError},
};

/// Files of one room that are written at the same time.
const FILES_AT_ONCE: usize = 8;
/// How often a file is read and merged again because somebody else wrote it meanwhile.
const TRIES: usize = 5;
/// The name under which a flush appends what only the archive had.
const ORIGIN: &str = "flush";

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
    /// The archive failed before or after the files.
    #[error("the shard's record: {0}")]
    Archive(#[from] ArchiveError),
    /// The room is open and dirty, but the archive has no such shard. Nothing is dropped.
    #[error("the room is dirty but the archive has no shard for it")]
    NoShard,
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
    fn parks(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Archive(ArchiveError::Version(_) | ArchiveError::Path(_)))
    }
}

/// Flushes what is dirty in a room. `now_us` is the time that the archive and the members are told.
pub async fn flush_room(
    store: &dyn RoomStore,
    archive: &dyn Archive,
    room: &RoomId,
    now_us: u64,
) -> Result<FlushReport, FlushError> {
    let dirty = match store.dirty(room).await {
        Err(StoreError::Cold) => return Ok(FlushReport { clean: true, ..FlushReport::default() }),
        dirty => dirty?,
    };
    let mut report = FlushReport { epoch: Some(dirty.epoch), ..FlushReport::default() };
    if dirty.files.is_empty() {
        report.clean = true;
        return Ok(report);
    }
    // After what is dirty and before what is read: what the room holds of a deleted shard stays out of a new one.
    let making = archive.making(room).await?.ok_or(FlushError::NoShard)?;
    let flush = Flush { store, archive, room, epoch: dirty.epoch, making, now_us };
    let one = |id: FileId| {
        let flush = &flush;
        async move { (flush.file(&id).await, id) }
    };
    let outcomes: Vec<_> =
        stream::iter(dirty.files).map(|(id, _)| one(id)).buffer_unordered(FILES_AT_ONCE).collect().await;

    let mut failed = None;
    for (outcome, id) in outcomes {
        match outcome {
            Ok((file, None)) => report.unchanged.push(file),
            Ok((file, Some(bytes))) => {
                report.written.push(file);
                report.bytes += bytes;
            }
            Err(error) if error.parks() => report.parked.push(ParkedFile { id, reason: error.to_string() }),
            Err(FileError::NoShard) => failed = Some((id, FileError::NoShard)),
            Err(error) => failed = failed.or(Some((id, error))),
        }
    }
    let settled = flush.settle(&mut report).await;
    match (failed, settled) {
        (None, Ok(())) => Ok(report),
        (None, Err(error)) => Err(error),
        (Some((_, FileError::NoShard)), _) => Err(FlushError::NoShard),
        (Some((file, cause)), _) => Err(FlushError::Unfinished { report: Box::new(report), file, cause }),
    }
}

struct Flush<'a> {
    store: &'a dyn RoomStore,
    archive: &'a dyn Archive,
    room: &'a RoomId,
    epoch: Epoch,
    making: Making,
    now_us: u64,
}

impl Flush<'_> {
    /// Flushes one file; the answer is what the archive now has and how much was written, `None` if nothing.
    async fn file(&self, id: &FileId) -> Result<(FlushedFile, Option<u64>), FileError> {
        let mut bytes = None;
        for _ in 0..TRIES {
            let log = self.store.read(self.room, id).await?;
            let stored = self.archive.file(self.room, id).await?;
            let plan = plan(&log, stored.as_ref())?;
            if let Some(update) = plan.lacked {
                self.give_back(id, update).await?;
                continue;
            }
            let (ts, seq) =
                log.updates.last().map_or((log.base_ts, log.base_seq), |last| (last.ts, last.seq));
            if let Some(text) = plan.text {
                let known = stored.as_ref().map(|stored| stored.version);
                let size = (text.len() + plan.state.len()) as u64;
                let write = FileWrite {
                    id: id.clone(),
                    path: log.path.clone(),
                    text,
                    state: plan.state.clone(),
                    ts: stored.as_ref().map_or(ts, |stored| ts.max(stored.ts)),
                    seq,
                    eol: stored.as_ref().map_or_else(Eol::default, |stored| stored.eol),
                    making: Some(self.making),
                    write_id: format!("{:032x}", rand::random::<u128>()),
                    now: self.now_us,
                };
                match self.archive.save_file(self.room, known, write).await? {
                    Saved::Written(_) => bytes = Some(bytes.unwrap_or(0) + size),
                    Saved::Miss(_) => continue,
                    Saved::NoShard => return Err(FileError::NoShard),
                }
            }
            let ack = FlushAck {
                file: id.clone(),
                read_base_ts: log.base_ts,
                merged_ts: ts,
                merged_seq: seq,
                state: plan.state,
            };
            match self.store.ack(self.room, self.epoch, ack).await {
                Err(StoreError::Conflict) => continue,
                acked => acked?,
            }
            return Ok((FlushedFile { id: id.clone(), path: log.path, seq, ts }, bytes));
        }
        Err(FileError::Contended)
    }

    /// Logs what only the archive had, so that those who have the file open get it too.
    async fn give_back(&self, id: &FileId, update: Bytes) -> Result<(), StoreError> {
        let entry = Entry { file: id.clone(), source: Source::default(), bytes: update };
        let batch = Batch { origin: ORIGIN.to_owned(), number: 0, entries: vec![entry] };
        self.store.append(self.room, self.epoch, batch).await.map(drop)
    }

    /// After the files: moves the shard's `last_sync_timestamp` and tells the room.
    async fn settle(&self, report: &mut FlushReport) -> Result<(), FlushError> {
        if report.written.is_empty() && report.unchanged.is_empty() {
            return Ok(());
        }
        let moved = self.move_last_sync(report).await;
        self.store.announce(self.room, self.stored_event(report)).await?;
        moved
    }

    async fn move_last_sync(&self, report: &mut FlushReport) -> Result<(), FlushError> {
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

    fn stored_event(&self, report: &FlushReport) -> Bytes {
        let files: Vec<_> = report
            .written
            .iter()
            .chain(&report.unchanged)
            .map(|file| json!({ "id": file.id, "path": file.path, "seq": file.seq, "at": self.now_us }))
            .collect();
        Bytes::from(json!({ "type": "stored", "files": files }).to_string())
    }
}

/// What is to be done with a file, worked out without waiting for anything.
struct Plan {
    /// What the archive has and the room lacks.
    lacked: Option<Bytes>,
    /// The merged state.
    state: Bytes,
    /// The text to write; `None` if the archive has it all.
    text: Option<String>,
}

fn plan(log: &FileLog, stored: Option<&StoredFile>) -> Result<Plan, TextError> {
    let base = std::iter::once(&*log.base);
    let mut ours = Merged::of(base.chain(log.updates.iter().map(|entry| &*entry.bytes)))?;
    let Some(stored) = stored else {
        return Ok(Plan { lacked: None, state: ours.state()?, text: Some(ours.text()) });
    };
    let theirs = Merged::of([&*stored.state])?;
    let lacked = ours.absorb(&theirs)?;
    let same = stored.path == log.path && ours.equals(&theirs);
    Ok(Plan { lacked, state: ours.state()?, text: (!same).then(|| ours.text()) })
}

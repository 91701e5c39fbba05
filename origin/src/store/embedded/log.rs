//! The log of rooms: what the Redis scripts decide, as plain code.

use async_trait::async_trait;
use shared::{
    id::{FileId, FilePath, RoomId},
    position::{Epoch, Position},
};

use super::{
    EmbeddedStore,
    change::{Answered, Change},
    open::{Clocks, File},
    room::Room,
};
use crate::store::{
    Backfill, Batch, Claimed, Dirty, FileLog, FlushAck, LogEntry, Logged, RoomLog, Source, StoreError,
    created_event, empty_base,
};

#[async_trait]
impl RoomLog for EmbeddedStore {
    async fn append(&self, room: &RoomId, epoch: Epoch, batch: Batch) -> Result<Vec<Logged>, StoreError> {
        self.decide(room, move |room, now| {
            let open = room.in_epoch(epoch)?;
            if let Some((number, answers)) = open.batches.get(&batch.origin).filter(|_| batch.number > 0) {
                if *number == batch.number {
                    return Ok((Change::None, answers.clone()));
                }
                if *number > batch.number {
                    return Err(StoreError::Failed(format!(
                        "batch {} came after batch {number}",
                        batch.number
                    )));
                }
            }
            if !batch.entries.iter().all(|entry| entry.file.is_room() || open.files.contains_key(&entry.file))
            {
                return Err(StoreError::NoFile);
            }
            let clocks = open.extended(&batch.entries)?;
            let mut position = open.position;
            let mut entries: Vec<LogEntry> = Vec::with_capacity(batch.entries.len());
            let mut answers = Vec::with_capacity(batch.entries.len());
            for entry in batch.entries {
                if let Some(first_time) = open.had(&entries, &entry.file, &entry.source, position) {
                    answers.push(first_time);
                    continue;
                }
                position.seq += 1;
                position.ts = now.us.max(position.ts + 1);
                answers.push(Logged { seq: position.seq, ts: position.ts, duplicate: false });
                entries.push(LogEntry {
                    file: entry.file,
                    seq: position.seq,
                    ts: position.ts,
                    source: entry.source,
                    bytes: entry.bytes,
                });
            }
            let answered = (batch.number > 0).then(|| Answered {
                origin: batch.origin,
                number: batch.number,
                answers: answers.clone(),
            });
            Ok((Change::Logged { position, entries, created: None, answered, clocks }, answers))
        })
        .await
    }

    async fn read(&self, room: &RoomId, id: &FileId) -> Result<FileLog, StoreError> {
        self.look(room, |room| {
            let open = room.populated()?;
            let position = open.position;
            if id.is_room() {
                return Ok(FileLog {
                    position,
                    path: no_path()?,
                    base_ts: 0,
                    base_seq: 0,
                    stored_seq: 0,
                    base: empty_base(),
                    updates: open.events.iter().cloned().collect(),
                });
            }
            let file = open.files.get(id).ok_or(StoreError::NoFile)?;
            Ok(FileLog {
                position,
                path: file.path.clone(),
                base_ts: file.base_ts,
                base_seq: file.base_seq,
                stored_seq: file.stored_seq,
                base: file.base.clone(),
                updates: file.updates.clone(),
            })
        })
    }

    async fn backfill(&self, room: &RoomId, from: Position) -> Result<Backfill, StoreError> {
        self.look(room, |room| {
            let open = room.populated()?;
            let position = open.position;
            if from.epoch != position.epoch || from.seq < open.trimmed_seq || from.seq > position.seq {
                return Ok(Backfill::Reset(position));
            }
            let logs = open.files.values().flat_map(|file| {
                let known = file.updates.partition_point(|entry| entry.seq <= from.seq);
                &file.updates[known..]
            });
            let events = open.events.iter().filter(|entry| entry.seq > from.seq);
            let mut after: Vec<LogEntry> = logs.chain(events).cloned().collect();
            after.sort_unstable_by_key(|entry| entry.seq);
            Ok(Backfill::Changes(position, after))
        })
    }

    async fn claim(
        &self,
        room: &RoomId,
        epoch: Epoch,
        path: &FilePath,
        id: &FileId,
    ) -> Result<Claimed, StoreError> {
        let (path, id) = (path.clone(), id.clone());
        self.decide(room, move |room, now| {
            let open = room.in_epoch(epoch)?;
            if let Some(owner) = open.file_at(&path) {
                return Ok((Change::None, Claimed::Taken(owner.clone())));
            }
            if open.files.contains_key(&id) || id.is_room() {
                return Err(StoreError::Failed(format!("the file id {id} is in use")));
            }
            let last = open.position;
            let position = Position { seq: last.seq + 1, ts: now.us.max(last.ts + 1), ..last };
            let event = LogEntry {
                file: FileId::room(),
                seq: position.seq,
                ts: position.ts,
                source: Source::default(),
                bytes: created_event(&id, &path),
            };
            let logged = Logged { seq: position.seq, ts: position.ts, duplicate: false };
            let change = Change::Logged {
                position,
                entries: vec![event],
                created: Some((id, path)),
                answered: None,
                clocks: Clocks::default(),
            };
            Ok((change, Claimed::New(logged)))
        })
        .await
    }

    async fn secret(&self, room: &RoomId) -> Result<String, StoreError> {
        self.look(room, |room| room.populated().map(|_| self.secret.clone()))
    }

    async fn names(&self, room: &RoomId) -> Result<Vec<(FileId, FilePath)>, StoreError> {
        self.look(room, |room| {
            Ok(room.populated()?.files.iter().map(|(id, file)| (id.clone(), file.path.clone())).collect())
        })
    }

    async fn dirty(&self, room: &RoomId) -> Result<Dirty, StoreError> {
        self.look(room, |room| {
            let open = room.populated()?;
            let since = |(id, file): (&FileId, &File)| file.dirty_since().map(|ts| (id.clone(), ts));
            Ok(Dirty {
                epoch: open.position.epoch,
                cutoff: open.position.ts,
                files: open.files.iter().filter_map(since).collect(),
            })
        })
    }

    async fn ack(&self, room: &RoomId, epoch: Epoch, ack: FlushAck) -> Result<(), StoreError> {
        self.decide(room, move |room, _| {
            merged_of(room, epoch, &ack)?;
            Ok((Change::Based { ack, unflushed: None }, ()))
        })
        .await
    }

    async fn compact(&self, room: &RoomId, epoch: Epoch, merged: FlushAck) -> Result<(), StoreError> {
        self.decide(room, move |room, _| {
            let unflushed = merged_of(room, epoch, &merged)?.unflushed();
            Ok((Change::Based { ack: merged, unflushed }, ()))
        })
        .await
    }
}

/// The file of a merged state, if that began with its base.
fn merged_of<'a>(room: &'a Room, epoch: Epoch, merged: &FlushAck) -> Result<&'a File, StoreError> {
    let file = room.in_epoch(epoch)?.files.get(&merged.file).ok_or(StoreError::NoFile)?;
    if file.base_ts == merged.read_base_ts { Ok(file) } else { Err(StoreError::Conflict) }
}

/// `.room` has no path; a log must name one.
fn no_path() -> Result<FilePath, StoreError> {
    FilePath::parse("room").map_err(|error| StoreError::Failed(error.to_string()))
}

//! One room in memory, and what may be done to it: the decisions of the Redis scripts as plain functions.
//!
//! A decision changes only leases and loader; what must last it returns as a [`Change`], which is first
//! written to disk and then given to [`Room::apply`].

use std::{collections::HashMap, time::Duration};

use shared::{
    id::{FileId, FilePath},
    position::{Epoch, Position},
};

use super::{
    change::{Answered, Change},
    open::{BEGUN, Clocks, File, Open},
};
use crate::room_store::{
    Backfill, Base, Batch, Claimed, Dirty, FileLog, FlushAck, Joined, LOADER_LEASE, Left, Listed,
    ListedMember, LoaderToken, LogEntry, Logged, Outcome, Published, Source, StoreError, Survey,
    created_event, empty_base,
};

/// What a decision may know of the world.
#[derive(Clone, Copy)]
pub(super) struct Now {
    /// The time in microseconds.
    pub(super) us: u64,
    /// The highest epoch that any room has had.
    pub(super) last_epoch: u64,
}

/// A room, populated or about to be.
#[derive(Default)]
pub(super) struct Room {
    leases: HashMap<String, Lease>,
    loader: Option<Loader>,
    /// Nobody joins before this time.
    sealed_until: u64,
    open: Option<Open>,
}

/// An origin's hold on the room, and who it says is there.
#[derive(Default)]
struct Lease {
    until: u64,
    listed: Option<Vec<ListedMember>>,
}

struct Loader {
    token: LoaderToken,
    origin: String,
    until: u64,
}

type Decision<T> = Result<(Change, T), StoreError>;

impl Room {
    /// A room as it was read back from disk: populated, nobody in it.
    pub(super) fn reopened(open: Open) -> Self {
        Self { open: Some(open), ..Self::default() }
    }

    /// Whether forgetting the room loses nothing.
    pub(super) fn is_vacant(&self) -> bool {
        self.open.is_none() && self.leases.is_empty() && self.loader.is_none() && self.sealed_until == 0
    }

    pub(super) fn is_populated(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn join(&mut self, now: Now, origin: &str, lease: Duration) -> Result<Joined, StoreError> {
        self.expire(now);
        if self.sealed_until > 0 {
            return Err(StoreError::Sealed);
        }
        let until = now.us.saturating_add(micros(lease));
        self.leases.entry(origin.to_owned()).or_default().until = until;
        if let Some(open) = &self.open {
            return Ok(Joined::Ready(open.position));
        }
        let is_at_work = |loader: &&Loader| loader.until > now.us && loader.origin != origin;
        if let Some(loader) = self.loader.as_ref().filter(is_at_work) {
            return Ok(Joined::Wait(Duration::from_micros(loader.until - now.us)));
        }
        let token = LoaderToken(format!("{origin}-{:016x}", rand::random::<u64>()));
        let until = now.us.saturating_add(micros(LOADER_LEASE));
        self.loader = Some(Loader { token: token.clone(), origin: origin.to_owned(), until });
        Ok(Joined::Load(token))
    }

    pub(super) fn seal(&mut self, now: Now, at_most: Duration) -> Change {
        self.loader = None;
        let sealed = !at_most.is_zero();
        self.sealed_until = if sealed { now.us.saturating_add(micros(at_most)) } else { 0 };
        match &self.open {
            Some(open) if open.marks.contains_key(BEGUN) != sealed => Change::Sealed(sealed),
            _ => Change::None,
        }
    }

    pub(super) fn tell(&mut self, outcome: Outcome) -> Result<(), StoreError> {
        let open = self.open.as_mut().ok_or(StoreError::Cold)?;
        open.outcome = std::mem::take(&mut open.outcome).and(outcome);
        Ok(())
    }

    pub(super) fn survey(&mut self, now: Now, files: &[FileId]) -> Result<Survey, StoreError> {
        self.expire(now);
        let open = self.populated()?;
        let of_file = |file| open.files.get(file).map_or(0, |file: &File| bytes_of(&file.updates));
        let file_bytes: Vec<u64> = files.iter().map(of_file).collect();
        Ok(Survey {
            log_bytes: file_bytes.iter().sum::<u64>() + bytes_of(&open.events),
            file_bytes,
            deletion_left: open.marks.contains_key(BEGUN) && self.sealed_until == 0,
            outcome: open.outcome.clone(),
        })
    }

    pub(super) fn commit(
        &self,
        now: Now,
        token: &LoaderToken,
        bases: Vec<Base>,
        not_before: u64,
    ) -> Decision<Position> {
        if self.loader.as_ref().is_none_or(|loader| loader.token != *token) {
            return Err(StoreError::Stale);
        }
        let epoch = Epoch(now.us.max(now.last_epoch + 1));
        let position = Position { epoch, seq: 0, ts: now.us.max(not_before + 1) };
        Ok((Change::Opened { position, bases }, position))
    }

    pub(super) fn append(&self, now: Now, epoch: Epoch, batch: Batch) -> Decision<Vec<Logged>> {
        let open = self.in_epoch(epoch)?;
        if let Some((number, answers)) = open.batches.get(&batch.origin).filter(|_| batch.number > 0) {
            if *number == batch.number {
                return Ok((Change::None, answers.clone()));
            }
            if *number > batch.number {
                return Err(StoreError::Failed(format!("batch {} came after batch {number}", batch.number)));
            }
        }
        if !batch.entries.iter().all(|entry| entry.file.is_room() || open.files.contains_key(&entry.file)) {
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
    }

    pub(super) fn claim(&self, now: Now, epoch: Epoch, path: FilePath, id: FileId) -> Decision<Claimed> {
        let open = self.in_epoch(epoch)?;
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
    }

    pub(super) fn ack(&self, epoch: Epoch, ack: FlushAck) -> Decision<()> {
        self.merged_of(epoch, &ack)?;
        Ok((Change::Based { ack, unstored: None }, ()))
    }

    pub(super) fn compact(&self, epoch: Epoch, merged: FlushAck) -> Decision<()> {
        let unstored = self.merged_of(epoch, &merged)?.unstored();
        Ok((Change::Based { ack: merged, unstored }, ()))
    }

    /// The file of a merged state, if that began with its base.
    fn merged_of(&self, epoch: Epoch, merged: &FlushAck) -> Result<&File, StoreError> {
        let file = self.in_epoch(epoch)?.files.get(&merged.file).ok_or(StoreError::NoFile)?;
        if file.base_ts == merged.read_base_ts { Ok(file) } else { Err(StoreError::Conflict) }
    }

    pub(super) fn list(
        &mut self,
        now: Now,
        origin: &str,
        members: Vec<ListedMember>,
    ) -> Result<(), StoreError> {
        self.expire(now);
        self.populated()?;
        self.leases.get_mut(origin).ok_or(StoreError::Cold)?.listed = Some(members);
        Ok(())
    }

    pub(super) fn listed(&mut self, now: Now) -> Result<Vec<Listed>, StoreError> {
        self.expire(now);
        self.populated()?;
        let listed = |(origin, lease): (&String, &Lease)| Listed {
            origin: origin.clone(),
            members: lease.listed.clone(),
        };
        Ok(self.leases.iter().map(listed).collect())
    }

    pub(super) fn leave(&mut self, now: Now, origin: &str, epoch: Epoch) -> (Change, Left) {
        self.leases.remove(origin);
        self.expire(now);
        self.loader.take_if(|loader| loader.origin == origin);
        if let Some(open) = &mut self.open {
            open.batches.remove(origin);
        }
        if !self.leases.is_empty() {
            return (Change::None, Left::Members(self.leases.len()));
        }
        let Some(open) = self.open.as_ref().filter(|open| open.position.epoch == epoch) else {
            return (Change::None, Left::NotMine);
        };
        let dirty: Vec<FileId> = open
            .files
            .iter()
            .filter(|(_, file)| file.dirty_since().is_some())
            .map(|(id, _)| id.clone())
            .collect();
        if dirty.is_empty() { (Change::Gone, Left::Gone) } else { (Change::None, Left::Dirty(dirty)) }
    }

    pub(super) fn read(&self, id: &FileId) -> Result<FileLog, StoreError> {
        let open = self.populated()?;
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
    }

    pub(super) fn backfill(&self, from: Position) -> Result<Backfill, StoreError> {
        let open = self.populated()?;
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
    }

    pub(super) fn names(&self) -> Result<Vec<(FileId, FilePath)>, StoreError> {
        Ok(self.populated()?.files.iter().map(|(id, file)| (id.clone(), file.path.clone())).collect())
    }

    pub(super) fn dirty(&self) -> Result<Dirty, StoreError> {
        let open = self.populated()?;
        let since = |(id, file): (&FileId, &File)| file.dirty_since().map(|ts| (id.clone(), ts));
        Ok(Dirty {
            epoch: open.position.epoch,
            cutoff: open.position.ts,
            files: open.files.iter().filter_map(since).collect(),
        })
    }

    /// Makes a change that is on disk visible, and says what the room's subscribers are to hear.
    pub(super) fn apply(&mut self, change: Change) -> Option<Published> {
        match change {
            Change::None => None,
            Change::Opened { position, bases } => {
                self.loader = None;
                self.open = Some(Open::new(position, bases));
                Some(Published::Epoch(position.epoch))
            }
            Change::Logged { position, entries, created, answered, clocks } => {
                let open = self.open.as_mut()?;
                open.position = position;
                open.clocks.extend(clocks);
                if let Some((id, path)) = created {
                    open.add(id, File::created(path, position));
                }
                entries.iter().for_each(|entry| open.log(entry.clone()));
                if let Some(Answered { origin, number, answers }) = answered {
                    open.batches.insert(origin, (number, answers));
                }
                (!entries.is_empty()).then_some(Published::Changes(position.epoch, entries))
            }
            Change::Based { ack, unstored } => {
                self.open.as_mut()?.rebase(ack, unstored);
                None
            }
            Change::Sealed(sealed) => {
                let marks = &mut self.open.as_mut()?.marks;
                if sealed {
                    marks.insert(BEGUN.to_owned(), 1)
                } else {
                    marks.remove(BEGUN)
                };
                None
            }
            Change::Gone => {
                self.open = None;
                None
            }
            Change::Erased => {
                *self = Self::default();
                Some(Published::Erased)
            }
        }
    }

    fn expire(&mut self, now: Now) {
        self.leases.retain(|_, lease| lease.until > now.us);
        if self.sealed_until <= now.us {
            self.sealed_until = 0;
        }
    }

    fn populated(&self) -> Result<&Open, StoreError> {
        self.open.as_ref().ok_or(StoreError::Cold)
    }

    fn in_epoch(&self, epoch: Epoch) -> Result<&Open, StoreError> {
        let open = self.populated()?;
        if open.position.epoch == epoch { Ok(open) } else { Err(StoreError::Epoch(open.position.epoch)) }
    }
}

fn bytes_of<'a>(entries: impl IntoIterator<Item = &'a LogEntry>) -> u64 {
    entries.into_iter().map(|entry| entry.bytes.len() as u64).sum()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// `.room` has no path; a log must name one.
fn no_path() -> Result<FilePath, StoreError> {
    FilePath::parse("room").map_err(|error| StoreError::Failed(error.to_string()))
}

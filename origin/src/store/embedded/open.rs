//! What a populated room holds in memory: its files, their logs, its events and what it has of each hub.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use shared::{
    id::{FileId, FilePath},
    position::Position,
};

use crate::store::{Base, Entry, FlushAck, LogEntry, Logged, Outcome, Source, StoreError, empty_base};

/// Among the marks of hubs: the room's deletion was begun. No hub has this name.
pub(super) const BEGUN: &str = "";

/// Up to where the text of clients is logged, and to whom it belongs (empty for nobody), by file and client.
pub(super) type Clocks = HashMap<(FileId, u64), (u32, Arc<str>)>;

/// What a populated room holds.
#[derive(Default)]
pub(super) struct Open {
    pub(super) position: Position,
    pub(super) trimmed_seq: u64,
    pub(super) files: BTreeMap<FileId, File>,
    /// The same by path.
    paths: BTreeMap<FilePath, FileId>,
    pub(super) events: VecDeque<LogEntry>,
    pub(super) marks: HashMap<String, u64>,
    /// The last numbered batch of each origin, with its answer.
    pub(super) batches: HashMap<String, (u64, Vec<Logged>)>,
    /// Of what was logged in this life of the process: nobody knows less than what was logged before.
    pub(super) clocks: Clocks,
    /// How its flushes ended, in this life of the process.
    pub(super) outcome: Outcome,
}

/// A file of a populated room.
pub(super) struct File {
    pub(super) path: FilePath,
    /// The timestamp of its first unflushed change, if that is not in `updates`: it was claimed, or compacted since.
    pub(super) dirty_ts: Option<u64>,
    pub(super) base_ts: u64,
    pub(super) base_seq: u64,
    /// The seq up to which the archive has it.
    pub(super) stored_seq: u64,
    pub(super) base: Bytes,
    pub(super) updates: Vec<LogEntry>,
}

/// What the archive lacks of a file whose log was compacted.
#[derive(Clone, Copy)]
pub(super) struct Unflushed {
    /// The timestamp of the first unflushed change.
    pub(super) since: u64,
    /// The seq up to which the archive has the file.
    pub(super) stored_seq: u64,
}

impl File {
    /// The timestamp of its first unflushed change.
    pub(super) fn dirty_since(&self) -> Option<u64> {
        self.dirty_ts.or(self.updates.first().map(|first| first.ts))
    }

    /// What the archive lacks of it.
    pub(super) fn unflushed(&self) -> Option<Unflushed> {
        self.dirty_since().map(|since| Unflushed { since, stored_seq: self.stored_seq })
    }
}

impl Open {
    /// A room as it is after a populate with these bases.
    pub(super) fn new(position: Position, bases: Vec<Base>) -> Self {
        let mut open = Self { position, ..Self::default() };
        for base in bases {
            let file = File {
                path: base.path,
                dirty_ts: None,
                base_ts: position.ts,
                base_seq: 0,
                stored_seq: 0,
                base: base.state,
                updates: Vec::new(),
            };
            open.add(base.file, file);
        }
        open
    }

    /// Adds a file.
    pub(super) fn add(&mut self, id: FileId, file: File) {
        self.paths.insert(file.path.clone(), id.clone());
        self.files.insert(id, file);
    }

    /// The file at a path.
    pub(super) fn file_at(&self, path: &FilePath) -> Option<&FileId> {
        self.paths.get(path)
    }

    /// The clocks that these entries move, unless one of them begins below what is logged of a client, or extends that
    /// of somebody else.
    pub(super) fn extended(&self, entries: &[Entry]) -> Result<Clocks, StoreError> {
        let mut moved = Clocks::new();
        for entry in entries {
            for extension in &entry.extensions {
                let of_client = (entry.file.clone(), extension.client);
                let known = moved.get(&of_client).or_else(|| self.clocks.get(&of_client));
                let (clock, owner) = known.cloned().unwrap_or_else(|| (0, "".into()));
                if clock > extension.from {
                    return Err(StoreError::Overtaken);
                }
                if !entry.author.is_empty() && !owner.is_empty() && owner != entry.author {
                    let (file, client) = of_client;
                    return Err(StoreError::Owned { file, client, owner: owner.to_string() });
                }
                let owner = if entry.author.is_empty() { owner } else { entry.author.clone() };
                moved.insert(of_client, (extension.to, owner));
            }
        }
        Ok(moved)
    }

    /// Puts an entry into the log that it belongs to.
    pub(super) fn log(&mut self, entry: LogEntry) {
        if !entry.file.is_room() {
            if let Some(file) = self.files.get_mut(&entry.file) {
                file.updates.push(entry);
            }
            return;
        }
        if is_numbered(&entry.source) {
            self.marks.insert(entry.source.hub.clone(), entry.source.hub_seq);
        }
        self.events.push_back(entry);
        while self.events.len() > room::limits::ROOM_EVENTS {
            self.trimmed_seq = self.events.pop_front().map_or(0, |old| old.seq).max(self.trimmed_seq);
        }
    }

    /// Where an event stands that this room, or this batch so far, already has.
    pub(super) fn had(
        &self,
        batch: &[LogEntry],
        file: &FileId,
        source: &Source,
        last: Position,
    ) -> Option<Logged> {
        if !file.is_room() || !is_numbered(source) {
            return None;
        }
        let same_hub = |entry: &&LogEntry| entry.file.is_room() && entry.source.hub == source.hub;
        let in_batch = batch.iter().filter(same_hub).map(|entry| entry.source.hub_seq).max();
        let mark = in_batch.max(self.marks.get(&source.hub).copied())?;
        if source.hub_seq > mark {
            return None;
        }
        let known =
            self.events.iter().chain(batch).filter(same_hub).find(|e| e.source.hub_seq == source.hub_seq);
        let (seq, ts) = known.map_or((last.seq, last.ts), |entry| (entry.seq, entry.ts));
        Some(Logged { seq, ts, duplicate: true })
    }

    /// Replaces a base and trims what is in it.
    pub(super) fn rebase(&mut self, ack: FlushAck, unflushed: Option<Unflushed>) {
        let Some(file) = self.files.get_mut(&ack.file) else { return };
        let kept = file.updates.partition_point(|entry| entry.ts <= ack.merged_ts);
        if let Some(last) = file.updates.drain(..kept).next_back() {
            self.trimmed_seq = self.trimmed_seq.max(last.seq);
        }
        file.dirty_ts = unflushed.map(|unflushed| unflushed.since);
        file.stored_seq = unflushed.map_or(ack.merged_seq, |unflushed| unflushed.stored_seq);
        file.base_ts = ack.merged_ts;
        file.base_seq = ack.merged_seq;
        file.base = ack.state;
    }
}

impl File {
    /// A file that was claimed just now.
    pub(super) fn created(path: FilePath, position: Position) -> Self {
        Self {
            path,
            dirty_ts: Some(position.ts),
            base_ts: position.ts,
            base_seq: position.seq,
            stored_seq: position.seq,
            base: empty_base(),
            updates: Vec::new(),
        }
    }
}

/// Whether the hub counts it, so that a repeat is known.
pub(super) fn is_numbered(source: &Source) -> bool {
    source.hub_seq > 0 && !source.hub.is_empty()
}

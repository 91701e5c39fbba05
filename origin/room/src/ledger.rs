//! What is logged and not in the archive yet, by file: since when, and a copy of it beside the documents. Should the
//! room store lose it, the room restores it (`recovery.rs`).
//!
//! The copies are bounded by [`crate::limits::UNFLUSHED_BYTES`]: beyond that a file's updates become its state, if that is
//! much smaller, or are given up, the largest first. What is given up is still in the room store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use shared::{
    Millis,
    id::FileId,
    wire::event::{self, FileOp},
};

use crate::{
    log::{FileLog, LogEntry},
    store::Dirty,
};

/// What an update takes beside its bytes.
const OVERHEAD: usize = 64;

/// What the archive lacks.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Whether copies are kept: not where no other origin has the room, or another one keeps them.
    copies: bool,
    files: BTreeMap<FileId, Unflushed>,
    /// The files that wait for a flush, by since when.
    since: BTreeSet<(Millis, FileId)>,
    /// Those of which the time is not known yet.
    undated: BTreeSet<FileId>,
    /// What the archive has, as far as it was said: that can be heard before one's own append is answered.
    flushed: BTreeMap<FileId, u64>,
    /// Files of which copies are kept, and what those take.
    copied: usize,
    bytes: usize,
}

/// What the archive lacks of one file.
#[derive(Debug, Default)]
struct Unflushed {
    /// That it waits for a flush; `None` if only a copy is kept.
    waiting: Option<Waiting>,
    /// The seq of its creation, until the archive has the file.
    created: Option<u64>,
    /// Copies of its updates, by seq.
    updates: BTreeMap<u64, Bytes>,
    /// What they take.
    bytes: usize,
}

/// A file that waits for a flush.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// Since when; `None` until the time is known.
    since: Option<Millis>,
    /// The seq of the last change that was heard of.
    seq: u64,
    /// Its timestamp.
    ts: u64,
}

impl Unflushed {
    fn has_copy(&self) -> bool {
        self.created.is_some() || !self.updates.is_empty()
    }

    /// A copy, since the update may be a piece of something much larger.
    fn copy(&mut self, seq: u64, bytes: &Bytes) {
        if self.updates.insert(seq, Bytes::copy_from_slice(bytes)).is_none() {
            self.bytes += bytes.len() + OVERHEAD;
        }
    }

    fn drop_copies(&mut self, seq: u64) {
        let later = self.updates.split_off(&seq.saturating_add(1));
        let gone: usize = self.updates.values().map(|update| update.len() + OVERHEAD).sum();
        self.updates = later;
        self.bytes -= gone;
        self.created = self.created.filter(|created| *created > seq);
    }

    /// Puts the state at `seq` in the place of the updates that led to it.
    fn condense(&mut self, seq: u64, state: &Bytes) {
        let created = self.created;
        self.drop_copies(seq);
        self.copy(seq, state);
        self.created = created;
    }

    fn forget_copies(&mut self) {
        *self = Self { waiting: self.waiting, ..Self::default() };
    }

    fn waits_since(&mut self, since: Millis) {
        if let Some(waiting) = &mut self.waiting {
            waiting.since = Some(since);
        }
    }
}

impl Ledger {
    /// Nothing is known yet.
    pub(crate) fn new(copies: bool) -> Self {
        Self { copies, ..Self::default() }
    }

    /// The room is joined again in the same epoch: since when files wait is asked of the room store.
    pub(crate) fn rejoin(mut self, copies: bool) -> Self {
        self.copies = copies;
        self.flushed.clear();
        for file in self.files.keys().cloned().collect::<Vec<_>>() {
            self.edit(&file, |kept| {
                kept.waiting = kept.waiting.map(|waiting| Waiting { since: None, ..waiting });
            });
        }
        self
    }

    /// Takes the copies: the updates of each file in order.
    pub(crate) fn into_copies(self) -> BTreeMap<FileId, VecDeque<Bytes>> {
        let kept = self.files.into_iter().filter(|(_, file)| file.has_copy());
        kept.map(|(id, file)| (id, file.updates.into_values().collect())).collect()
    }

    /// A change or an event is logged. One that comes twice counts once.
    pub(crate) fn logged(&mut self, entry: &LogEntry) {
        if entry.file.is_room() {
            return self.event_logged(entry);
        }
        // A flush may have told of it before the append was answered.
        if self.has_flushed(&entry.file, entry.seq) {
            return;
        }
        let copies = self.copies;
        self.edit(&entry.file, |kept| {
            let waiting = kept.waiting.get_or_insert_default();
            if entry.seq > waiting.seq {
                (waiting.seq, waiting.ts) = (entry.seq, entry.ts);
            }
            if copies {
                kept.copy(entry.seq, &entry.bytes);
            }
        });
    }

    fn event_logged(&mut self, entry: &LogEntry) {
        if !self.copies {
            return;
        }
        for change in event::tree_changes(&entry.bytes) {
            match change.op {
                FileOp::Create => self.edit(&change.id, |kept| kept.created = Some(entry.seq)),
                FileOp::Delete => self.edit(&change.id, Unflushed::forget_copies),
                FileOp::Rename => {}
            }
        }
    }

    /// A file was read. What the archive lacks of it is in the log, and if that was compacted, in the base too.
    pub(crate) fn read(&mut self, file: &FileId, log: &FileLog) {
        let compacted = log.stored_seq < log.base_seq && !self.has_flushed(file, log.base_seq);
        let later = log.updates.iter().filter(|entry| !self.has_flushed(file, entry.seq));
        let later: Vec<&LogEntry> = later.collect();
        let copies = self.copies;
        self.edit(file, |kept| {
            // The base of a file that was claimed and never flushed is that of its creation.
            if kept.created != Some(log.stored_seq) {
                kept.drop_copies(log.stored_seq);
            }
            if !copies {
                return;
            }
            if compacted {
                kept.condense(log.base_seq, &log.base);
            }
            later.into_iter().for_each(|entry| kept.copy(entry.seq, &entry.bytes));
        });
    }

    /// The archive has a file up to this seq. What came after it came after the flush began, so at most that long
    /// ago.
    pub(crate) fn flushed(&mut self, file: &FileId, seq: u64, now: Millis) {
        self.flushed.insert(file.clone(), seq);
        self.edit(file, |kept| {
            kept.waiting = kept.waiting.filter(|waiting| waiting.seq > seq);
            kept.waits_since(now);
            kept.drop_copies(seq);
        });
    }

    fn has_flushed(&self, file: &FileId, seq: u64) -> bool {
        self.flushed.get(file).is_some_and(|flushed| *flushed >= seq)
    }

    /// The room store says which files are dirty: the rest is stored up to what was heard of it.
    pub(crate) fn reconcile(&mut self, dirty: &Dirty) {
        for (file, first) in &dirty.files {
            // It may have been stored since the store was asked.
            let may_be_stored = self.flushed.contains_key(file);
            self.edit(file, |kept| {
                if !may_be_stored {
                    kept.waiting.get_or_insert_default();
                }
                let since = first / 1000;
                let known = kept.waiting.and_then(|waiting| waiting.since);
                kept.waits_since(known.map_or(since, |known| known.min(since)));
            });
        }
        let still: BTreeSet<&FileId> = dirty.files.iter().map(|(file, _)| file).collect();
        let waiting = self.files.iter().filter_map(|(file, kept)| Some((file, kept.waiting?)));
        let clean = waiting.filter(|(file, waiting)| waiting.ts <= dirty.cutoff && !still.contains(file));
        let clean: Vec<(FileId, u64)> = clean.map(|(file, waiting)| (file.clone(), waiting.seq)).collect();
        for (file, seq) in clean {
            self.edit(&file, |kept| {
                kept.waiting = None;
                kept.drop_copies(seq);
            });
        }
    }

    /// Another origin keeps copies from now on; of what is not dirty none are needed.
    pub(crate) fn hand_over(&mut self, dirty: Option<&Dirty>) {
        self.copies = false;
        let Some(dirty) = dirty else { return };
        let dirty: BTreeSet<&FileId> = dirty.files.iter().map(|(file, _)| file).collect();
        self.forget_copies(|file| !dirty.contains(file));
    }

    /// Gives up the copies of these files.
    pub(crate) fn forget_copies(&mut self, of: impl Fn(&FileId) -> bool) {
        for file in self.files.keys().filter(|file| of(file)).cloned().collect::<Vec<_>>() {
            self.edit(&file, Unflushed::forget_copies);
        }
    }

    /// What waits and has no time yet has waited since now.
    pub(crate) fn date(&mut self, now: Millis) {
        for file in std::mem::take(&mut self.undated) {
            self.edit(&file, |kept| kept.waits_since(now));
        }
    }

    /// Since when a change waits for the archive.
    pub(crate) fn oldest(&self) -> Option<Millis> {
        self.since.first().map(|(since, _)| *since)
    }

    /// Whether copies are kept of something.
    pub(crate) fn has_copies(&self) -> bool {
        self.copied > 0
    }

    /// Keeps the copies within their bound; `state_of` gives the state of a file in memory and its seq.
    pub(crate) fn bound(&mut self, state_of: impl Fn(&FileId) -> Option<(u64, Bytes)>) {
        while self.bytes > crate::limits::UNFLUSHED_BYTES {
            let largest = self.files.iter().max_by_key(|(_, kept)| kept.bytes);
            let Some((file, bytes)) = largest.map(|(file, kept)| (file.clone(), kept.bytes)) else { return };
            if !self.condense(&file, bytes, state_of(&file)) {
                tracing::warn!(
                    file.id = %file, bytes,
                    "too much waits for the archive to be kept here as well; only the room store has it"
                );
                self.edit(&file, Unflushed::forget_copies);
            }
        }
    }

    /// A file leaves memory: many updates become its state while that is there.
    pub(crate) fn release(&mut self, file: &FileId, state_of: impl Fn(&FileId) -> Option<(u64, Bytes)>) {
        let bytes = self.files.get(file).map_or(0, |kept| kept.bytes);
        if bytes > crate::limits::LOG_BYTES {
            self.condense(file, bytes, state_of(file));
        }
    }

    /// Keeps the state in the place of updates of so many bytes, if it is in memory and much smaller.
    fn condense(&mut self, file: &FileId, bytes: usize, state: Option<(u64, Bytes)>) -> bool {
        let Some((seq, state)) = state.filter(|(_, state)| state.len() < bytes / 2) else { return false };
        self.edit(file, |kept| kept.condense(seq, &state));
        true
    }

    /// Changes what is kept of a file, and all that is counted of it.
    fn edit(&mut self, file: &FileId, change: impl FnOnce(&mut Unflushed)) {
        let mut kept = self.files.remove(file).unwrap_or_default();
        let (waited, had_copy, bytes) = (kept.waiting, kept.has_copy(), kept.bytes);
        change(&mut kept);
        match waited.map(|waiting| waiting.since) {
            Some(Some(since)) => self.since.remove(&(since, file.clone())),
            Some(None) => self.undated.remove(file),
            None => false,
        };
        match kept.waiting.map(|waiting| waiting.since) {
            Some(Some(since)) => self.since.insert((since, file.clone())),
            Some(None) => self.undated.insert(file.clone()),
            None => false,
        };
        self.copied = self.copied + usize::from(kept.has_copy()) - usize::from(had_copy);
        self.bytes = self.bytes + kept.bytes - bytes;
        if kept.waiting.is_some() || kept.has_copy() {
            self.files.insert(file.clone(), kept);
        }
    }
}

#[cfg(test)]
impl Ledger {
    /// The copies of a file.
    pub(crate) fn copies_of(&self, file: &FileId) -> Vec<(u64, Bytes)> {
        let kept = self.files.get(file).into_iter().flat_map(|kept| &kept.updates);
        kept.map(|(seq, bytes)| (*seq, bytes.clone())).collect()
    }

    /// What all copies take.
    pub(crate) fn copied_bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use shared::{id::FilePath, position::Position};

    use super::*;
    use crate::log::Source;

    #[test]
    fn an_update_that_comes_twice_counts_once_and_one_that_is_stored_not_at_all() {
        let mut ledger = Ledger::new(true);
        let (file, bytes) = (FileId::from_random(1), Bytes::from_static(b"update"));
        let path = FilePath::parse("a.js").unwrap();
        let log = |file: &FileId, seq, bytes: &Bytes| {
            let (file, bytes) = (file.clone(), bytes.clone());
            LogEntry { file, seq, ts: seq, source: Source::default(), bytes }
        };
        let created = event::EventOut::created(&file, &path).to_json();
        ledger.logged(&log(&FileId::room(), 1, &created.into()));
        for seq in [2, 3, 3, 2] {
            ledger.logged(&log(&file, seq, &bytes));
        }
        assert_eq!(ledger.bytes, 2 * (bytes.len() + OVERHEAD));
        let read = FileLog {
            position: Position { seq: 3, ..Position::default() },
            path,
            base_ts: 1,
            base_seq: 1,
            stored_seq: 1,
            base: crate::store::empty_base(),
            updates: Vec::new(),
        };
        ledger.read(&file, &read);
        assert_eq!(ledger.files[&file].created, Some(1), "its base is that of its creation");
        ledger.flushed(&file, 2, 0);
        assert_eq!(ledger.files[&file].updates.keys().copied().collect::<Vec<_>>(), [3]);
        ledger.flushed(&file, 3, 0);
        assert!(!ledger.has_copies() && ledger.bytes == 0 && ledger.files.is_empty());
    }

    #[test]
    fn what_waits_in_the_same_epoch_is_known_again_and_what_was_flushed_meanwhile_is_given_up() {
        let mut ledger = Ledger::new(true);
        let files = [1, 2].map(FileId::from_random);
        for (seq, file) in (1..).zip(&files) {
            let (file, bytes) = (file.clone(), Bytes::from_static(b"update"));
            ledger.logged(&LogEntry { file, seq, ts: seq * 1000, source: Source::default(), bytes });
        }
        let mut ledger = ledger.rejoin(true);
        let dirty =
            Dirty { epoch: Default::default(), cutoff: 5_000, files: vec![(files[1].clone(), 2_000)] };
        ledger.reconcile(&dirty);
        assert_eq!(ledger.oldest(), Some(2));
        assert_eq!(files.map(|file| ledger.copies_of(&file).len()), [0, 1]);
    }
}

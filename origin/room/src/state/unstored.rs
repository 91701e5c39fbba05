//! What is logged and not in the archive yet, kept beside the documents: should the room store lose it, the room
//! gives it back (`returning.rs`).
//!
//! Bounded by [`limits::UNSTORED_BYTES`]: beyond that a file's updates become its state, if that is much smaller,
//! or are given up, the largest first. What is given up is still in the room store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use shared::{
    close::CloseCode,
    id::FileId,
    limits,
    wire::event::{self, FileOp},
};

use super::Room;
use crate::{
    log::{FileLog, LogEntry},
    store::Dirty,
};

/// What an update takes beside its bytes.
const OVERHEAD: usize = 64;
/// The state vector of nobody.
pub(super) const NOTHING: &[u8] = &[0];

/// What the archive lacks, by file.
#[derive(Debug, Default)]
pub(super) struct Unstored {
    files: BTreeMap<FileId, Kept>,
    bytes: usize,
}

/// What the archive lacks of one file.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The seq of its creation, until the archive has the file.
    created: Option<u64>,
    /// Its updates by seq.
    updates: BTreeMap<u64, Bytes>,
    bytes: usize,
}

impl Unstored {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Keeps a logged update; twice is once.
    fn keep(&mut self, file: &FileId, seq: u64, bytes: &Bytes) {
        let kept = self.files.entry(file.clone()).or_default();
        // A copy, since it may be a piece of something much larger.
        if kept.updates.insert(seq, Bytes::copy_from_slice(bytes)).is_none() {
            kept.bytes += bytes.len() + OVERHEAD;
            self.bytes += bytes.len() + OVERHEAD;
        }
    }

    fn created(&mut self, file: &FileId, seq: u64) {
        self.files.entry(file.clone()).or_default().created = Some(seq);
    }

    /// The archive has a file up to this seq.
    pub(super) fn stored(&mut self, file: &FileId, seq: u64) {
        let Some(kept) = self.files.get_mut(file) else { return };
        let later = kept.updates.split_off(&seq.saturating_add(1));
        let gone: usize = kept.updates.values().map(|update| update.len() + OVERHEAD).sum();
        kept.updates = later;
        kept.bytes -= gone;
        self.bytes -= gone;
        kept.created = kept.created.filter(|created| *created > seq);
        if kept.created.is_none() && kept.updates.is_empty() {
            self.files.remove(file);
        }
    }

    /// The archive has a file up to this seq, unless the file was created with it.
    fn based(&mut self, file: &FileId, seq: u64) {
        if self.files.get(file).is_some_and(|kept| kept.created != Some(seq)) {
            self.stored(file, seq);
        }
    }

    fn forget(&mut self, file: &FileId) {
        if let Some(kept) = self.files.remove(file) {
            self.bytes -= kept.bytes;
        }
    }

    /// Takes everything: the updates of each file in order.
    pub(super) fn take(&mut self) -> BTreeMap<FileId, VecDeque<Bytes>> {
        let files = std::mem::take(self).files;
        files.into_iter().map(|(file, kept)| (file, kept.updates.into_values().collect())).collect()
    }

    /// Puts the state at `seq` in the place of what led to it.
    fn condense(&mut self, file: &FileId, seq: u64, state: &Bytes) {
        let created = self.files.get(file).and_then(|kept| kept.created);
        self.stored(file, seq);
        self.keep(file, seq, state);
        if let Some(kept) = self.files.get_mut(file) {
            kept.created = created;
        }
    }
}

impl Room {
    /// Whether something is kept here that the archive is not known to have.
    pub fn keeps_unstored(&self) -> bool {
        !self.unstored.is_empty() || self.is_giving_back()
    }

    /// Another origin has the room open and keeps what is logged from now on.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// What the room store knows to be dirty, asked after [`Self::retire`]: the rest is stored, unless the store lags
    /// behind what was logged.
    pub fn learn_dirty(&mut self, dirty: &Dirty) {
        let lags = dirty.cutoff < self.position.ts;
        if !self.retired || dirty.epoch != self.position.epoch || lags {
            return;
        }
        let dirty: BTreeSet<&FileId> = dirty.files.iter().map(|(file, _)| file).collect();
        let kept: Vec<FileId> = self.unstored.files.keys().cloned().collect();
        for file in kept.iter().filter(|file| !dirty.contains(file)) {
            self.unstored.forget(file);
        }
    }

    /// Keeps what was logged just now.
    pub(super) fn keep_unstored(&mut self, entry: &LogEntry) {
        if !self.settings.shared || self.retired {
            return;
        }
        if !entry.file.is_room() {
            // A flush may have told of it before the append was answered.
            if self.storing.has(&entry.file, entry.seq) {
                return;
            }
            self.unstored.keep(&entry.file, entry.seq, &entry.bytes);
            return self.bound_unstored();
        }
        for change in event::tree_changes(&entry.bytes) {
            match change.op {
                FileOp::Create => self.unstored.created(&change.id, entry.seq),
                FileOp::Delete => self.unstored.forget(&change.id),
                FileOp::Rename => {}
            }
        }
    }

    /// A file was read. What the archive lacks of it is in the log, and if that was compacted, in the base too.
    pub(super) fn keep_unstored_of(&mut self, file: &FileId, log: &FileLog) {
        self.unstored.based(file, log.stored_seq);
        let compacted = log.stored_seq < log.base_seq && !self.storing.has(file, log.base_seq);
        if compacted && self.settings.shared && !self.retired {
            self.unstored.condense(file, log.base_seq, &log.base);
            self.bound_unstored();
        }
        for entry in &log.updates {
            self.keep_unstored(entry);
        }
    }

    /// The shard is gone: nothing of it comes back.
    pub(super) fn forget_unstored(&mut self, code: CloseCode) {
        if matches!(code, CloseCode::NotFound | CloseCode::Deleted) {
            self.unstored = Unstored::default();
            self.returning.clear();
        }
    }

    fn bound_unstored(&mut self) {
        while self.unstored.bytes > limits::UNSTORED_BYTES {
            let largest = self.unstored.files.iter().max_by_key(|(_, kept)| kept.bytes);
            let Some((file, bytes)) = largest.map(|(file, kept)| (file.clone(), kept.bytes)) else { return };
            if !self.condense_unstored(&file, bytes) {
                tracing::warn!(
                    file.id = %file, bytes,
                    "too much is not stored yet to be kept here as well; only the room store has it"
                );
                self.unstored.forget(&file);
            }
        }
    }

    /// A file leaves memory: many updates become its state while that is there.
    pub(super) fn condense_before_leaving(&mut self, file: &FileId) {
        let bytes = self.unstored.files.get(file).map_or(0, |kept| kept.bytes);
        if bytes > limits::LOG_BYTES {
            self.condense_unstored(file, bytes);
        }
    }

    /// Keeps the state in the place of updates of so many bytes, if it is in memory and much smaller.
    fn condense_unstored(&mut self, file: &FileId, bytes: usize) -> bool {
        let state = self.live.get(file).map(|live| (live.seq, live.diff(NOTHING)));
        let Some((seq, state)) = state.filter(|(_, state)| state.len() < bytes / 2) else { return false };
        self.unstored.condense(file, seq, &state);
        true
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        id::FilePath,
        position::{Epoch, Position},
    };

    use super::*;
    use crate::{
        log::Source,
        state::Settings,
        store::{Published, empty_base},
        text::state_of,
    };

    const EPOCH: Epoch = Epoch(3);

    fn file(n: u8) -> FileId {
        FileId::from_random(u128::from(n))
    }

    /// A room with two files, of which the first is in memory.
    fn room() -> Room {
        let settings = Settings {
            origin: "o".to_owned(),
            create_on_open: true,
            shared: true,
            owned: true,
            confirm: false,
            behind: 60_000,
        };
        let mut room = Room::new(settings);
        let path = |n: u8| FilePath::parse(&format!("{n}.js")).unwrap();
        let position = Position { epoch: EPOCH, seq: 0, ts: 1 };
        room.begin(position, vec![(file(1), path(1)), (file(2), path(2))], 0, String::new());
        let log = FileLog {
            position,
            path: path(1),
            base_ts: 1,
            base_seq: 0,
            stored_seq: 0,
            base: empty_base(),
            updates: vec![],
        };
        room.file_read(&file(1), Ok(log), 0);
        room
    }

    fn logs(room: &mut Room, n: u8, bytes: Bytes) {
        let seq = room.position().seq + 1;
        let entry = LogEntry { file: file(n), seq, ts: seq, source: Source::default(), bytes };
        room.published(Published::Changes(EPOCH, vec![entry]), 0);
    }

    #[test]
    fn beyond_the_bound_the_state_of_a_file_is_kept_or_else_what_is_largest_is_given_up() {
        let mut room = room();
        let large = state_of(&"x".repeat(1 << 20), 7);
        logs(&mut room, 2, state_of("small", 8));
        // The same again and again: its state is a fraction of what led to it.
        for _ in 0..40 {
            logs(&mut room, 1, large.clone());
        }
        assert!(room.unstored.bytes < limits::UNSTORED_BYTES);
        let kept = |room: &Room, n| room.unstored.files.get(&file(n)).map_or(0, |kept| kept.updates.len());
        assert!((1..40).contains(&kept(&room, 1)), "{}", kept(&room, 1));
        // Nobody has this one open here.
        for client in 10..50 {
            logs(&mut room, 2, state_of(&"x".repeat(1 << 20), client));
        }
        assert!(room.unstored.bytes < limits::UNSTORED_BYTES);
        assert!(kept(&room, 1) > 0 && kept(&room, 2) < 40);
    }

    #[test]
    fn an_update_that_comes_twice_counts_once_and_one_that_is_stored_not_at_all() {
        let mut unstored = Unstored::default();
        let bytes = Bytes::from_static(b"update");
        unstored.created(&file(1), 1);
        for seq in [2, 3, 3, 2] {
            unstored.keep(&file(1), seq, &bytes);
        }
        assert_eq!(unstored.bytes, 2 * (bytes.len() + OVERHEAD));
        unstored.based(&file(1), 1);
        assert_eq!(unstored.files[&file(1)].created, Some(1), "its base is that of its creation");
        unstored.stored(&file(1), 2);
        assert_eq!(unstored.files[&file(1)].updates.keys().copied().collect::<Vec<_>>(), [3]);
        unstored.stored(&file(1), 3);
        assert!(unstored.is_empty() && unstored.bytes == 0);
    }

    fn kept(room: &Room, n: u8) -> Vec<(u64, Bytes)> {
        let kept = room.unstored.files.get(&file(n)).map(|kept| &kept.updates);
        kept.into_iter().flatten().map(|(seq, bytes)| (*seq, bytes.clone())).collect()
    }

    #[test]
    fn a_base_that_the_archive_lacks_is_kept_until_it_is_stored() {
        let mut room = room();
        for client in 10..14 {
            logs(&mut room, 1, state_of("x", client));
        }
        let (position, base) = (room.position(), state_of("compacted", 7));
        let path = FilePath::parse("2.js").unwrap();
        let read = |stored_seq| {
            let (base, path) = (base.clone(), path.clone());
            FileLog { position, path, base_ts: 3, base_seq: 3, stored_seq, base, updates: vec![] }
        };
        room.file_read(&file(2), Ok(read(3)), 0);
        assert_eq!(kept(&room, 2), [], "it is stored");
        room.file_read(&file(2), Ok(read(1)), 0);
        room.file_read(&file(2), Ok(read(1)), 0);
        assert_eq!(kept(&room, 2), [(3, base.clone())], "twice is once");
        let stored = |seq: u64| {
            let stored = serde_json::json!({ "id": file(2), "path": "2.js", "seq": seq, "at": 1 });
            let note = serde_json::json!({ "type": "stored", "epoch": EPOCH, "files": [stored] });
            Published::Note(note.to_string().into())
        };
        room.published(stored(2), 0);
        assert_eq!(kept(&room, 2).len(), 1, "not all of it");
        room.published(stored(3), 0);
        assert_eq!(kept(&room, 2), []);
        room.file_read(&file(2), Ok(read(1)), 0);
        assert_eq!(kept(&room, 2), [], "it was read before it was stored");
    }

    #[test]
    fn many_updates_of_a_file_that_leaves_memory_become_its_state() {
        let mut room = room();
        let large = state_of(&"x".repeat(1 << 20), 7);
        for _ in 0..2 {
            logs(&mut room, 1, large.clone());
        }
        room.condense_before_leaving(&file(1));
        let [(seq, state)] = &kept(&room, 1)[..] else { panic!("not condensed") };
        assert_eq!((*seq, state.len()), (2, large.len()));
        logs(&mut room, 1, state_of("small", 8));
        room.condense_before_leaving(&file(1));
        assert_eq!(kept(&room, 1).len(), 2, "so little is left as it is");
    }
}

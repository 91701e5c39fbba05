//! The files of a room that are in memory, and those that are being read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use shared::{id::FileId, wire::link::OriginMessage};

use crate::{
    effect::Effect,
    file::{Broken, LiveFile},
    log::{FileLog, LogEntry},
};

/// The documents.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    live: BTreeMap<FileId, LiveFile>,
    reading: BTreeSet<FileId>,
    /// To be read again once the room has caught up with the log.
    read_again: Vec<FileId>,
}

impl Documents {
    /// A file in memory.
    pub(crate) fn get(&self, file: &FileId) -> Option<&LiveFile> {
        self.live.get(file)
    }

    /// The same, to validate a change.
    pub(crate) fn get_mut(&mut self, file: &FileId) -> Option<&mut LiveFile> {
        self.live.get_mut(file)
    }

    /// A file in memory with its text history.
    pub(crate) fn with_text_history(&self, file: &FileId) -> Option<&LiveFile> {
        self.get(file).filter(|live| live.text_history().is_some())
    }

    /// Whether a file is in memory, with its text history if that is needed.
    pub(crate) fn has(&self, file: &FileId, needs_history: bool) -> bool {
        self.get(file).is_some_and(|live| !needs_history || live.text_history().is_some())
    }

    /// Brings a file into memory if it is not there.
    #[must_use]
    pub(crate) fn want(&mut self, file: &FileId, needs_history: bool) -> Option<Effect> {
        let reads = !self.has(file, needs_history) && self.reading.insert(file.clone());
        reads.then(|| Effect::Read(file.clone()))
    }

    /// A read has been answered.
    pub(crate) fn read_ended(&mut self, file: &FileId) {
        self.reading.remove(file);
    }

    /// A file was read. Whether the places of new text can be checked in it.
    pub(crate) fn load(&mut self, file: &FileId, log: &FileLog, needs_history: bool) -> Result<bool, Broken> {
        let live = LiveFile::read(log, needs_history)?;
        let checks_places = live.checks_places();
        self.live.insert(file.clone(), live);
        Ok(checks_places)
    }

    /// A file was read beyond what the room has: it is read again later.
    pub(crate) fn read_later(&mut self, file: &FileId) {
        self.read_again.push(file.clone());
    }

    /// Takes the files that are to be read again.
    pub(crate) fn take_read_again(&mut self) -> Vec<FileId> {
        std::mem::take(&mut self.read_again)
    }

    /// Applies a logged change to its file, if that is in memory. The answer is for the hubs that have the file open.
    #[must_use]
    pub(crate) fn apply(&mut self, entry: &LogEntry) -> Option<OriginMessage> {
        let live = self.live.get_mut(&entry.file)?;
        match live.apply(entry) {
            Ok(measured) => measured.then(|| live.size_message(entry.file.clone()))?,
            Err(_) => {
                // The document is not to be trusted any more; it is read again when it is next wanted.
                self.live.remove(&entry.file);
                None
            }
        }
    }

    /// What was on its way of these files is logged by now, or never will be.
    pub(crate) fn settle<'a>(&mut self, files: impl IntoIterator<Item = &'a FileId>) {
        for file in files.into_iter().collect::<BTreeSet<_>>() {
            if let Some(live) = self.live.get_mut(file) {
                live.settle();
            }
        }
    }

    /// The state of a file in memory, and the seq that it is of.
    pub(crate) fn state(&self, file: &FileId) -> Option<(u64, Bytes)> {
        self.get(file).map(LiveFile::state)
    }

    /// The size of a file in memory; 0 if it is not.
    pub(crate) fn bytes(&self, file: &FileId) -> u64 {
        self.get(file).map_or(0, LiveFile::bytes)
    }

    /// A file leaves memory; the log has it.
    pub(crate) fn remove(&mut self, file: &FileId) {
        self.live.remove(file);
    }

    /// Everything leaves memory.
    pub(crate) fn clear(&mut self) {
        self.live.clear();
    }
}

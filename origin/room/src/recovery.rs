//! What the room store has lost: when the room begins in another epoch, the copies in the ledger are restored, so that
//! what was acknowledged returns although no hub is connected.
//!
//! Of each file one update with what the new room lacks goes through the gate and the log like a change of a hub.
//! So several origins may restore the same: what is there already is not logged again. A file that was created
//! and never stored gets its path and id again; if another file has the path by now, it gets the text.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use shared::{
    Millis,
    id::{ChannelId, FileId, FileName, FilePath},
};

use crate::{
    change::{Change, Kind, Verdict},
    file::{Lacking, LiveFile},
    names::Names,
};

/// How long after a failure it is tried again.
const AGAIN_MS: Millis = 1_000;

/// What is to be restored, by file.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    files: BTreeMap<FileId, Lost>,
    /// The same by path.
    paths: BTreeMap<FilePath, BTreeSet<FileId>>,
    again_at: Option<Millis>,
}

#[derive(Debug)]
struct Lost {
    path: FilePath,
    updates: VecDeque<Bytes>,
    /// The archive was read for what they build on.
    looked_up: bool,
}

/// Where a lost file goes.
#[derive(Debug, PartialEq)]
pub(crate) enum Destination {
    /// Into this file of the room, when its turn comes.
    File(FileId),
    /// To this path, which is to be claimed.
    Unclaimed(FilePath),
}

/// What is to be done for a lost file.
#[derive(Debug)]
pub(crate) enum RestoreStep {
    /// Nothing more.
    Nothing,
    /// Log this change.
    Log(Box<Change>),
    /// Read what the archive has of it.
    ReadArchive,
}

impl Recovery {
    /// Takes the copies of files; of those that wait already they are the later part.
    pub(crate) fn add(&mut self, copies: BTreeMap<FileId, VecDeque<Bytes>>, names: &Names) {
        for (file, updates) in copies {
            match (self.files.get_mut(&file), names.path_of(&file)) {
                (Some(lost), _) => {
                    lost.updates.extend(updates);
                    lost.looked_up = false;
                }
                (None, Some(path)) => {
                    self.paths.entry(path.clone()).or_default().insert(file.clone());
                    self.files.insert(file, Lost { path: path.clone(), updates, looked_up: false });
                }
                // It was closed since its log could not be applied.
                (None, None) => {}
            }
        }
        self.again_at = None;
    }

    /// The room begins in another epoch: the archive may be read again.
    pub(crate) fn begin(&mut self) {
        self.files.values_mut().for_each(|lost| lost.looked_up = false);
    }

    /// Everything is tried now: the files that wait.
    pub(crate) fn start(&mut self) -> Vec<FileId> {
        self.again_at = None;
        self.files.keys().cloned().collect()
    }

    /// When what has failed is tried again.
    pub(crate) fn due_at(&self) -> Option<Millis> {
        self.again_at
    }

    /// Something has failed: it is tried again, if anything waits.
    pub(crate) fn try_later(&mut self, now: Millis) {
        if !self.is_empty() {
            self.again_at.get_or_insert(now + AGAIN_MS);
        }
    }

    /// Whether nothing is to be restored.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Nothing is to be restored any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The path of a lost file with this name.
    pub(crate) fn path_of(&self, name: &FileName) -> Option<FilePath> {
        let by_id = |id: &FileId| self.files.get(id).map(|lost| lost.path.clone());
        name.find(by_id, |path| self.file_at(path).map(|_| path.clone()))
    }

    /// The lost file of this path.
    pub(crate) fn file_at(&self, path: &FilePath) -> Option<FileId> {
        self.paths.get(path)?.first().cloned()
    }

    /// Where a lost file goes; `None` if nothing is lost of it.
    #[must_use]
    pub(crate) fn destination(&mut self, file: &FileId, names: &Names) -> Option<Destination> {
        if names.has(file) {
            return Some(Destination::File(file.clone()));
        }
        let path = self.files.get(file)?.path.clone();
        let Some(other) = names.file_at(&path).cloned() else { return Some(Destination::Unclaimed(path)) };
        let lost = self.remove(file)?;
        self.add(BTreeMap::from([(other.clone(), lost.updates)]), names);
        Some(Destination::File(other))
    }

    /// The turn of a file has come: what it lacks is the next change. `live` is `None` if it is broken: nothing can be
    /// logged on top of it.
    #[must_use]
    pub(crate) fn restore(&mut self, file: &FileId, live: Option<&LiveFile>) -> RestoreStep {
        let Some(lost) = self.files.get(file) else { return RestoreStep::Nothing };
        match live.map(|live| live.lacking(&lost.updates)) {
            None | Some(Ok(None)) => {
                self.remove(file);
                RestoreStep::Nothing
            }
            Some(Ok(Some(bytes))) => {
                RestoreStep::Log(Box::new(Change::new(ChannelId(0), file.clone(), 0, Kind::Restored, bytes)))
            }
            Some(Err(error @ Lacking::Contradicts(_))) => self.give_up(file, &error.to_string()),
            Some(Err(error)) => self.read_archive(file, &error.to_string()),
        }
    }

    /// The change that restores a file was answered. Whether to read what the archive has of it.
    #[must_use]
    pub(crate) fn answered(&mut self, file: &FileId, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Log | Verdict::Duplicate => {
                self.remove(file);
            }
            Verdict::MissingDependencies => {
                let step = self.read_archive(file, "it depends on what is missing");
                return matches!(step, RestoreStep::ReadArchive);
            }
            Verdict::Refuse(why) => {
                self.give_up(file, why);
            }
        }
        false
    }

    /// The archive has this of a file, on which what was lost builds. Whether the file still waits.
    #[must_use]
    pub(crate) fn found_in_archive(&mut self, file: &FileId, state: Option<Bytes>) -> bool {
        let Some(lost) = self.files.get_mut(file) else { return false };
        state.into_iter().for_each(|state| lost.updates.push_front(state));
        true
    }

    /// The archive could not be read.
    pub(crate) fn archive_failed(&mut self, file: &FileId, now: Millis) {
        if let Some(lost) = self.files.get_mut(file) {
            lost.looked_up = false;
        }
        self.try_later(now);
    }

    /// A room store that lags can lack what was stored already: the archive has what the rest builds on.
    fn read_archive(&mut self, file: &FileId, why: &str) -> RestoreStep {
        let Some(lost) = self.files.get_mut(file) else { return RestoreStep::Nothing };
        if std::mem::replace(&mut lost.looked_up, true) {
            return self.give_up(file, why);
        }
        RestoreStep::ReadArchive
    }

    fn give_up(&mut self, file: &FileId, why: &str) -> RestoreStep {
        tracing::error!(file.id = %file, why, "what the room store has lost of a file cannot be restored");
        self.remove(file);
        RestoreStep::Nothing
    }

    fn remove(&mut self, file: &FileId) -> Option<Lost> {
        let lost = self.files.remove(file)?;
        if let Some(files) = self.paths.get_mut(&lost.path) {
            files.remove(file);
            if files.is_empty() {
                self.paths.remove(&lost.path);
            }
        }
        Some(lost)
    }
}

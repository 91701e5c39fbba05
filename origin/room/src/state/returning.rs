//! What the room store has lost: when the room begins anew, what was kept (`unstored.rs`) is given back, so that
//! what was acknowledged returns although nobody is connected.
//!
//! Of each file one update with what the new room lacks goes through the gate and the log like a change of a hub.
//! So several origins may give back the same: what is there already is not logged again. A file that was created
//! and never stored gets its path and id again; if another file has the path by now, it gets the text.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use shared::{
    Millis,
    id::{ChannelId, FileId, FileName, FilePath},
    update::Ahead,
};

use super::{
    Effect, Room,
    change::{Change, What},
    commit::Pending,
    file::LiveFile,
    judge::Verdict,
    names::Names,
};
use crate::text::{Merged, TextError};

/// How long after a failure it is tried again.
const AGAIN_MS: Millis = 1_000;

/// What is to be given back, by file.
#[derive(Debug, Default)]
pub(super) struct Returning {
    files: BTreeMap<FileId, Back>,
    /// The same by path.
    paths: BTreeMap<FilePath, BTreeSet<FileId>>,
    again_at: Option<Millis>,
}

#[derive(Debug)]
struct Back {
    path: FilePath,
    updates: VecDeque<Bytes>,
    /// The archive was asked for what they build on.
    looked: bool,
}

impl Returning {
    /// Takes what was kept of files; of those that wait already it is the later part.
    pub(super) fn add(&mut self, kept: BTreeMap<FileId, VecDeque<Bytes>>, names: &Names) {
        for (file, updates) in kept {
            match (self.files.get_mut(&file), names.path_of(&file)) {
                (Some(back), _) => {
                    back.updates.extend(updates);
                    back.looked = false;
                }
                (None, Some(path)) => {
                    self.paths.entry(path.clone()).or_default().insert(file.clone());
                    self.files.insert(file, Back { path: path.clone(), updates, looked: false });
                }
                // It was closed since its log could not be applied.
                (None, None) => {}
            }
        }
        self.again_at = None;
    }

    /// Another life of the room: the archive may be asked again.
    pub(super) fn begin(&mut self) {
        self.files.values_mut().for_each(|back| back.looked = false);
    }

    /// A file needs nothing any more.
    fn remove(&mut self, file: &FileId) -> Option<Back> {
        let back = self.files.remove(file)?;
        if let Some(files) = self.paths.get_mut(&back.path) {
            files.remove(file);
            if files.is_empty() {
                self.paths.remove(&back.path);
            }
        }
        Some(back)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The path of a file that is to come back under this name.
    pub(super) fn path_of(&self, name: &FileName) -> Option<FilePath> {
        let by_id = |id: &FileId| self.files.get(id).map(|back| back.path.clone());
        name.find(by_id, |path| self.file_at(path).map(|_| path.clone()))
    }

    /// The file that is to come back to this path.
    pub(super) fn file_at(&self, path: &FilePath) -> Option<FileId> {
        self.paths.get(path)?.first().cloned()
    }
}

impl Room {
    /// Whether what the room store has lost is on its way back.
    pub fn is_giving_back(&self) -> bool {
        !self.returning.files.is_empty()
    }

    /// Puts everything that is to be given back into the queue, in front of what hubs will send.
    pub(super) fn give_back(&mut self) {
        self.returning.again_at = None;
        let files: Vec<FileId> = self.returning.files.keys().cloned().collect();
        for file in files {
            self.give_back_file(file);
        }
    }

    /// A path was claimed: what waited for it goes on.
    pub(super) fn give_back_to(&mut self, path: &FilePath) {
        if let Some(file) = self.returning.file_at(path) {
            self.give_back_file(file);
        }
    }

    /// When what has failed is tried again.
    pub(super) fn gives_back_at(&self) -> Option<Millis> {
        self.returning.again_at
    }

    pub(super) fn give_back_later(&mut self, now: Millis) {
        self.returning.again_at.get_or_insert(now + AGAIN_MS);
    }

    fn give_back_file(&mut self, file: FileId) {
        if self.names.has(&file) {
            return self.commit.push(Pending::Return { file });
        }
        let Some(path) = self.returning.files.get(&file).map(|back| back.path.clone()) else { return };
        match self.names.file_at(&path).cloned() {
            Some(other) => {
                let Some(back) = self.returning.remove(&file) else { return };
                let of_other = BTreeMap::from([(other.clone(), back.updates)]);
                self.returning.add(of_other, &self.names);
                self.commit.push(Pending::Return { file: other });
            }
            None if self.claiming.contains_key(&path) => {}
            None => {
                self.claiming.insert(path.clone(), Vec::new());
                self.effects.push(Effect::Claim(path, Some(file)));
            }
        }
    }

    /// The turn of a file has come: what it lacks is the next change.
    pub(super) fn return_file(&mut self, file: &FileId) -> Option<Change> {
        let back = self.returning.files.get(file)?;
        let Some(live) = self.live.get(file) else {
            // It is broken: nothing can be logged on top of it.
            self.returning.remove(file);
            return None;
        };
        let compared = back
            .updates
            .iter()
            .try_for_each(|update| live.history.compare(&Ahead::default(), update).map(drop));
        if let Err(error) = compared {
            self.cannot_return(file, &error.to_string());
            return None;
        }
        match lacking(live, &back.updates) {
            Ok(Some(bytes)) => Some(Change::new(ChannelId(0), file.clone(), 0, What::Returned, bytes)),
            Ok(None) => {
                self.returning.remove(file);
                None
            }
            Err(error) => {
                self.look_into_archive(file, &error.to_string());
                None
            }
        }
    }

    /// The answer to what was given back.
    pub(super) fn returned(&mut self, file: &FileId, verdict: Verdict) {
        match verdict {
            Verdict::Log | Verdict::Known => {
                self.returning.remove(file);
            }
            Verdict::Missing => self.look_into_archive(file, "it misses something"),
            Verdict::Refuse(why) => self.cannot_return(file, why),
        }
    }

    /// A room store that lags can lack what was stored already: the archive has what the rest builds on.
    fn look_into_archive(&mut self, file: &FileId, why: &str) {
        let Some(back) = self.returning.files.get_mut(file) else { return };
        if std::mem::replace(&mut back.looked, true) {
            return self.cannot_return(file, why);
        }
        self.effects.push(Effect::Stored(file.clone()));
    }

    /// The answer to [`Effect::Stored`].
    pub fn stored_read(
        &mut self,
        file: &FileId,
        answer: Result<Option<Bytes>, impl std::fmt::Display>,
        now: Millis,
    ) {
        match answer {
            Ok(state) => {
                if let Some(back) = self.returning.files.get_mut(file) {
                    state.into_iter().for_each(|state| back.updates.push_front(state));
                    self.give_back_file(file.clone());
                }
            }
            Err(error) => {
                tracing::warn!(file.id = %file, %error, "what a file builds on cannot be read; tried again");
                if let Some(back) = self.returning.files.get_mut(file) {
                    back.looked = false;
                }
                self.give_back_later(now);
            }
        }
        self.commit_next();
    }

    fn cannot_return(&mut self, file: &FileId, why: &str) {
        tracing::error!(file.id = %file, why, "what the room store has lost of a file cannot be given back");
        self.returning.remove(file);
    }
}

/// What a document lacks of these updates, as one update.
fn lacking(live: &LiveFile, updates: &VecDeque<Bytes>) -> Result<Option<Bytes>, TextError> {
    let state = live.diff(super::unstored::NOTHING);
    let mut here = Merged::of([&*state])?;
    let there = Merged::of(std::iter::once(&*state).chain(updates.iter().map(|update| &**update)))?;
    here.absorb(&there)
}

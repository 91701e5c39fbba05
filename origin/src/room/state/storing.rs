//! Whether the archive keeps up: what is logged and not stored yet, as this origin hears of both, and since when.
//! Members are told when that is too long ago, again while it stays so, and when it has passed.

use std::collections::BTreeMap;

use shared::{
    Millis,
    id::FileId,
    wire::event::{EventOut, StoringState},
};

use super::{Room, notes::event};

/// What waits for the archive.
#[derive(Debug, Default)]
pub(super) struct Storing {
    waiting: BTreeMap<FileId, Waiting>,
    /// What the archive has, as far as it was said: that can be heard before one's own append is answered.
    stored: BTreeMap<FileId, u64>,
    /// When members were told last that it is behind; `None` if it is not.
    told: Option<Millis>,
}

#[derive(Debug)]
struct Waiting {
    /// Since when; `None` until the time is known.
    since: Option<Millis>,
    /// The seq of the last change.
    seq: u64,
}

impl Storing {
    /// A change of a file is logged.
    pub(super) fn logged(&mut self, file: &FileId, seq: u64) {
        if self.has(file, seq) {
            return;
        }
        self.waiting.entry(file.clone()).or_insert(Waiting { since: None, seq }).seq = seq;
    }

    /// The archive has a file up to this seq. What came after it came after the flush began, so at most that long
    /// ago.
    fn stored(&mut self, file: &FileId, seq: u64, now: Millis) {
        self.stored.insert(file.clone(), seq);
        match self.waiting.get_mut(file) {
            Some(waiting) if waiting.seq > seq => waiting.since = Some(now),
            _ => {
                self.waiting.remove(file);
            }
        }
    }

    /// Whether it was said that the archive has a file up to this seq.
    pub(super) fn has(&self, file: &FileId, seq: u64) -> bool {
        self.stored.get(file).is_some_and(|stored| *stored >= seq)
    }

    fn oldest(&self) -> Option<Millis> {
        self.waiting.values().filter_map(|waiting| waiting.since).min()
    }
}

impl Room {
    /// The room is populated: nothing is known to wait.
    pub(super) fn begin_storing(&mut self) {
        self.storing.waiting.clear();
        self.storing.stored.clear();
    }

    /// A flush says what it has stored.
    pub(super) fn take_stored(&mut self, json: &[u8], now: Millis) {
        if let Ok(EventOut::Stored { epoch, files }) = serde_json::from_slice(json)
            && epoch == self.position.epoch.0
        {
            for file in files {
                self.storing.stored(&file.id, file.seq, now);
                self.unstored.stored(&file.id, file.seq);
            }
        }
    }

    /// Since when a change waits for the archive, if one does.
    pub fn unstored_since(&self) -> Option<Millis> {
        self.storing.oldest()
    }

    /// When members are to be told (again) that the archive is behind.
    pub(super) fn storing_at(&self) -> Option<Millis> {
        let oldest = self.storing.oldest()?;
        Some(self.storing.told.unwrap_or(oldest) + self.settings.behind)
    }

    /// Tells members how the archive stands, if that has changed or was not said for long.
    pub(super) fn look_at_storing(&mut self, now: Millis) {
        for waiting in self.storing.waiting.values_mut() {
            waiting.since.get_or_insert(now);
        }
        let behind = self.storing.oldest().is_some_and(|since| since + self.settings.behind <= now);
        let due = self.storing.told.is_none_or(|told| told + self.settings.behind <= now);
        let state = match (behind, self.storing.told) {
            (true, _) if due => StoringState::Behind,
            (false, Some(_)) => StoringState::CaughtUp,
            _ => return,
        };
        self.storing.told = behind.then_some(now);
        let json = EventOut::Storing { state }.to_json();
        self.tell_all(&event(json.into()));
    }
}

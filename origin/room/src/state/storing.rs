//! Whether the archive keeps up: what is logged and not stored yet, as this origin hears of both, and since when.
//! Members are told when that is too long ago, again while it stays so, and when it has passed.
//!
//! What was dirty before and what was not heard is in the room store: it is asked when the room is populated, and each
//! time before members are told that the archive is behind.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    Millis,
    id::FileId,
    wire::event::{self, EventOut, StoringState},
};

use super::{Effect, Room, notes::event};
use crate::store::{Dirty, StoreError};

/// What waits for the archive.
#[derive(Debug, Default)]
pub(super) struct Storing {
    waiting: BTreeMap<FileId, Waiting>,
    /// The same by since when.
    since: BTreeSet<(Millis, FileId)>,
    /// Of which the time is not known yet.
    unknown: BTreeSet<FileId>,
    /// What the archive has, as far as it was said: that can be heard before one's own append is answered.
    stored: BTreeMap<FileId, u64>,
    /// When members were told last that it is behind; `None` if it is not.
    told: Option<Millis>,
    /// The room store is asked what is dirty.
    asking: bool,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Since when; `None` until the time is known.
    since: Option<Millis>,
    /// The seq of the last change that was heard of.
    seq: u64,
    /// Its timestamp.
    ts: u64,
}

impl Storing {
    /// A change of a file is logged.
    pub(super) fn logged(&mut self, file: &FileId, seq: u64, ts: u64) {
        if self.has(file, seq) {
            return;
        }
        let waiting = self.enter(file);
        (waiting.seq, waiting.ts) = (seq, ts);
    }

    /// The archive has a file up to this seq. What came after it came after the flush began, so at most that long
    /// ago.
    fn stored(&mut self, file: &FileId, seq: u64, now: Millis) {
        self.stored.insert(file.clone(), seq);
        if self.waiting.get(file).is_some_and(|waiting| waiting.seq > seq) {
            self.waits_since(file, now);
        } else {
            self.leave(file);
        }
    }

    /// Whether it was said that the archive has a file up to this seq.
    pub(super) fn has(&self, file: &FileId, seq: u64) -> bool {
        self.stored.get(file).is_some_and(|stored| *stored >= seq)
    }

    /// The room store says what is dirty. The answer is what is not, with the seq up to which it is stored.
    fn learn(&mut self, dirty: &Dirty) -> Vec<(FileId, u64)> {
        for (file, first) in &dirty.files {
            // It may have been stored since the store was asked.
            if !self.stored.contains_key(file) {
                self.enter(file);
            }
            if let Some(waiting) = self.waiting.get(file) {
                let since = first / 1000;
                self.waits_since(file, waiting.since.map_or(since, |known| known.min(since)));
            }
        }
        let still: BTreeSet<&FileId> = dirty.files.iter().map(|(file, _)| file).collect();
        let is_clean =
            |(file, waiting): &(&FileId, &Waiting)| waiting.ts <= dirty.cutoff && !still.contains(file);
        let clean = self.waiting.iter().filter(is_clean);
        let clean: Vec<_> = clean.map(|(file, waiting)| (file.clone(), waiting.seq)).collect();
        clean.iter().for_each(|(file, _)| self.leave(file));
        clean
    }

    /// What waits and says nothing else has waited since now.
    fn look(&mut self, now: Millis) {
        for file in std::mem::take(&mut self.unknown) {
            self.waits_since(&file, now);
        }
    }

    fn oldest(&self) -> Option<Millis> {
        self.since.first().map(|(since, _)| *since)
    }

    fn enter(&mut self, file: &FileId) -> &mut Waiting {
        if !self.waiting.contains_key(file) {
            self.unknown.insert(file.clone());
        }
        self.waiting.entry(file.clone()).or_default()
    }

    fn waits_since(&mut self, file: &FileId, since: Millis) {
        let Some(waiting) = self.waiting.get_mut(file) else { return };
        match waiting.since.replace(since) {
            Some(before) => self.since.remove(&(before, file.clone())),
            None => self.unknown.remove(file),
        };
        self.since.insert((since, file.clone()));
    }

    fn leave(&mut self, file: &FileId) {
        match self.waiting.remove(file).map(|waiting| waiting.since) {
            Some(Some(since)) => self.since.remove(&(since, file.clone())),
            Some(None) => self.unknown.remove(file),
            None => false,
        };
    }

    /// Another life of the room: nothing of it is known yet.
    fn forget(&mut self) {
        *self = Self { told: self.told, asking: true, ..Self::default() };
    }
}

impl Room {
    /// The room is populated: what waits is to be learnt.
    pub(super) fn begin_storing(&mut self) {
        self.storing.forget();
        self.effects.push(Effect::Dirty);
    }

    /// A flush says what it has stored.
    pub(super) fn take_stored(&mut self, json: &[u8], now: Millis) {
        if let Some((epoch, files)) = event::stored_files(json)
            && epoch == self.position.epoch.0
        {
            for file in files {
                self.storing.stored(&file.id, file.seq, now);
                self.unstored.stored(&file.id, file.seq);
            }
        }
    }

    /// The answer to [`Effect::Dirty`]. A store that does not give one has stored nothing either.
    pub fn dirty_read(&mut self, answer: Result<Dirty, StoreError>, now: Millis) {
        self.storing.asking = false;
        if let Ok(dirty) = answer
            && dirty.epoch == self.position.epoch
        {
            for (file, seq) in self.storing.learn(&dirty) {
                self.unstored.stored(&file, seq);
            }
        }
        self.tell_storing(now);
    }

    /// Since when a change waits for the archive, if one does.
    pub fn unstored_since(&self) -> Option<Millis> {
        self.storing.oldest()
    }

    /// When members are to be told (again) that the archive is behind.
    pub(super) fn storing_at(&self) -> Option<Millis> {
        if self.storing.asking {
            return None;
        }
        let oldest = self.storing.oldest()?;
        Some(self.storing.told.unwrap_or(oldest) + self.settings.behind)
    }

    /// Tells members that the archive has caught up; asks the room store first before they are told that it is behind.
    pub(super) fn look_at_storing(&mut self, now: Millis) {
        self.storing.look(now);
        if self.storing_at().is_some_and(|at| at <= now) {
            self.storing.asking = true;
            self.effects.push(Effect::Dirty);
        } else if !self.storing.asking {
            self.tell_storing(now);
        }
    }

    /// Tells members how the archive stands, if that has changed or was not said for long.
    fn tell_storing(&mut self, now: Millis) {
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shared::{
        position::{Epoch, Position},
        wire::link::OriginMessage,
    };

    use super::*;
    use crate::{
        log::{LogEntry, Source},
        state::{LinkId, Settings},
        store::Published,
    };

    const EPOCH: Epoch = Epoch(3);
    const BEHIND: Millis = 20_000;

    fn file(n: u8) -> FileId {
        FileId::from_random(u128::from(n))
    }

    /// What is dirty, each file since this millisecond; the list was made at the millisecond `cutoff`.
    fn dirty(cutoff: Millis, files: &[(u8, Millis)]) -> Result<Dirty, StoreError> {
        let files = files.iter().map(|(n, since)| (file(*n), since * 1000)).collect();
        Ok(Dirty { epoch: EPOCH, cutoff: cutoff * 1000, files })
    }

    /// A room with one link, in which this was dirty.
    fn room(files: &[(u8, Millis)]) -> Room {
        let settings = Settings {
            origin: "o".to_owned(),
            create_on_open: true,
            shared: true,
            owned: true,
            confirm: false,
            behind: BEHIND,
        };
        let mut room = Room::new(settings);
        room.attach(LinkId(1));
        room.begin(Position { epoch: EPOCH, seq: 0, ts: 0 }, vec![], 0, String::new());
        assert!(asks(&mut room));
        room.dirty_read(dirty(0, files), 0);
        room
    }

    /// Another change of the file is logged, at this time.
    fn logs(room: &mut Room, n: u8, now: Millis) {
        let (seq, bytes) = (room.position().seq + 1, Bytes::from_static(&[0, 0]));
        let entry = LogEntry { file: file(n), seq, ts: now * 1000, source: Source::default(), bytes };
        room.published(Published::Changes(EPOCH, vec![entry]), now);
    }

    fn stores(room: &mut Room, n: u8, seq: u64, now: Millis) {
        let stored = serde_json::json!({ "id": file(n), "path": "a.js", "seq": seq, "at": 1 });
        let note = serde_json::json!({ "type": "stored", "epoch": EPOCH, "files": [stored] });
        room.published(Published::Note(note.to_string().into()), now);
    }

    /// Whether the room store is asked what is dirty.
    fn asks(room: &mut Room) -> bool {
        std::mem::take(&mut room.effects).contains(&Effect::Dirty)
    }

    /// What members were told, and what they are told at `now` by a store that answers so.
    fn told(room: &mut Room, now: Millis, answer: Result<Dirty, StoreError>) -> Vec<String> {
        room.tick(now);
        if asks(room) {
            room.dirty_read(answer, now);
        }
        let messages = room.effects().into_iter().filter_map(|effect| match effect {
            Effect::ToHub(_, messages) => Some(messages),
            _ => None,
        });
        let events = messages.flatten().filter_map(|message| match message {
            OriginMessage::Event { json, .. } => serde_json::from_slice::<serde_json::Value>(&json).ok(),
            _ => None,
        });
        let states = events.filter_map(|event| event["state"].as_str().map(str::to_owned));
        states.collect()
    }

    #[test]
    fn members_are_told_that_the_archive_is_behind_again_and_when_it_has_caught_up() {
        let mut room = room(&[]);
        logs(&mut room, 1, 100);
        logs(&mut room, 1, 200);
        let waits = || dirty(200, &[(1, 100)]);
        assert!(told(&mut room, 100 + BEHIND - 1, waits()).is_empty());
        assert_eq!(told(&mut room, 100 + BEHIND, waits()), ["behind"]);
        assert!(told(&mut room, 100 + 2 * BEHIND - 1, waits()).is_empty());
        assert_eq!(told(&mut room, 100 + 2 * BEHIND, waits()), ["behind"]);
        stores(&mut room, 1, 2, 100 + 2 * BEHIND);
        assert_eq!(told(&mut room, 100 + 2 * BEHIND, waits()), ["caught-up"]);
        assert_eq!((room.unstored_since(), room.storing_at()), (None, None));
    }

    #[test]
    fn a_note_that_was_not_heard_is_no_alarm() {
        let mut room = room(&[]);
        logs(&mut room, 1, 100);
        logs(&mut room, 2, 300);
        assert!(room.keeps_unstored());
        assert!(told(&mut room, 100 + BEHIND, dirty(300, &[(2, 300)])).is_empty());
        assert_eq!(room.unstored_since(), Some(300));
        assert!(told(&mut room, 300 + BEHIND, dirty(300, &[])).is_empty());
        assert_eq!(room.unstored_since(), None);
        assert!(!room.keeps_unstored());
    }

    #[test]
    fn a_list_that_is_older_than_a_change_says_nothing_of_it() {
        let mut room = room(&[]);
        logs(&mut room, 1, 100);
        assert_eq!(told(&mut room, 100 + BEHIND, dirty(99, &[])), ["behind"]);
    }

    #[test]
    fn what_was_dirty_before_is_waited_for() {
        let mut room = room(&[(1, 7)]);
        assert_eq!(room.unstored_since(), Some(7));
        assert_eq!(told(&mut room, 7 + BEHIND, dirty(7, &[(1, 7)])), ["behind"]);
        stores(&mut room, 1, 0, 7 + BEHIND);
        assert_eq!(told(&mut room, 7 + BEHIND, dirty(7, &[])), ["caught-up"]);
    }

    #[test]
    fn a_store_that_does_not_say_has_stored_nothing() {
        let mut room = room(&[]);
        logs(&mut room, 1, 100);
        assert_eq!(told(&mut room, 100 + BEHIND, Err(StoreError::Cold)), ["behind"]);
    }

    #[test]
    fn a_note_may_come_before_the_change_and_before_the_list() {
        let mut room = room(&[]);
        stores(&mut room, 1, 1, 50);
        logs(&mut room, 1, 100);
        assert_eq!(room.unstored_since(), None);
        room.dirty_read(dirty(40, &[(1, 40)]), 100);
        assert_eq!(room.unstored_since(), None);
    }
}

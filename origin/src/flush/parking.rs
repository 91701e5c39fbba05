//! Files that cannot be flushed: each waits for its own time to be tried again, longer after each failure, and keeps
//! its reason until then. In memory, of each process that flushes: after a restart everything is tried.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use shared::id::{FileId, RoomId};

/// Until a file is tried again for the first time (µs); doubled each time.
const FIRST_US: u64 = 5_000_000;
/// The longest wait (µs).
const LONGEST_US: u64 = 300_000_000;

/// Where such files wait.
#[derive(Debug, Default)]
pub struct Parking(Mutex<HashMap<RoomId, HashMap<FileId, Parked>>>);

#[derive(Debug)]
struct Parked {
    reason: String,
    until_us: u64,
    pause_us: u64,
}

impl Parking {
    /// Why a file is not to be tried now; `None` if it may be.
    pub fn reason(&self, room: &RoomId, file: &FileId, now_us: u64) -> Option<String> {
        let all = self.all();
        let parked = all.get(room)?.get(file)?;
        (now_us < parked.until_us).then(|| parked.reason.clone())
    }

    /// A file could not be flushed, and trying again soon is no use.
    pub fn park(&self, room: &RoomId, file: &FileId, reason: &str, now_us: u64) {
        let mut all = self.all();
        let of_room = all.entry(room.clone()).or_default();
        let before = of_room.get(file).map(|parked| parked.pause_us);
        let pause_us = before.map_or(FIRST_US, |pause| (pause * 2).min(LONGEST_US));
        let parked = Parked { reason: reason.to_owned(), until_us: now_us + pause_us, pause_us };
        of_room.insert(file.clone(), parked);
        if before.is_none() {
            tracing::error!(room.id = %room, file.id = %file, reason, "a file is parked");
        }
    }

    /// A file was flushed.
    pub fn release(&self, room: &RoomId, file: &FileId) {
        let mut released = false;
        self.change(room, |files| released = files.remove(file).is_some());
        if released {
            tracing::info!(room.id = %room, file.id = %file, "a parked file was flushed");
        }
    }

    /// Only these files of the room are dirty: others flushed the rest.
    pub fn dirty(&self, room: &RoomId, files: &[FileId]) {
        self.change(room, |parked| {
            let dirty: HashSet<&FileId> = files.iter().collect();
            parked.retain(|file, _| dirty.contains(file));
        });
    }

    /// There are only these rooms: others depopulated the rest.
    pub fn only(&self, rooms: &[RoomId]) {
        let rooms: HashSet<&RoomId> = rooms.iter().collect();
        self.all().retain(|room, _| rooms.contains(room));
    }

    /// The room is gone.
    pub fn forget(&self, room: &RoomId) {
        self.all().remove(room);
    }

    /// How many files wait.
    pub fn count(&self) -> usize {
        self.all().values().map(HashMap::len).sum()
    }

    /// Changes what is parked of a room, if anything is.
    fn change(&self, room: &RoomId, change: impl FnOnce(&mut HashMap<FileId, Parked>)) {
        let mut all = self.all();
        let Some(files) = all.get_mut(room) else { return };
        change(files);
        if files.is_empty() {
            all.remove(room);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<RoomId, HashMap<FileId, Parked>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_waits_longer_each_time_and_begins_again_when_it_was_flushed() {
        let (parking, room) = (Parking::default(), RoomId::parse("r").unwrap());
        let file = FileId::parse("f_0000000000000001").unwrap();
        let mut now = 1;
        for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
            parking.park(&room, &file, "broken", now);
            let until = now + pause * 1_000_000;
            assert_eq!(parking.reason(&room, &file, until - 1).as_deref(), Some("broken"));
            assert_eq!(parking.reason(&room, &file, until), None);
            now = until;
        }
        parking.release(&room, &file);
        assert_eq!(parking.count(), 0);
        parking.park(&room, &file, "broken", now);
        assert_eq!(parking.reason(&room, &file, now + 5_000_000), None);
        parking.forget(&room);
        assert_eq!(parking.count(), 0);
    }
}

//! What was typed and what was acknowledged, and whether the archive has it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use origin::{archive::StoredFile, project::text::text_of};
use shared::id::RoomId;
use yrs::{ReadTxn, Transact};

use super::ground::Stores;
use crate::support::documents::load;

/// The words of each file by path, and whether they were acknowledged.
#[derive(Default)]
pub(super) struct Ledger(Mutex<BTreeMap<(&'static str, String), bool>>);

impl Ledger {
    pub(super) fn typed(&self, path: &'static str, word: &str) {
        self.words().insert((path, word.to_owned()), false);
    }

    pub(super) fn acknowledged(&self, path: &'static str, word: &str) {
        self.words().insert((path, word.to_owned()), true);
    }

    /// Every acknowledged word stands in the archive once, every other one at most once, and nothing else does.
    pub(super) async fn is_in_the_archive(&self, stores: &Stores, room: &RoomId) {
        let files = stores.archive.files(room).await.unwrap();
        for file in &files {
            assert_eq!(
                text_of(&file.state).unwrap(),
                file.text,
                "{}: text and state say the same",
                file.path
            );
        }
        let mut found = 0;
        for ((path, word), acknowledged) in &*self.words() {
            let text = files.iter().find(|file| file.path.as_str() == *path).map_or("", |file| &*file.text);
            let times = text.matches(word.as_str()).count();
            assert!(
                times <= 1 && (times == 1 || !acknowledged),
                "{word} stands {times} times in {path}: {text}"
            );
            found += times * word.len();
        }
        assert_eq!(
            found,
            files.iter().map(|file| file.text.len()).sum::<usize>(),
            "nobody typed anything else"
        );
    }

    fn words(&self) -> MutexGuard<'_, BTreeMap<(&'static str, String), bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The archive has every logged change up to `last_sync_timestamp`.
pub(super) async fn nothing_is_skipped(stores: &Stores, room: &RoomId) {
    let Some(shard) = stores.archive.find_by_id(room).await.unwrap() else { return };
    let names = stores.rooms.names(room).await.unwrap_or_default();
    for (id, path) in names {
        let log = stores.rooms.read(room, &id).await.unwrap();
        let stored = stores.archive.file(room, &id).await.unwrap();
        for entry in log.updates.iter().filter(|entry| entry.ts <= shard.last_sync_timestamp) {
            let has = stored.as_ref().is_some_and(|stored| holds(stored, &entry.bytes));
            let until = shard.last_sync_timestamp;
            assert!(
                has,
                "{path}: synced until {until}, but the change of {} is not in the archive",
                entry.ts
            );
        }
    }
}

fn holds(stored: &StoredFile, update: &bytes::Bytes) -> bool {
    let with = load([stored.state.clone(), update.clone()], 9);
    let without = load([stored.state.clone()], 9);
    with.transact().state_vector() == without.transact().state_vector()
}

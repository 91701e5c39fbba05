//! Two flushers that write one file at the same time, on each archive.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use async_trait::async_trait;
use origin::{
    archive::{Archive, ArchiveError, FileWrite, NewShard, Saved},
    flush::{job::flush_room, parking::Parking},
    project::text::text_of,
    store::{Base, embedded::EmbeddedStore},
};
use shared::{id::RoomId, position::Epoch};
use tokio::{sync::Barrier, time::timeout};

use super::bench::{NOW, first_write, types};
use crate::{
    archive_contract::{mongo, sqlite},
    room_store_contract::setup::{any_room, file, populate},
    support::{
        PATIENCE,
        archive::{Between, Through},
    },
};

const RACES: usize = 300;

/// The next two writes wait for each other, so that both have seen the same version.
struct Meeting {
    expected: AtomicUsize,
    both: Barrier,
    misses: AtomicUsize,
}

#[async_trait]
impl Between for Meeting {
    async fn save_file(
        &self,
        archive: &dyn Archive,
        id: &RoomId,
        known: Option<u64>,
        file: FileWrite,
    ) -> Result<Saved, ArchiveError> {
        if self.expected.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            self.both.wait().await;
        }
        let saved = archive.save_file(id, known, file).await;
        self.misses.fetch_add(usize::from(matches!(saved, Ok(Saved::Miss(_)))), Relaxed);
        saved
    }
}

/// A room as one of two origins holds it that do not know of each other.
struct Side {
    store: EmbeddedStore,
    epoch: Epoch,
    _dir: tempfile::TempDir,
}

impl Side {
    async fn new(room: &RoomId) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap();
        let first = first_write(1, "");
        let bases = vec![Base { file: first.id, path: first.path, state: first.state }];
        let epoch = populate(&store, room, bases).await.epoch;
        Self { store, epoch, _dir: dir }
    }
}

async fn races_lose_nothing(inner: Arc<dyn Archive>) {
    let (both, room) = (Barrier::new(2), any_room());
    let by = Meeting { expected: AtomicUsize::new(0), both, misses: AtomicUsize::new(0) };
    let archive = Through { inner, by };
    let files = vec![first_write(1, "")];
    let shard = NewShard { id: room.clone(), title: String::new(), template: None, files, now: 1 };
    archive.create(shard).await.unwrap();
    let (a, b) = (Side::new(&room).await, Side::new(&room).await);
    let mut typed = Vec::new();
    for race in 0..RACES {
        for (side, author, name) in [(&a, 7, "a"), (&b, 8, "b")] {
            let word = format!("{name}{race};");
            types(&side.store, &room, side.epoch, 1, author, &word).await;
            typed.push(word);
        }
        archive.expected.store(2, Relaxed);
        let (of_a, of_b) = (Parking::default(), Parking::default());
        let both = async {
            tokio::try_join!(
                flush_room(&a.store, &archive, &of_a, &room, NOW),
                flush_room(&b.store, &archive, &of_b, &room, NOW),
            )
        };
        timeout(PATIENCE, both).await.unwrap().unwrap();
        let stored = archive.file(&room, &file(1)).await.unwrap().unwrap();
        let lost: Vec<_> = typed.iter().filter(|word| !stored.text.contains(word.as_str())).collect();
        assert!(lost.is_empty(), "after race {race}: {lost:?} of {:?}", stored.text);
    }
    let stored = archive.file(&room, &file(1)).await.unwrap().unwrap();
    assert_eq!(stored.text.len(), typed.iter().map(String::len).sum::<usize>(), "nothing is doubled");
    assert_eq!(text_of(&stored.state).unwrap(), stored.text);
    assert!(archive.misses.load(Relaxed) >= RACES, "in each race one of the two came second");
}

#[tokio::test]
async fn two_flushers_of_one_file_lose_nothing_in_300_races_on_sqlite() {
    let (archive, _dir) = sqlite().await;
    races_lose_nothing(archive).await;
}

#[tokio::test]
async fn two_flushers_of_one_file_lose_nothing_in_300_races_on_mongodb() {
    let (archive, _dir) = mongo().await;
    races_lose_nothing(archive).await;
}

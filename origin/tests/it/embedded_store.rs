//! What the embedded room store promises beyond the contract: nothing answered is lost with the process.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use origin::store::{
    Catalog, Claimed, Entry, FlushAck, Joined, Leases, Left, LoaderToken, Published, RoomLog,
    SUBSCRIBER_QUEUE, Source, StoreError, Subscriptions, embedded::EmbeddedStore,
};
use proptest::prelude::*;
use shared::{
    id::{FileId, RoomId},
    position::{Epoch, Position},
};

use crate::room_store_contract::setup::{LEASE, any_room, base, batch, file, path, populate, update};

/// What a SIGKILL at this moment would leave: the files as they are, taken from under the running store.
fn crash(dir: &Path) -> (EmbeddedStore, tempfile::TempDir) {
    let left = tempfile::tempdir().unwrap();
    for name in ["rooms.db", "rooms.db-wal"] {
        fs::copy(dir.join(name), left.path().join(name)).unwrap();
    }
    (EmbeddedStore::open(&left.path().join("rooms.db")).unwrap(), left)
}

fn chat(hub_seq: u64) -> Entry {
    let source = Source { hub: "hub".to_owned(), hub_seq, channel: 65_536 };
    Entry::new(FileId::room(), source, Bytes::from_static(b"{}"))
}

async fn everything(store: &EmbeddedStore, room: &RoomId) -> impl PartialEq + std::fmt::Debug + use<> {
    let names = store.names(room).await.unwrap();
    let mut logs = vec![store.read(room, &FileId::room()).await.unwrap()];
    for (id, _) in &names {
        logs.push(store.read(room, id).await.unwrap());
    }
    let position = logs[0].position;
    let mut backfills = Vec::new();
    for seq in (0..=position.seq).step_by(1 + position.seq as usize / 40) {
        backfills.push(store.backfill(room, Position { seq, ..position }).await.unwrap());
    }
    (names, logs, backfills, store.dirty(room).await.unwrap())
}

#[tokio::test]
async fn everything_answered_comes_back_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap();
    let (room, gone) = (any_room(), any_room());
    let epoch = populate(&store, &room, vec![base(1), base(2)]).await.epoch;
    let other = populate(&store, &gone, vec![base(1)]).await.epoch;
    assert_eq!(store.leave(&gone, "o1", other).await.unwrap(), Left::Gone);
    let entries = vec![chat(1), update(1, "a"), update(2, "b"), update(1, "c")];
    let logged = store.append(&room, epoch, batch("o1", 1, entries)).await.unwrap();
    let Claimed::New(_) = store.claim(&room, epoch, &path("new.js"), &file(3)).await.unwrap() else {
        panic!()
    };
    let ack = FlushAck {
        file: file(1),
        read_base_ts: store.read(&room, &file(1)).await.unwrap().base_ts,
        merged_ts: logged[1].ts,
        merged_seq: logged[1].seq,
        state: Bytes::from_static(b"a"),
    };
    store.ack(&room, epoch, ack).await.unwrap();

    let (reopened, _left) = crash(dir.path());
    assert_eq!(everything(&reopened, &room).await, everything(&store, &room).await);
    assert_eq!(reopened.rooms().await.unwrap(), std::slice::from_ref(&room));
    let position = reopened.read(&room, &file(1)).await.unwrap().position;
    assert_eq!(reopened.join(&room, "o9", LEASE).await.unwrap(), Joined::Ready(position));
    let replay = reopened.append(&room, epoch, batch("o9", 1, vec![chat(1), chat(2)])).await.unwrap();
    assert_eq!((replay[0].duplicate, replay[0].seq, replay[1].duplicate), (true, 1, false));
    assert_eq!(replay[1].seq, position.seq + 1);
}

#[tokio::test]
async fn a_restarted_origin_of_the_same_name_is_not_taken_for_a_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap();
    let room = any_room();
    let epoch = populate(&store, &room, vec![base(1)]).await.epoch;
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    let (reopened, _left) = crash(dir.path());
    let logged = reopened.append(&room, epoch, batch("o1", 1, vec![update(1, "b")])).await.unwrap();
    assert_eq!(logged[0].seq, 2);
}

#[tokio::test]
async fn a_loader_that_stalls_is_replaced_and_cannot_commit_any_more() {
    static NOW: AtomicU64 = AtomicU64::new(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open_at(&dir.path().join("rooms.db"), || NOW.load(Relaxed)).unwrap();
    let room = any_room();
    let Joined::Load(stalled) = store.join(&room, "o1", LEASE).await.unwrap() else {
        panic!("not the loader")
    };
    NOW.fetch_add(9_000_000, Relaxed);
    assert_eq!(store.join(&room, "o2", LEASE).await.unwrap(), Joined::Wait(Duration::from_secs(1)));
    NOW.fetch_add(1_000_000, Relaxed);
    let Joined::Load(token) = store.join(&room, "o2", LEASE).await.unwrap() else { panic!("not the loader") };
    assert!(matches!(store.commit(&room, &stalled, vec![], 0).await, Err(StoreError::Stale)));
    let epoch = store.commit(&room, &token, vec![base(1)], 0).await.unwrap().epoch;
    assert!(matches!(store.commit(&room, &stalled, vec![], 0).await, Err(StoreError::Stale)));
    assert_eq!(store.leave(&room, "o2", epoch).await.unwrap(), Left::Members(1), "o1 still has its lease");
    NOW.fetch_add(LEASE.as_micros().try_into().unwrap(), Relaxed);
    assert_eq!(store.leave(&room, "nobody", epoch).await.unwrap(), Left::Gone);
}

#[tokio::test]
async fn a_clock_that_goes_back_repeats_neither_epoch_nor_timestamp() {
    static NOW: AtomicU64 = AtomicU64::new(9_000_000);
    let dir = tempfile::tempdir().unwrap();
    let open = || EmbeddedStore::open_at(&dir.path().join("rooms.db"), || NOW.load(Relaxed)).unwrap();
    let (room, store) = (any_room(), open());
    let first = populate(&store, &room, vec![base(1)]).await;
    assert_eq!(first.epoch, Epoch(9_000_000));
    assert_eq!(store.leave(&room, "o1", first.epoch).await.unwrap(), Left::Gone);
    drop(store);
    NOW.store(1_000_000, Relaxed);
    let store = open();
    let second = populate(&store, &room, vec![base(1)]).await;
    assert_eq!(second.epoch, Epoch(9_000_001));
    NOW.store(500, Relaxed);
    let logged = store.append(&room, second.epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    assert_eq!(logged[0].ts, second.ts + 1);
}

#[tokio::test]
async fn a_write_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file_path = dir.path().join("rooms.db");
    let store = EmbeddedStore::open(&file_path).unwrap();
    let room = any_room();
    let epoch = populate(&store, &room, vec![base(1)]).await.epoch;
    let mut heard = store.subscribe(&room).await.unwrap();
    let before = everything(&store, &room).await;
    let saboteur = rusqlite::Connection::open(&file_path).unwrap();
    let broken = "CREATE TRIGGER broken BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'no more'); END";
    saboteur.execute_batch(broken).unwrap();
    let entries = vec![update(1, "a"), chat(1)];
    let refused = store.append(&room, epoch, batch("o1", 1, entries.clone())).await;
    assert!(matches!(refused, Err(StoreError::Failed(why)) if why.contains("no more")));
    assert_eq!(everything(&store, &room).await, before);
    assert!(heard.try_recv().is_err());
    saboteur.execute_batch("DROP TRIGGER broken").unwrap();
    let logged = store.append(&room, epoch, batch("o1", 1, entries)).await.unwrap();
    assert_eq!((logged[0].seq, logged[1].seq, logged[1].duplicate), (1, 2, false));
    assert!(matches!(heard.recv().await, Some(Published::Changes(..))));
}

#[tokio::test]
async fn changes_of_different_rooms_that_wait_share_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let file_path = dir.path().join("rooms.db");
    let store = EmbeddedStore::open(&file_path).unwrap();
    let mut rooms = Vec::new();
    for _ in 0..20 {
        let room = any_room();
        let epoch = populate(&store, &room, vec![base(1)]).await.epoch;
        rooms.push((room, epoch));
    }
    let before = store.commits();
    let blocker = rusqlite::Connection::open(&file_path).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let appends = join_all(
        rooms.iter().map(|(room, epoch)| store.append(room, *epoch, batch("o1", 1, vec![update(1, "a")]))),
    );
    let release = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        blocker.execute_batch("COMMIT").unwrap();
    };
    let (answers, ()) = tokio::join!(appends, release);
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap()[0].seq == 1));
    assert!(store.commits() - before <= 3, "{} commits", store.commits() - before);
}

#[tokio::test]
async fn two_changes_of_a_room_that_wait_together_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap();
    let room = any_room();
    let epoch = populate(&store, &room, vec![base(1)]).await.epoch;
    let appends = (1..=50).map(|n| store.append(&room, epoch, batch("o1", n, vec![update(1, "a")])));
    let (same, ids) = (path("same.js"), (2..=9).map(file).collect::<Vec<_>>());
    let claims = ids.iter().map(|id| store.claim(&room, epoch, &same, id));
    let (appended, claimed) = tokio::join!(join_all(appends), join_all(claims));
    let seqs: std::collections::HashSet<u64> =
        appended.into_iter().map(|answer| answer.unwrap()[0].seq).collect();
    assert_eq!(seqs.len(), 50);
    let new = claimed.into_iter().filter(|answer| matches!(answer, Ok(Claimed::New(_)))).count();
    assert_eq!(new, 1);
}

#[tokio::test]
async fn a_subscriber_that_falls_behind_finds_its_channel_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap();
    let room = any_room();
    let mut slow = store.subscribe(&room).await.unwrap();
    let mut quick = store.subscribe(&room).await.unwrap();
    for _ in 0..=SUBSCRIBER_QUEUE {
        store.announce(&room, Bytes::new()).await.unwrap();
        quick.recv().await.unwrap();
    }
    for _ in 0..SUBSCRIBER_QUEUE {
        assert!(slow.recv().await.is_some());
    }
    assert_eq!(slow.recv().await, None);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file_path = dir.path().join("rooms.db");
    drop(EmbeddedStore::open(&file_path).unwrap());
    let newer = rusqlite::Connection::open(&file_path).unwrap();
    newer.execute_batch("UPDATE meta SET value = 2 WHERE name = 'format'").unwrap();
    let refused = EmbeddedStore::open(&file_path).err().unwrap().to_string();
    assert!(refused.contains("has format 2"), "{refused}");
}

#[tokio::test]
async fn a_file_of_before_logs_were_compacted_is_read_and_what_is_left_of_another_base_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file_path = dir.path().join("rooms.db");
    let store = EmbeddedStore::open(&file_path).unwrap();
    let room = any_room();
    let epoch = populate(&store, &room, vec![base(1)]).await.epoch;
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "a"), update(1, "b")])).await.unwrap();
    let read = store.read(&room, &file(1)).await.unwrap();
    let [first, _] = &read.updates[..] else { panic!("{read:?}") };
    let ack = FlushAck {
        file: file(1),
        read_base_ts: read.base_ts,
        merged_ts: first.ts,
        merged_seq: first.seq,
        state: Bytes::from_static(b"a"),
    };
    store.ack(&room, epoch, ack).await.unwrap();
    let before = everything(&store, &room).await;
    drop(store);
    let older = rusqlite::Connection::open(&file_path).unwrap();
    older.execute_batch("DROP TABLE compacted").unwrap();
    let store = EmbeddedStore::open(&file_path).unwrap();
    assert_eq!(everything(&store, &room).await, before);
    drop(store);
    let left = "INSERT INTO compacted SELECT room, file, ts - 1, 0 FROM bases";
    older.execute_batch(left).unwrap();
    drop(older);
    let store = EmbeddedStore::open(&file_path).unwrap();
    assert_eq!(everything(&store, &room).await, before);
    assert_eq!(store.read(&room, &file(1)).await.unwrap().stored_seq, first.seq);
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Events(u64),
    Claim(u8),
    Ack(u8, usize),
    Compact(u8, usize),
    Repopulate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(1u8..4, 1..5).prop_map(Step::Append),
        2 => (1u64..400).prop_map(Step::Events),
        1 => (3u8..9).prop_map(Step::Claim),
        3 => (1u8..9, 0usize..6).prop_map(|(file, of_log)| Step::Ack(file, of_log)),
        3 => (1u8..9, 0usize..6).prop_map(|(file, of_log)| Step::Compact(file, of_log)),
        1 => Just(Step::Repopulate),
    ]
}

async fn take(step: Step, store: &EmbeddedStore, room: &RoomId) {
    let position = store.read(room, &FileId::room()).await.unwrap().position;
    let epoch = position.epoch;
    let is_compaction = matches!(step, Step::Compact(..));
    match step {
        Step::Append(files) => {
            let entries = files.into_iter().map(|n| update(n, "x")).collect();
            // A file that was not claimed yet refuses the batch, which is a step as well.
            let _ = store.append(room, epoch, batch("o1", 0, entries)).await;
        }
        Step::Events(count) => {
            let entries = (1..=count).map(|n| chat(position.seq + n)).collect();
            store.append(room, epoch, batch("o1", 0, entries)).await.unwrap();
        }
        Step::Claim(n) => drop(store.claim(room, epoch, &path(&format!("{n}.js")), &file(n)).await.unwrap()),
        Step::Ack(n, of_log) | Step::Compact(n, of_log) => {
            let Ok(read) = store.read(room, &file(n)).await else { return };
            let last =
                read.updates.get(of_log).map_or((read.base_ts, read.base_seq), |one| (one.ts, one.seq));
            let ack = FlushAck {
                file: file(n),
                read_base_ts: read.base_ts,
                merged_ts: last.0,
                merged_seq: last.1,
                state: Bytes::from(vec![n; of_log]),
            };
            if is_compaction {
                store.compact(room, epoch, ack).await.unwrap();
            } else {
                store.ack(room, epoch, ack).await.unwrap();
            }
        }
        Step::Repopulate => {
            store.erase(room).await.unwrap();
            populate(store, room, vec![base(1), base(2)]).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_file_agree_after_any_steps(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap();
            let room = any_room();
            populate(&store, &room, vec![base(1), base(2)]).await;
            for step in steps {
                take(step, &store, &room).await;
            }
            let (reopened, _left) = crash(dir.path());
            assert_eq!(everything(&reopened, &room).await, everything(&store, &room).await);
            let kept = store.read(&room, &FileId::room()).await.unwrap().updates.len();
            assert!(kept <= room::limits::ROOM_EVENTS);
            let late = LoaderToken("late".to_owned());
            assert!(matches!(reopened.commit(&room, &late, vec![], 0).await, Err(StoreError::Stale)));
        });
    }
}

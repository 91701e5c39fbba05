//! What every room store must do; each test is run against every store.

#[macro_use]
mod suite;
pub(crate) mod setup;
mod stores;
mod history;
mod batches;
mod compaction;
mod clocks;
mod roster;
mod loading;
mod known;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use origin::store::{
    Backfill, Claimed, Entry, FlushAck, Joined, Left, LoaderToken, LogEntry, Logged, Published, RoomStore,
    StoreError, empty_base,
};
use shared::{
    id::{FileId, RoomId},
    position::{Epoch, Position},
};

use self::batches::*;
use self::clocks::*;
use self::compaction::*;
use self::history::*;
use self::known::*;
use self::loading::*;
use self::roster::*;
use self::setup::{LEASE, any_room, base, batch, event, file, path, populate, seq_now, texts, update};
use crate::support::PATIENCE;

mod embedded_contract {
    use super::*;
    contract_of!(embedded);
}

mod redis_contract {
    use super::*;
    contract_of!(redis);
}

mod cluster_contract {
    use super::*;
    contract_of!(cluster);
}

async fn one_loader_populates_and_the_others_wait(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let Joined::Load(token) = store.join(&room, "o1", LEASE).await.unwrap() else { panic!("not the loader") };
    let Joined::Wait(left) = store.join(&room, "o2", LEASE).await.unwrap() else { panic!("two loaders") };
    assert!(left <= origin::store::LOADER_LEASE);
    let other = LoaderToken("another".to_owned());
    assert!(matches!(store.commit(&room, &other, vec![], 0).await, Err(StoreError::Stale)));
    let position = store.commit(&room, &token, vec![base(1)], 0).await.unwrap();
    assert_eq!(position.seq, 0);
    assert_eq!(store.join(&room, "o2", LEASE).await.unwrap(), Joined::Ready(position));
    assert!(
        matches!(store.commit(&room, &token, vec![], 0).await, Err(StoreError::Stale)),
        "committed twice"
    );
    assert_eq!(store.names(&room).await.unwrap(), [(file(1), path("1.js"))]);
}

async fn a_loader_that_gave_up_cannot_commit(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let Joined::Load(late) = store.join(&room, "o1", LEASE).await.unwrap() else { panic!("not the loader") };
    assert_eq!(store.leave(&room, "o1", Epoch(0)).await.unwrap(), Left::NotMine);
    let Joined::Load(token) = store.join(&room, "o2", LEASE).await.unwrap() else { panic!("not the loader") };
    assert!(matches!(store.commit(&room, &late, vec![], 0).await, Err(StoreError::Stale)));
    store.commit(&room, &token, vec![base(1)], 0).await.unwrap();
    assert!(matches!(store.commit(&room, &late, vec![], 0).await, Err(StoreError::Stale)));
    assert_eq!(store.names(&room).await.unwrap().len(), 1);
}

async fn a_room_that_is_not_populated_takes_nothing(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let append = |epoch| store.append(&room, epoch, batch("o1", 1, vec![update(1, "a")]));
    assert!(matches!(append(Epoch(1)).await, Err(StoreError::Cold)));
    store.join(&room, "o1", LEASE).await.unwrap();
    assert!(matches!(append(Epoch(1)).await, Err(StoreError::Cold)), "while it is being loaded");
    assert!(matches!(store.read(&room, &file(1)).await, Err(StoreError::Cold)));
    assert!(matches!(store.dirty(&room).await, Err(StoreError::Cold)));
    assert!(matches!(store.backfill(&room, Position::default()).await, Err(StoreError::Cold)));
    assert!(matches!(store.claim(&room, Epoch(1), &path("a"), &file(1)).await, Err(StoreError::Cold)));
    assert!(!store.rooms().await.unwrap().contains(&room));
    store.leave(&room, "o1", Epoch(0)).await.unwrap();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    assert!(matches!(append(Epoch(1)).await, Err(StoreError::Epoch(now)) if now == epoch));
    assert!(store.rooms().await.unwrap().contains(&room));
}

async fn seq_rises_by_one_and_ts_with_it(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let Position { epoch, mut ts, .. } = populate(&*store, &room, vec![base(1), base(2)]).await;
    for turn in 0..20 {
        let entries = vec![update(1, "a"), event("", 0), update(2, "b")];
        let logged = store.append(&room, epoch, batch("o1", turn + 1, entries)).await.unwrap();
        let seqs: Vec<u64> = logged.iter().map(|one| one.seq).collect();
        assert_eq!(seqs, [3 * turn + 1, 3 * turn + 2, 3 * turn + 3]);
        for one in logged {
            assert!(one.ts > ts && !one.duplicate);
            ts = one.ts;
        }
    }
    let log = store.read(&room, &file(2)).await.unwrap();
    assert_eq!(log.position, Position { epoch, seq: 60, ts });
    assert_eq!((log.updates.len(), log.path, log.base), (20, path("2.js"), empty_base()));
}

async fn a_repeated_batch_is_logged_once(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let first = batch("o1", 1, vec![update(1, "a"), event("h", 1)]);
    let answer = store.append(&room, epoch, first.clone()).await.unwrap();
    assert_eq!(store.append(&room, epoch, first.clone()).await.unwrap(), answer);
    store.append(&room, epoch, batch("o2", 1, vec![update(1, "b")])).await.unwrap();
    assert_eq!(
        store.append(&room, epoch, first.clone()).await.unwrap(),
        answer,
        "another origin was between"
    );
    store.append(&room, epoch, batch("o1", 2, vec![update(1, "c")])).await.unwrap();
    assert!(store.append(&room, epoch, first).await.is_err(), "a batch from before the last");
    for _ in 0..2 {
        store.append(&room, epoch, batch("o1", 0, vec![update(1, "d")])).await.unwrap();
    }
    let log = store.read(&room, &file(1)).await.unwrap();
    assert_eq!(texts(&log.updates), ["a", "b", "c", "d", "d"], "number 0 is never a repeat");
}

async fn the_batch_numbers_of_an_origin_begin_again_after_it_left(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    assert_eq!(store.leave(&room, "o1", epoch).await.unwrap(), Left::Dirty(vec![file(1)]));
    assert!(matches!(store.join(&room, "o1", LEASE).await.unwrap(), Joined::Ready(_)));
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "b")])).await.unwrap();
    assert_eq!(texts(&store.read(&room, &file(1)).await.unwrap().updates), ["a", "b"]);
}

async fn an_event_of_a_hub_is_logged_once_whoever_brings_it(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let entries = vec![event("h", 1), event("h", 2), event("h", 2), event("g", 1)];
    let first = store.append(&room, epoch, batch("o1", 1, entries)).await.unwrap();
    assert_eq!(first[2], Logged { duplicate: true, ..first[1] });
    let replay = vec![event("h", 1), update(1, "a"), event("h", 2), event("h", 3)];
    let second = store.append(&room, epoch, batch("o2", 1, replay)).await.unwrap();
    assert_eq!(second[0], Logged { duplicate: true, ..first[0] });
    assert_eq!(second[2], Logged { duplicate: true, ..first[1] });
    assert_eq!((second[1].seq, second[3].seq), (4, 5), "duplicates take no seq");
    let log = store.read(&room, &FileId::room()).await.unwrap();
    assert_eq!(texts(&log.updates), ["h1", "h2", "g1", "h3"]);

    let failed = batch("o1", 2, vec![event("h", 4), update(9, "x")]);
    assert!(matches!(store.append(&room, epoch, failed).await, Err(StoreError::NoFile)));
    let retried = store.append(&room, epoch, batch("o1", 2, vec![event("h", 4)])).await.unwrap();
    assert!(!retried[0].duplicate, "the mark is what was committed, not what was received");
}

async fn a_batch_with_one_unknown_file_logs_nothing(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let entries = vec![update(1, "a"), update(9, "b")];
    assert!(matches!(store.append(&room, epoch, batch("o1", 1, entries)).await, Err(StoreError::NoFile)));
    assert_eq!(seq_now(&*store, &room).await, 0);
    assert_eq!(store.dirty(&room).await.unwrap().files, []);
    assert!(matches!(store.read(&room, &file(9)).await, Err(StoreError::NoFile)));
}

async fn an_ack_keeps_what_was_logged_meanwhile(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1), base(2)]).await.epoch;
    let first =
        store.append(&room, epoch, batch("o1", 1, vec![update(1, "a"), update(1, "b")])).await.unwrap();
    let dirty = store.dirty(&room).await.unwrap();
    assert_eq!(dirty.files, [(file(1), first[0].ts)], "the first unflushed change");
    assert_eq!((dirty.cutoff, dirty.synced_until()), (first[1].ts, first[0].ts - 1));
    let read = store.read(&room, &file(1)).await.unwrap();
    let later = store.append(&room, epoch, batch("o1", 2, vec![update(1, "c")])).await.unwrap()[0];
    let ack = FlushAck {
        file: file(1),
        read_base_ts: read.base_ts,
        merged_ts: first[1].ts,
        merged_seq: first[1].seq,
        state: Bytes::from_static(b"ab"),
    };
    store.ack(&room, epoch, ack.clone()).await.unwrap();
    let read = store.read(&room, &file(1)).await.unwrap();
    assert_eq!((&*read.base, read.base_ts, read.base_seq), (&b"ab"[..], first[1].ts, 2));
    assert_eq!(texts(&read.updates), ["c"]);
    assert_eq!(store.dirty(&room).await.unwrap().files, [(file(1), later.ts)]);
    let ack = FlushAck { read_base_ts: read.base_ts, merged_ts: later.ts, merged_seq: later.seq, ..ack };
    store.ack(&room, epoch, ack).await.unwrap();
    let dirty = store.dirty(&room).await.unwrap();
    assert_eq!((dirty.files.len(), dirty.synced_until()), (0, later.ts));
    assert_eq!(store.read(&room, &file(1)).await.unwrap().updates, []);
}

async fn an_ack_that_comes_too_late_changes_nothing(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let logged = store.append(&room, epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap()[0];
    let read = store.read(&room, &file(1)).await.unwrap();
    let right = FlushAck {
        file: file(1),
        read_base_ts: read.base_ts,
        merged_ts: logged.ts,
        merged_seq: logged.seq,
        state: Bytes::from_static(b"a"),
    };
    let unknown = FlushAck { file: file(9), ..right.clone() };
    assert!(matches!(store.ack(&room, epoch, unknown).await, Err(StoreError::NoFile)));
    assert!(matches!(store.ack(&room, Epoch(1), right.clone()).await, Err(StoreError::Epoch(_))));
    assert_eq!(store.read(&room, &file(1)).await.unwrap(), read);
    store.ack(&room, epoch, right.clone()).await.unwrap();
    let other = FlushAck { state: Bytes::from_static(b"other"), ..right };
    assert!(matches!(store.ack(&room, epoch, other).await, Err(StoreError::Conflict)));
    assert_eq!(&*store.read(&room, &file(1)).await.unwrap().base, b"a");
}

async fn the_last_to_leave_removes_a_clean_room_only(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    store.join(&room, "o2", LEASE).await.unwrap();
    let logged = store.append(&room, epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap()[0];
    assert_eq!(store.leave(&room, "o1", epoch).await.unwrap(), Left::Members(1));
    assert_eq!(store.leave(&room, "o2", Epoch(1)).await.unwrap(), Left::NotMine);
    assert_eq!(store.leave(&room, "o2", epoch).await.unwrap(), Left::Dirty(vec![file(1)]));
    let ack = FlushAck {
        file: file(1),
        read_base_ts: store.read(&room, &file(1)).await.unwrap().base_ts,
        merged_ts: logged.ts,
        merged_seq: logged.seq,
        state: Bytes::from_static(b"a"),
    };
    store.ack(&room, epoch, ack).await.unwrap();
    assert_eq!(store.leave(&room, "a sweeper", epoch).await.unwrap(), Left::Gone);
    assert!(matches!(store.read(&room, &file(1)).await, Err(StoreError::Cold)));
    assert!(!store.rooms().await.unwrap().contains(&room));
    assert!(matches!(store.join(&room, "o1", LEASE).await.unwrap(), Joined::Load(_)));
}

async fn every_populated_room_is_listed(store: Arc<dyn RoomStore>) {
    // More than there can be lists, if the store has several.
    let rooms: Vec<RoomId> = (0..70).map(|_| any_room()).collect();
    for room in &rooms {
        populate(&*store, room, vec![]).await;
    }
    let listed = store.rooms().await.unwrap();
    assert!(rooms.iter().all(|room| listed.contains(room)));
    for room in &rooms {
        store.erase(room).await.unwrap();
    }
    let listed = store.rooms().await.unwrap();
    assert!(!rooms.iter().any(|room| listed.contains(room)));
}

async fn a_lease_that_has_run_out_holds_nothing(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    store.join(&room, "o2", Duration::ZERO).await.unwrap();
    assert_eq!(store.leave(&room, "o1", epoch).await.unwrap(), Left::Gone);
}

async fn a_new_epoch_is_above_the_last_and_above_the_archive(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let first = populate(&*store, &room, vec![base(1)]).await;
    assert_eq!(store.leave(&room, "o1", first.epoch).await.unwrap(), Left::Gone);
    let Joined::Load(token) = store.join(&room, "o1", LEASE).await.unwrap() else { panic!("not the loader") };
    let ahead = first.ts + 3_600_000_000;
    let second = store.commit(&room, &token, vec![base(1)], ahead).await.unwrap();
    assert!(second.epoch > first.epoch);
    assert_eq!((second.seq, second.ts), (0, ahead + 1));
    let logged = store.append(&room, second.epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    assert_eq!(logged[0].ts, ahead + 2);
    let stale = store.append(&room, first.epoch, batch("o1", 2, vec![update(1, "b")])).await;
    assert!(matches!(stale, Err(StoreError::Epoch(epoch)) if epoch == second.epoch));
}

async fn a_path_has_one_owner(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let mut heard = store.subscribe(&room).await.unwrap();
    let Claimed::New(logged) = store.claim(&room, epoch, &path("src/a.js"), &file(2)).await.unwrap() else {
        panic!("the path is free")
    };
    assert_eq!((logged.seq, logged.duplicate), (1, false));
    let again = store.claim(&room, epoch, &path("src/a.js"), &file(3)).await.unwrap();
    assert_eq!(again, Claimed::Taken(file(2)));
    assert_eq!(store.claim(&room, epoch, &path("1.js"), &file(3)).await.unwrap(), Claimed::Taken(file(1)));
    let names = store.names(&room).await.unwrap();
    assert_eq!(names, [(file(1), path("1.js")), (file(2), path("src/a.js"))]);
    assert_eq!(store.dirty(&room).await.unwrap().files, [(file(2), logged.ts)]);
    let read = store.read(&room, &file(2)).await.unwrap();
    assert_eq!((read.base, read.base_ts, read.base_seq), (empty_base(), logged.ts, 1));

    let Some(Published::Changes(_, changes)) = heard.recv().await else { panic!("no event") };
    let event: serde_json::Value = serde_json::from_slice(&changes[0].bytes).unwrap();
    let created = serde_json::json!({"op": "create", "id": file(2), "path": "src/a.js"});
    assert_eq!(event, serde_json::json!({"type": "files", "changes": [created]}));
    assert!(changes[0].file.is_room());

    let ack = FlushAck {
        file: file(2),
        read_base_ts: logged.ts,
        merged_ts: logged.ts,
        merged_seq: 1,
        state: empty_base(),
    };
    store.ack(&room, epoch, ack).await.unwrap();
    assert_eq!(store.dirty(&room).await.unwrap().files, []);
}

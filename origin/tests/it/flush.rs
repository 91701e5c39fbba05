//! Flushing a room: what reaches the archive, what stays dirty, and what the crash of any part leaves.

mod bench;
mod compacted;
mod differs;
mod parked;
mod partly;
mod races;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use origin::{
    archive::{Archive, Eol, FileWrite, NewShard, Saved},
    flush::{
        FlushQueue, FlushSettings, JobState,
        embedded::EmbeddedQueue,
        flusher::Flusher,
        parking::Parking,
        report::{FileError, FlushError, FlushFailure, FlushReport},
        runner::{FlushRoom, FlushRunner},
        sweep::{Sweeper, Swept},
        threads::FlushThreads,
    },
    project::text::{state_of, text_of},
    store::{Catalog, Claimed, FlushAck, Joined, Leases, Left, Published, RoomLog, Source, Subscriptions},
};
use serde_json::json;
use shared::id::RoomId;
use tokio::time::Duration;
use yrs::{ReadTxn, Transact};

use self::bench::{Bench, Hook, NOW, change, first_write, runner, types};
use crate::{
    room_store_contract::setup::{LEASE, any_room, batch, file, path, populate},
    support::{
        PATIENCE,
        documents::{load, typed},
    },
};

#[tokio::test]
async fn a_flush_writes_text_and_state_of_the_dirty_files_and_tells_the_room() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    let seq = bench.types(1, 7, "?").await;
    let mut heard = bench.store.subscribe(&bench.room).await.unwrap();
    let report = bench.flush().await.unwrap();
    assert_eq!((report.written.len(), report.written[0].seq, report.clean), (1, seq, true));
    let stored = bench.stored(1).await;
    assert_eq!((&*stored.text, stored.version, stored.stored_at), ("one!?", 2, NOW));
    assert_eq!(stored.eol, Eol::Crlf, "the line ends outside are kept");
    assert_eq!(text_of(&stored.state).unwrap(), "one!?");
    assert_eq!(report.bytes, (stored.text.len() + stored.state.len()) as u64);
    assert_eq!(bench.stored(2).await.version, 1);

    let log = bench.store.read(&bench.room, &file(1)).await.unwrap();
    assert_eq!((log.updates.len(), log.base_seq, &log.base), (0, seq, &stored.state));
    assert_eq!(log.base_ts, stored.ts);
    let shard = bench.archive.find_by_id(&bench.room).await.unwrap().unwrap();
    assert_eq!(shard.last_sync_timestamp, log.position.ts);
    let Some(Published::Note(note)) = heard.recv().await else { panic!("not told") };
    let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
    let one = json!({"id": file(1), "path": "1.js", "seq": seq, "at": NOW});
    assert_eq!(note, json!({"type": "stored", "epoch": log.position.epoch, "files": [one]}));

    assert_eq!(bench.flush().await.unwrap().written, []);
    assert_eq!(bench.archive.saves.load(Relaxed), 1);
}

#[tokio::test]
async fn a_flush_reads_the_files_that_are_dirty_and_no_others() {
    let bench = Bench::new().await;
    bench.types(1, 11, "!").await;
    let report = bench.flush().await.unwrap();
    assert_eq!((report.written.len(), bench.archive.trees.load(Relaxed)), (1, 0));
    let stored = bench.stored(1).await;
    assert_eq!((stored.text.as_str(), stored.eol), ("one!", Eol::Crlf), "line ends are those that it had");
}

#[tokio::test]
async fn a_file_whose_state_is_stored_already_is_acknowledged_and_not_written() {
    let bench = Bench::new().await;
    let again = change(1, state_of("one", 1));
    bench.store.append(&bench.room, bench.epoch, batch("o1", 1, vec![again])).await.unwrap();
    assert!(bench.is_dirty(1).await);
    let report = bench.flush().await.unwrap();
    assert_eq!((report.unchanged.len(), report.unchanged[0].seq, report.clean), (1, 1, true));
    assert_eq!((bench.archive.saves.load(Relaxed), bench.stored(1).await.version), (0, 1));
}

#[tokio::test]
async fn a_claimed_file_is_stored_although_nobody_typed_in_it() {
    let bench = Bench::new().await;
    let claimed = bench.store.claim(&bench.room, bench.epoch, &path("new.js"), &file(3)).await.unwrap();
    assert!(matches!(claimed, Claimed::New(_)));
    assert!(bench.flush().await.unwrap().clean);
    let stored = bench.stored(3).await;
    assert_eq!((stored.path, &*stored.text, stored.version), (path("new.js"), "", 1));
}

#[tokio::test]
async fn a_flush_that_dies_before_the_ack_is_finished_by_the_next_one() {
    let bench = Bench::new().await;
    let seq = bench.types(1, 7, "!").await;
    let log = bench.store.read(&bench.room, &file(1)).await.unwrap();
    let parts = [log.base.clone(), log.updates[0].bytes.clone()];
    let state = load(parts, 9).transact().encode_state_as_update_v1(&yrs::StateVector::default());
    let dying = FileWrite { text: "one!".to_owned(), state: state.into(), ..first_write(1, "") };
    let dying = FileWrite { write_id: "dying".to_owned(), ts: log.updates[0].ts, seq, ..dying };
    assert_eq!(bench.archive.inner.save_file(&bench.room, Some(1), dying).await.unwrap(), Saved::Written(2));

    let report = bench.flush().await.unwrap();
    assert_eq!((report.unchanged.len(), report.clean), (1, true));
    assert_eq!((bench.stored(1).await.version, bench.is_dirty(1).await), (2, false));
}

#[tokio::test]
async fn what_only_the_archive_has_is_merged_and_given_back_to_the_room() {
    let bench = Bench::new().await;
    let stored = bench.stored(1).await;
    let older_epoch = typed([stored.state.clone()], 8, " from the old epoch");
    let state =
        load([stored.state, older_epoch], 9).transact().encode_state_as_update_v1(&Default::default());
    let write = FileWrite { state: state.into(), write_id: "old".to_owned(), ..first_write(1, "") };
    bench.archive.inner.save_file(&bench.room, Some(1), write).await.unwrap();
    bench.types(1, 7, "!").await;
    let mut heard = bench.store.subscribe(&bench.room).await.unwrap();

    let report = bench.flush().await.unwrap();
    assert_eq!((report.written.len(), report.clean), (1, true));
    let text = bench.stored(1).await.text;
    assert!(text.contains('!') && text.contains(" from the old epoch"), "{text}");
    let Some(Published::Changes(_, changes)) = heard.recv().await else { panic!("not logged") };
    assert_eq!((&changes[0].file, &changes[0].source), (&file(1), &Source::default()));
    let base = bench.store.read(&bench.room, &file(1)).await.unwrap().base;
    assert_eq!(text_of(&base).unwrap(), text);
}

#[tokio::test]
async fn a_write_that_loses_the_race_merges_and_overwrites_nothing() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    let (archive, room) = (bench.archive.clone(), bench.room.clone());
    let other_worker: Hook = Box::new(move || {
        Box::pin(async move {
            let stored = archive.inner.file(&room, &file(1)).await.unwrap().unwrap();
            let theirs = typed([stored.state.clone()], 8, "theirs");
            let state =
                load([stored.state, theirs], 9).transact().encode_state_as_update_v1(&Default::default());
            let write =
                FileWrite { state: state.into(), write_id: "theirs".to_owned(), ..first_write(1, "") };
            archive.inner.save_file(&room, Some(1), write).await.unwrap();
        })
    });
    *bench.archive.before_save.lock().unwrap() = Some(other_worker);
    assert!(bench.flush().await.unwrap().clean);
    let stored = bench.stored(1).await;
    assert_eq!(stored.version, 3);
    assert!(stored.text.contains('!') && stored.text.contains("theirs"), "{}", stored.text);
    assert_eq!(text_of(&bench.store.read(&bench.room, &file(1)).await.unwrap().base).unwrap(), stored.text);
}

#[tokio::test]
async fn a_flush_for_a_deleted_shard_puts_nothing_into_the_next_one_of_its_id() {
    let bench = Bench::new().await;
    bench.types(1, 11, "!").await;
    let (archive, room) = (bench.archive.clone(), bench.room.clone());
    *bench.archive.before_save.lock().unwrap() = Some(Box::new(move || {
        Box::pin(async move {
            assert!(archive.inner.delete(&room).await.unwrap());
            let (title, files) = (String::new(), Vec::new());
            let next = NewShard { id: room, title, template: None, files, now: 2 };
            archive.inner.create(next).await.unwrap();
        })
    }));
    assert!(matches!(bench.flush().await, Err(FlushError::NoShard)));
    assert_eq!(bench.archive.inner.files(&bench.room).await.unwrap(), []);
    assert!(bench.is_dirty(1).await);
}

#[tokio::test]
async fn an_edit_during_the_flush_stays_dirty_and_holds_the_sync_timestamp_back() {
    let bench = Bench::new().await;
    bench.types(1, 7, "a").await;
    let (store, room, epoch) = (bench.store.clone(), bench.room.clone(), bench.epoch);
    let edit: Hook = Box::new(move || {
        Box::pin(async move {
            types(&store, &room, epoch, 1, 7, "b").await;
        })
    });
    *bench.archive.before_save.lock().unwrap() = Some(edit);
    let report = bench.flush().await.unwrap();
    assert_eq!((report.written[0].seq, report.clean), (1, false));
    assert_eq!(bench.stored(1).await.text, "onea");
    let dirty = bench.store.dirty(&bench.room).await.unwrap();
    let synced = bench.archive.find_by_id(&bench.room).await.unwrap().unwrap().last_sync_timestamp;
    assert_eq!((dirty.files.len(), dirty.files[0].1 - 1), (1, synced));
    assert!(bench.flush().await.unwrap().clean);
    assert_eq!(bench.stored(1).await.text, "oneab");
}

#[tokio::test]
async fn a_file_that_misses_updates_is_parked_and_the_others_go_on() {
    let bench = Bench::new().await;
    let log = bench.store.read(&bench.room, &file(1)).await.unwrap();
    let lost = typed([log.base.clone()], 7, "lost");
    let orphan = change(1, typed([log.base, lost], 7, "orphan"));
    let parked_at =
        bench.store.append(&bench.room, bench.epoch, batch("o1", 1, vec![orphan])).await.unwrap()[0].ts;
    bench.types(2, 7, "!").await;
    let report = bench.flush().await.unwrap();
    assert_eq!((report.written.len(), &report.written[0].id, report.clean), (1, &file(2), false));
    assert_eq!(report.parked[0].id, file(1));
    assert!(report.parked[0].reason.contains("missing"), "{}", report.parked[0].reason);
    assert_eq!((&*bench.stored(1).await.text, &*bench.stored(2).await.text), ("one", "two!"));
    assert!(bench.is_dirty(1).await && !bench.is_dirty(2).await);
    let shard = bench.archive.find_by_id(&bench.room).await.unwrap().unwrap();
    assert_eq!(shard.last_sync_timestamp, parked_at - 1);
    let left = bench.store.leave(&bench.room, "o1", bench.epoch).await.unwrap();
    assert_eq!(left, Left::Dirty(vec![file(1)]));
}

#[tokio::test]
async fn a_file_that_the_archive_refuses_now_is_tried_again_and_the_others_are_stored() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    bench.types(2, 7, "!").await;
    *bench.archive.failing.lock().unwrap() = Some(file(1));
    let Err(FlushError::Unfinished { report, file: failed, cause }) = bench.flush().await else {
        panic!("finished")
    };
    assert_eq!((failed, report.written.len(), report.clean), (file(1), 1, false));
    assert!(matches!(cause, FileError::Archive(_)));
    assert!(bench.is_dirty(1).await && !bench.is_dirty(2).await);
    *bench.archive.failing.lock().unwrap() = None;
    assert!(bench.flush().await.unwrap().clean);
    assert_eq!(bench.stored(1).await.text, "one!");
}

#[tokio::test]
async fn a_flush_that_died_after_the_last_ack_has_its_sync_timestamp_moved_by_the_next() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    bench.flush().await.unwrap();
    let synced = async || bench.archive.find_by_id(&bench.room).await.unwrap().unwrap().last_sync_timestamp;
    let done = synced().await;
    // As it is after a flush that wrote and acknowledged, and no more.
    bench.types(1, 7, "?").await;
    let log = bench.store.read(&bench.room, &file(1)).await.unwrap();
    let state = load([log.base.clone(), log.updates[0].bytes.clone()], 9);
    let ack = FlushAck {
        file: file(1),
        read_base_ts: log.base_ts,
        merged_ts: log.updates[0].ts,
        merged_seq: log.updates[0].seq,
        state: state.transact().encode_state_as_update_v1(&Default::default()).into(),
    };
    bench.store.ack(&bench.room, bench.epoch, ack).await.unwrap();
    assert!(bench.flush().await.unwrap().clean);
    assert_eq!(synced().await, log.position.ts);
    assert!(log.position.ts > done);
}

#[tokio::test]
async fn a_shard_that_is_gone_is_reported_and_nothing_is_dropped() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    bench.archive.delete(&bench.room).await.unwrap();
    assert!(matches!(bench.flush().await, Err(FlushError::NoShard)));
    assert!(bench.is_dirty(1).await);
    assert_eq!(bench.archive.find_by_id(&bench.room).await.unwrap(), None);
}

#[tokio::test]
async fn an_ack_by_another_flush_in_between_is_no_failure() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    let (store, room, epoch) = (bench.store.clone(), bench.room.clone(), bench.epoch);
    let other: Hook = Box::new(move || {
        Box::pin(async move {
            let log = store.read(&room, &file(1)).await.unwrap();
            let parts = [log.base.clone(), log.updates[0].bytes.clone()];
            let state = load(parts, 9).transact().encode_state_as_update_v1(&Default::default());
            let ack = FlushAck {
                file: file(1),
                read_base_ts: log.base_ts,
                merged_ts: log.updates[0].ts,
                merged_seq: log.updates[0].seq,
                state: state.into(),
            };
            store.ack(&room, epoch, ack).await.unwrap();
        })
    });
    *bench.archive.before_save.lock().unwrap() = Some(other);
    assert!(bench.flush().await.unwrap().clean);
    assert_eq!(bench.stored(1).await.text, "one!");
}

#[tokio::test]
async fn the_flush_after_the_last_leaver_depopulates_the_room() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    let flusher = bench.flusher();
    flusher.flush(&bench.room).await.unwrap();
    assert_eq!(bench.store.rooms().await.unwrap().len(), 1, "somebody has it open");
    bench.types(1, 7, "?").await;
    let left = bench.store.leave(&bench.room, "o1", bench.epoch).await.unwrap();
    assert_eq!(left, Left::Dirty(vec![file(1)]));
    flusher.flush(&bench.room).await.unwrap();
    assert_eq!(bench.store.rooms().await.unwrap(), []);
    assert_eq!(bench.stored(1).await.text, "one!?");
    assert!(matches!(bench.store.join(&bench.room, "o1", LEASE).await.unwrap(), Joined::Load(_)));
}

#[tokio::test]
async fn the_sweep_asks_for_dirty_rooms_and_depopulates_clean_ones() {
    let bench = Bench::new().await;
    let (idle, queue) = (any_room(), Arc::new(EmbeddedQueue::new(FlushSettings::default())));
    let epoch = populate(&*bench.store, &idle, vec![]).await.epoch;
    bench.store.join(&idle, "o1", Duration::ZERO).await.unwrap();
    bench.types(1, 7, "!").await;
    let threads = FlushThreads::start().unwrap();
    let sweeper = Sweeper {
        flusher: bench.flusher(),
        queue: queue.clone(),
        runner: runner(&bench.flusher(), &threads),
        at_once: 3,
        observe: Box::new(|_| {}),
    };
    let first = bench.store.dirty(&bench.room).await.unwrap().files[0].1;
    let swept = sweeper.sweep().await.unwrap();
    let (log_bytes, largest) = (swept.log_bytes, vec![(bench.room.clone(), swept.log_bytes)]);
    assert!(log_bytes > 0);
    assert_eq!(swept, Swept { dirty: 1, oldest: Some(first), log_bytes, largest, ..Swept::default() });
    assert_eq!(queue.job(&bench.room).await.unwrap(), Some(JobState::Delayed));
    assert_eq!(queue.job(&idle).await.unwrap(), None);
    assert_eq!(
        bench.store.rooms().await.unwrap(),
        std::slice::from_ref(&bench.room),
        "epoch {epoch:?} ended"
    );
}

#[tokio::test]
async fn the_threads_flush_what_they_find_and_stop_after_their_work() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    let (ended, mut done) = tokio::sync::mpsc::unbounded_channel();
    let (writes, mut written) = tokio::sync::mpsc::unbounded_channel();
    let hook: Hook = Box::new(move || {
        writes.send(std::thread::current().name().unwrap_or_default().to_owned()).unwrap();
        Box::pin(std::future::ready(()))
    });
    *bench.archive.before_save.lock().unwrap() = Some(hook);
    let flusher = Arc::new(Flusher {
        store: bench.store.clone(),
        archive: bench.archive.clone(),
        parking: Parking::default(),
        now_us: || NOW,
    });
    let queue = Arc::new(EmbeddedQueue::new(FlushSettings { delay_ms: 1, ..FlushSettings::default() }));
    let threads = FlushThreads::start().unwrap();
    let observe = move |room: &RoomId, outcome: &Result<FlushReport, FlushFailure>, _| {
        ended.send((room.clone(), outcome.is_ok())).unwrap();
    };
    let runner = Arc::new(FlushRunner {
        flusher: flusher.clone(),
        threads: threads.handle().clone(),
        timeout: Duration::from_secs(60),
        observe: Box::new(observe),
    });
    let sweeper = Sweeper {
        flusher,
        queue: queue.clone(),
        runner: runner.clone(),
        at_once: 3,
        observe: Box::new(|_| {}),
    };
    threads.run(|stop| queue.run(runner, stop));
    threads.run(async move |stop| sweeper.run(Duration::from_secs(60), &stop).await);
    assert_eq!(done.recv().await.unwrap(), (bench.room.clone(), true));
    assert_eq!(written.recv().await.unwrap(), "flush");
    assert!(threads.stop(PATIENCE).await);
    assert_eq!(bench.stored(1).await.text, "one!");
    assert!(done.recv().await.is_none(), "the threads have ended");
}

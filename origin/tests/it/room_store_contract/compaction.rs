//! The part of the contract that is about logs that are compacted although the archive does not have the file.

use origin::store::Source;
use shared::update::Extension;

use super::*;

/// What is read, merged up to its update `last`.
fn merged(log: &origin::store::FileLog, last: usize, state: &'static str) -> FlushAck {
    let LogEntry { file, seq, ts, .. } = &log.updates[last];
    FlushAck {
        file: file.clone(),
        read_base_ts: log.base_ts,
        merged_ts: *ts,
        merged_seq: *seq,
        state: Bytes::from_static(state.as_bytes()),
    }
}

pub(super) async fn a_compacted_file_stays_dirty_until_it_is_flushed(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1), base(2)]).await;
    let epoch = start.epoch;
    let logged =
        store.append(&room, epoch, batch("o1", 1, vec![update(1, "a"), update(1, "b")])).await.unwrap();
    let dirty = store.dirty(&room).await.unwrap();
    let read = async || store.read(&room, &file(1)).await.unwrap();
    let before = read().await;
    assert_eq!((before.base_seq, before.stored_seq), (0, 0));
    let later = store.append(&room, epoch, batch("o1", 2, vec![update(1, "c")])).await.unwrap()[0];

    store.compact(&room, epoch, merged(&before, 1, "ab")).await.unwrap();
    let compacted = read().await;
    assert_eq!((&*compacted.base, compacted.base_seq, compacted.base_ts), (&b"ab"[..], 2, logged[1].ts));
    assert_eq!((texts(&compacted.updates), compacted.stored_seq), (vec!["c"], 0));
    assert_eq!(store.dirty(&room).await.unwrap().files, dirty.files, "since its first unflushed change");
    assert!(matches!(store.backfill(&room, start).await.unwrap(), Backfill::Reset(_)), "trimmed away");

    store.compact(&room, epoch, merged(&compacted, 0, "abc")).await.unwrap();
    let whole = read().await;
    assert_eq!((&*whole.base, whole.base_seq, whole.stored_seq, whole.updates.len()), (&b"abc"[..], 3, 0, 0));
    let still = store.dirty(&room).await.unwrap();
    assert_eq!((&still.files, still.synced_until()), (&dirty.files, logged[0].ts - 1));
    assert_eq!(store.leave(&room, "o1", epoch).await.unwrap(), Left::Dirty(vec![file(1)]));

    let last = store.append(&room, epoch, batch("o1", 1, vec![update(1, "d")])).await.unwrap()[0];
    let ack = FlushAck {
        file: file(1),
        read_base_ts: whole.base_ts,
        merged_ts: later.ts,
        merged_seq: later.seq,
        state: whole.base.clone(),
    };
    store.ack(&room, epoch, ack).await.unwrap();
    let flushed = read().await;
    assert_eq!((flushed.base_seq, flushed.stored_seq), (3, 3));
    assert_eq!(store.dirty(&room).await.unwrap().files, [(file(1), last.ts)]);
    store.ack(&room, epoch, merged(&flushed, 0, "abcd")).await.unwrap();
    assert_eq!(store.leave(&room, "o1", epoch).await.unwrap(), Left::Gone);
}

pub(super) async fn a_flush_and_a_compaction_of_one_base_never_both_count(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let read = async || store.read(&room, &file(1)).await.unwrap();
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "a"), update(1, "b")])).await.unwrap();
    let first = read().await;
    let unknown = FlushAck { file: file(9), ..merged(&first, 1, "ab") };
    assert!(matches!(store.compact(&room, epoch, unknown).await, Err(StoreError::NoFile)));
    let stale = store.compact(&room, Epoch(1), merged(&first, 1, "ab")).await;
    assert!(matches!(stale, Err(StoreError::Epoch(_))));
    assert_eq!(read().await, first);

    store.compact(&room, epoch, merged(&first, 0, "a")).await.unwrap();
    let compacted = read().await;
    for late in [merged(&first, 1, "late"), merged(&first, 0, "late")] {
        assert!(matches!(store.ack(&room, epoch, late.clone()).await, Err(StoreError::Conflict)));
        assert!(matches!(store.compact(&room, epoch, late).await, Err(StoreError::Conflict)));
    }
    assert_eq!(read().await, compacted);

    store.ack(&room, epoch, merged(&compacted, 0, "ab")).await.unwrap();
    let late = store.compact(&room, epoch, merged(&compacted, 0, "late")).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    assert_eq!((&*read().await.base, store.dirty(&room).await.unwrap().files), (&b"ab"[..], vec![]));
}

pub(super) async fn a_claimed_file_that_is_compacted_waits_for_the_archive_since_its_creation(
    store: Arc<dyn RoomStore>,
) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![]).await.epoch;
    let Claimed::New(created) = store.claim(&room, epoch, &path("a.js"), &file(1)).await.unwrap() else {
        panic!("the path is free")
    };
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    let read = store.read(&room, &file(1)).await.unwrap();
    store.compact(&room, epoch, merged(&read, 0, "a")).await.unwrap();
    let read = store.read(&room, &file(1)).await.unwrap();
    assert_eq!((&*read.base, read.base_seq, read.stored_seq), (&b"a"[..], 2, created.seq));
    assert_eq!(store.dirty(&room).await.unwrap().files, [(file(1), created.ts)]);
}

pub(super) async fn a_compaction_makes_a_log_small_and_forgets_no_clock(store: Arc<dyn RoomStore>) {
    const LARGE: usize = 100_000;
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1), base(2)]).await.epoch;
    let extends = |from, to, bytes: Bytes| Entry {
        extensions: vec![Extension { client: 7, from, to }],
        ..Entry::new(file(2), Source::default(), bytes)
    };
    let large = extends(0, 5, vec![b'x'; LARGE].into());
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "x"), large])).await.unwrap();
    let bytes = async || store.survey(&room, &[file(1), file(2)]).await.unwrap().file_bytes;
    let before = bytes().await;
    assert!(before[0] < LARGE as u64 / 10 && before[1] >= LARGE as u64, "{before:?}");
    let read = store.read(&room, &file(2)).await.unwrap();
    store.compact(&room, epoch, merged(&read, 0, "x")).await.unwrap();
    let after = bytes().await;
    assert!(after[0] == before[0] && after[1] < LARGE as u64 / 10, "{after:?}");
    let late = batch("o2", 1, vec![extends(3, 6, Bytes::from_static(b"y"))]);
    assert!(matches!(store.append(&room, epoch, late).await, Err(StoreError::Overtaken)));
}

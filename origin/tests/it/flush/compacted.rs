//! The archive does not take files for long: their logs stay short, nothing of them is lost, nothing is claimed to be
//! stored.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use origin::{
    archive::Archive,
    flush::report::{FlushError, FlushReport},
    project::text::text_of,
    store::{Catalog, FileLog, FlushAck, Joined, Leases, Left, RoomLog},
};
use shared::limits;
use yrs::{Doc, GetString, ReadTxn, StateVector, Text, Transact};

use super::bench::{Bench, change};
use crate::{
    room_store_contract::setup::{LEASE, batch, file},
    support::documents::load,
};

/// What is replaced each time.
const PIECE: usize = 200 << 10;

/// Somebody who replaces all of file 1 again and again.
struct Author {
    doc: Doc,
    round: usize,
}

impl Author {
    async fn of(bench: &Bench) -> Self {
        let log = read(bench).await;
        let parts = std::iter::once(log.base).chain(log.updates.into_iter().map(|entry| entry.bytes));
        Self { doc: load(parts, 7), round: 0 }
    }

    async fn replaces(&mut self, bench: &Bench) {
        let update = {
            let content = self.doc.get_or_insert_text(limits::TEXT_ROOT);
            let mut change = self.doc.transact_mut();
            let length = content.len(&change);
            content.remove_range(&mut change, 0, length);
            content.insert(&mut change, 0, &format!("{} {}", self.round, "x".repeat(PIECE)));
            Bytes::from(change.encode_update_v1())
        };
        self.round += 1;
        bench.store.append(&bench.room, bench.epoch, batch("o1", 0, vec![change(1, update)])).await.unwrap();
    }

    fn text(&self) -> String {
        self.doc.get_or_insert_text(limits::TEXT_ROOT).get_string(&self.doc.transact())
    }
}

async fn read(bench: &Bench) -> FileLog {
    bench.store.read(&bench.room, &file(1)).await.unwrap()
}

async fn log_bytes(bench: &Bench) -> usize {
    let survey = bench.store.survey(&bench.room, &[file(1)]).await.unwrap();
    usize::try_from(survey.log_bytes).unwrap()
}

async fn flushed_clean(bench: &Bench, author: &Author) -> FlushReport {
    let report = bench.flush().await.unwrap();
    assert!(report.clean, "{report:?}");
    let (stored, log) = (bench.stored(1).await, read(bench).await);
    assert_eq!((&stored.text, text_of(&stored.state)), (&author.text(), Ok(author.text())));
    assert_eq!((log.stored_seq, log.updates.len(), &log.base), (log.base_seq, 0, &stored.state));
    let shard = bench.archive.find_by_id(&bench.room).await.unwrap().unwrap();
    assert_eq!(shard.last_sync_timestamp, log.position.ts);
    report
}

#[tokio::test]
async fn while_the_archive_is_away_a_log_stays_short_and_afterwards_everything_is_stored() {
    let bench = Bench::new().await;
    let mut author = Author::of(&bench).await;
    let synced = async || bench.archive.find_by_id(&bench.room).await.unwrap().unwrap().last_sync_timestamp;
    let before = synced().await;
    author.replaces(&bench).await;
    let dirty = bench.store.dirty(&bench.room).await.unwrap().files;
    bench.archive.away.store(true, Relaxed);
    // Far more than a file may have.
    while author.round * PIECE < 2 * limits::FILE_BYTES {
        author.replaces(&bench).await;
        assert!(matches!(bench.flush().await, Err(FlushError::Archive(_))));
        assert!(log_bytes(&bench).await <= room::limits::LOG_BYTES, "after {} rounds", author.round);
    }
    assert_eq!(bench.store.dirty(&bench.room).await.unwrap().files, dirty, "dirty since its first change");
    let log = read(&bench).await;
    assert!(log.base_seq > 0 && log.stored_seq == 0);
    assert!(log.base.len() < 2 * PIECE, "what was replaced is gone: {}", log.base.len());
    // A room that is not stored does not go.
    assert_eq!(bench.store.leave(&bench.room, "o1", bench.epoch).await.unwrap(), Left::Dirty(vec![file(1)]));
    assert!(matches!(bench.store.join(&bench.room, "o1", LEASE).await.unwrap(), Joined::Ready(_)));
    assert_eq!((synced().await, &*bench.stored(1).await.text), (before, "one"));

    bench.archive.away.store(false, Relaxed);
    let report = flushed_clean(&bench, &author).await;
    assert_eq!(report.written.len(), 1);
}

#[tokio::test]
async fn a_short_log_is_left_alone_and_a_long_one_is_merged_once() {
    let bench = Bench::new().await;
    let mut author = Author::of(&bench).await;
    bench.archive.away.store(true, Relaxed);
    let base = async || read(&bench).await.base_ts;
    let first = base().await;
    while log_bytes(&bench).await + 2 * PIECE < room::limits::LOG_BYTES {
        author.replaces(&bench).await;
        bench.flush().await.unwrap_err();
        assert_eq!(base().await, first, "after {} rounds", author.round);
    }
    while log_bytes(&bench).await <= room::limits::LOG_BYTES {
        author.replaces(&bench).await;
    }
    bench.flush().await.unwrap_err();
    let compacted = base().await;
    assert!(compacted > first);
    author.replaces(&bench).await;
    bench.flush().await.unwrap_err();
    assert_eq!(base().await, compacted, "so little is not merged again");
}

#[tokio::test]
async fn the_log_of_a_file_that_cannot_be_written_is_compacted_and_others_are_stored() {
    let bench = Bench::new().await;
    let mut author = Author::of(&bench).await;
    for fails in [&bench.archive.failing, &bench.archive.refusing] {
        *fails.lock().unwrap() = Some(file(1));
        while log_bytes(&bench).await <= room::limits::LOG_BYTES {
            author.replaces(&bench).await;
        }
        bench.types(2, 7, "!").await;
        // Whether it is tried again soon or put aside.
        drop(bench.flush().await);
        assert!(log_bytes(&bench).await < PIECE);
        assert!(bench.is_dirty(1).await && !bench.is_dirty(2).await);
        *fails.lock().unwrap() = None;
    }
    *bench.now.lock().unwrap() += 3_600_000_000;
    flushed_clean(&bench, &author).await;
}

#[tokio::test]
async fn a_flush_whose_log_is_compacted_in_the_middle_of_it_stores_the_file_all_the_same() {
    let bench = Bench::new().await;
    let mut author = Author::of(&bench).await;
    author.replaces(&bench).await;
    author.replaces(&bench).await;
    let (store, room, epoch) = (bench.store.clone(), bench.room.clone(), bench.epoch);
    *bench.archive.before_save.lock().unwrap() = Some(Box::new(move || {
        Box::pin(async move {
            let log = store.read(&room, &file(1)).await.unwrap();
            let last = log.updates.last().unwrap().clone();
            let parts = std::iter::once(log.base).chain(log.updates.into_iter().map(|entry| entry.bytes));
            let state = load(parts, 9).transact().encode_state_as_update_v1(&StateVector::default()).into();
            let (read_base_ts, merged_ts, merged_seq) = (log.base_ts, last.ts, last.seq);
            let merged = FlushAck { file: file(1), read_base_ts, merged_ts, merged_seq, state };
            store.compact(&room, epoch, merged).await.unwrap();
        })
    }));
    flushed_clean(&bench, &author).await;
}

//! Everybody at once: what was answered is there, exactly once and in order.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use origin::store::{Base, Entry, FlushAck, Published, RoomLog, RoomStore, StoreError, Subscriptions};
use shared::{
    id::{FileId, RoomId},
    position::Epoch,
};
use tokio_util::task::TaskTracker;

use super::next;
use crate::{
    room_store_contract::setup::{any_room, base, batch, file, populate, update},
    support::redis::{open, shared_url, until},
};

const FILES: u8 = 3;

/// So many answers and flushes at least, however long that takes.
const ANSWERS: u64 = 1000;
const FLUSHES: u64 = 100;

/// Four origins append while three flushers replace the bases: base and log of each file are what was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bases_and_logs_stay_what_was_answered_while_flushers_race() {
    let url = shared_url().await;
    let room = any_room();
    let store = open(&url).store;
    let empty = |n| Base { state: Bytes::new(), ..base(n) };
    let epoch = populate(&*store, &room, (1..=FILES).map(empty).collect()).await.epoch;
    let mut heard = store.subscribe(&room).await.unwrap();
    let (tasks, counts) = (TaskTracker::new(), Arc::new(Counts::default()));
    let appenders: Vec<_> = (0..4_u64)
        .map(|n| tasks.spawn(append_on(open(&url).store, room.clone(), epoch, n, counts.clone())))
        .collect();
    let flushers: Vec<_> = (0..3)
        .map(|_| tasks.spawn(flush_on(open(&url).store, room.clone(), epoch, counts.clone())))
        .collect();
    let subscription = tasks.spawn(async move {
        let mut seqs = Vec::new();
        while let Some(Published::Changes(_, changes)) = next(&mut heard).await {
            let is_end = changes.iter().any(|entry| entry.bytes.is_empty());
            seqs.extend(changes.into_iter().map(|entry| entry.seq));
            if is_end {
                break;
            }
        }
        seqs
    });
    until(async || counts.answers.load(Relaxed) >= ANSWERS && counts.flushes.load(Relaxed) >= FLUSHES).await;
    counts.stop.store(true, Relaxed);
    let mut answered = Vec::new();
    for appender in appenders {
        answered.extend(appender.await.unwrap());
    }
    let (mut flushes, mut conflicts) = (0, 0);
    for flusher in flushers {
        let (done, missed) = flusher.await.unwrap();
        (flushes, conflicts) = (flushes + done, conflicts + missed);
    }
    answered.sort_unstable_by_key(|(seq, ..)| *seq);
    let seqs: Vec<u64> = answered.iter().map(|(seq, ..)| *seq).collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "without gaps");
    for n in 1..=FILES {
        let read = store.read(&room, &file(n)).await.unwrap();
        let log = read.updates.iter().flat_map(|entry| entry.bytes.to_vec());
        let held: Vec<u8> = read.base.iter().copied().chain(log).collect();
        let of_file = answered.iter().filter(|(_, of, _)| *of == file(n));
        let wanted: Vec<u8> = of_file.flat_map(|(.., text)| text.clone().into_bytes()).collect();
        assert_eq!(held, wanted, "file {n} after {flushes} flushes, {conflicts} conflicts");
        let dirty = store.dirty(&room).await.unwrap().files.iter().any(|(id, _)| *id == file(n));
        assert_eq!(dirty, !read.updates.is_empty());
    }
    let end = Entry { bytes: Bytes::new(), ..update(1, "") };
    store.append(&room, epoch, batch("end", 1, vec![end])).await.unwrap();
    let heard = subscription.await.unwrap();
    assert!(heard.iter().copied().eq(1..=seqs.len() as u64 + 1), "heard without gaps");
}

/// What has happened so far, and whether it is enough.
#[derive(Default)]
struct Counts {
    answers: AtomicU64,
    flushes: AtomicU64,
    stop: AtomicBool,
}

async fn append_on(
    store: Arc<impl RoomStore>,
    room: RoomId,
    epoch: Epoch,
    origin: u64,
    counts: Arc<Counts>,
) -> Vec<(u64, FileId, String)> {
    let mut answered = Vec::new();
    for number in 1.. {
        if counts.stop.load(Relaxed) {
            break;
        }
        let entries: Vec<Entry> = (0..=number % 3)
            .map(|k| {
                let text = format!("[{origin}.{number}.{k}]");
                let n = 1 + u8::try_from((origin + number + k) % u64::from(FILES)).unwrap();
                Entry { bytes: Bytes::from(text), ..update(n, "") }
            })
            .collect();
        let sent = batch(&format!("o{origin}"), number, entries.clone());
        let logged = store.append(&room, epoch, sent.clone()).await.unwrap();
        if number % 10 == 0 {
            assert_eq!(store.append(&room, epoch, sent).await.unwrap(), logged, "a repeat");
        }
        for (entry, place) in entries.into_iter().zip(logged) {
            let text = String::from_utf8(entry.bytes.to_vec()).unwrap();
            answered.push((place.seq, entry.file, text));
            counts.answers.fetch_add(1, Relaxed);
        }
    }
    answered
}

async fn flush_on(store: Arc<impl RoomStore>, room: RoomId, epoch: Epoch, counts: Arc<Counts>) -> (u64, u64) {
    let (mut flushes, mut conflicts) = (0, 0);
    while !counts.stop.load(Relaxed) {
        for (id, _) in store.dirty(&room).await.unwrap().files {
            let read = store.read(&room, &id).await.unwrap();
            let Some(last) = read.updates.last() else { continue };
            let log = read.updates.iter().flat_map(|entry| entry.bytes.to_vec());
            let ack = FlushAck {
                file: id,
                read_base_ts: read.base_ts,
                merged_ts: last.ts,
                merged_seq: last.seq,
                state: read.base.iter().copied().chain(log).collect::<Vec<u8>>().into(),
            };
            match store.ack(&room, epoch, ack).await {
                Ok(()) => {
                    flushes += 1;
                    counts.flushes.fetch_add(1, Relaxed);
                }
                Err(StoreError::Conflict) => conflicts += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    (flushes, conflicts)
}

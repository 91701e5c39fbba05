//! Flushes that others get into the way of, or that do not come to their end.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use origin::{
    archive::Archive,
    flush::runner::FlushRoom,
    store::{Catalog, Leases, Left, RoomLog},
};
use tokio::{sync::Semaphore, time::sleep};

use super::bench::Bench;
use crate::{
    room_store_contract::setup::{file, path},
    support::redis::until,
};

#[tokio::test]
async fn eight_files_of_a_room_are_written_at_a_time() {
    let bench = Bench::new().await;
    for n in 3..=20 {
        bench.store.claim(&bench.room, bench.epoch, &path(&format!("{n}.js")), &file(n)).await.unwrap();
    }
    let gate = Arc::new(Semaphore::new(0));
    *bench.archive.gate.lock().unwrap() = Some(gate.clone());
    let waiting = || bench.archive.waiting.load(Relaxed);
    let opens = async {
        until(async || waiting() >= 8).await;
        // More would have come by now.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(waiting(), 8);
        gate.close();
    };
    let (report, ()) = tokio::join!(bench.flush(), opens);
    assert_eq!(report.unwrap().written.len(), 18);
}

#[tokio::test]
async fn what_a_flush_has_written_is_counted_although_the_shard_cannot_be_settled() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    bench.archive.unsettled.store(true, Relaxed);
    let flushed = bench.flush().await;
    let error = flushed.unwrap_err();
    assert_eq!(error.report().map(|report| report.written.len()), Some(1), "{error:?}");
    assert_eq!(error.to_string(), "the shard's record: archive: no majority");

    bench.archive.unsettled.store(false, Relaxed);
    let cutoff = bench.store.dirty(&bench.room).await.unwrap().cutoff;
    bench.flush().await.unwrap();
    let shard = bench.archive.find_by_id(&bench.room).await.unwrap().unwrap();
    assert_eq!(shard.last_sync_timestamp, cutoff);
}

#[tokio::test]
async fn a_room_that_another_flush_has_ended_is_flushed() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    bench.types(2, 7, "!").await;
    let left = bench.store.leave(&bench.room, "o1", bench.epoch).await.unwrap();
    assert!(matches!(left, Left::Dirty(_)));
    let (other, room) = (bench.flusher(), bench.room.clone());
    *bench.archive.before_save.lock().unwrap() = Some(Box::new(move || {
        Box::pin(async move {
            other.flush(&room).await.unwrap();
        })
    }));
    let report = bench.flush().await.unwrap();
    assert!(report.clean && report.parked.is_empty());
    assert_eq!(bench.store.rooms().await.unwrap(), []);
    assert_eq!([bench.stored(1).await, bench.stored(2).await].map(|stored| stored.text), ["one!", "two!"]);
}

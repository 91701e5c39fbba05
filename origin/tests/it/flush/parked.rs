//! Files that cannot be flushed wait for their own time.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use origin::{
    flush::{
        FlushQueue, FlushSettings, JobState, embedded::EmbeddedQueue, runner::FlushRoom, sweep::Sweeper,
        threads::FlushThreads,
    },
    store::{Catalog, Leases},
};

use super::bench::{Bench, NOW, runner};
use crate::room_store_contract::setup::file;

#[tokio::test]
async fn a_file_that_the_archive_refuses_for_good_is_parked_and_tried_again_in_its_own_time() {
    let bench = Bench::new().await;
    *bench.archive.refusing.lock().unwrap() = Some(file(1));
    bench.types(1, 7, "!").await;
    bench.types(2, 7, "!").await;
    let saves = || bench.archive.saves.load(Relaxed);
    let report = bench.flush().await.unwrap();
    assert_eq!((report.written.len(), report.parked.len(), report.clean, saves()), (1, 1, false, 2));
    assert_eq!(
        (&report.parked[0].id, &*report.parked[0].reason),
        (&file(1), "the archive refuses it: too large")
    );

    bench.types(2, 7, "?").await;
    let report = bench.flush().await.unwrap();
    assert_eq!(
        (report.written.len(), report.parked.len(), saves()),
        (1, 1, 3),
        "it is not tried, and still told"
    );
    *bench.now.lock().unwrap() += 5_000_000;
    assert_eq!((bench.flush().await.unwrap().parked.len(), saves()), (1, 4));
    *bench.now.lock().unwrap() += 9_999_999;
    assert_eq!((bench.flush().await.unwrap().parked.len(), saves()), (1, 4), "twice as long");

    *bench.archive.refusing.lock().unwrap() = None;
    *bench.now.lock().unwrap() += 1;
    let report = bench.flush().await.unwrap();
    assert_eq!((report.written.len(), report.parked.len(), report.clean), (1, 0, true));
    assert_eq!((&*bench.stored(1).await.text, bench.parking.count()), ("one!", 0));
}

#[tokio::test]
async fn what_is_parked_alone_is_given_no_job_by_the_sweep() {
    let bench = Bench::new().await;
    bench.types(1, 7, "!").await;
    let queue = Arc::new(EmbeddedQueue::new(FlushSettings::default()));
    let flusher = bench.flusher();
    flusher.parking.park(&bench.room, &file(1), "broken", NOW);
    let threads = FlushThreads::start().unwrap();
    let sweeper = Sweeper {
        runner: runner(&flusher, &threads),
        flusher,
        queue: queue.clone(),
        at_once: 3,
        observe: Box::new(|_| {}),
    };
    assert_eq!(sweeper.sweep().await.unwrap().dirty, 1);
    assert_eq!(queue.job(&bench.room).await.unwrap(), None);
    bench.types(2, 7, "!").await;
    sweeper.sweep().await.unwrap();
    assert_eq!(queue.job(&bench.room).await.unwrap(), Some(JobState::Delayed));
}

#[tokio::test]
async fn a_file_that_another_process_has_flushed_is_parked_no_longer() {
    let bench = Bench::new().await;
    let (here, elsewhere) = (bench.flusher(), bench.flusher());
    let threads = FlushThreads::start().unwrap();
    let sweeper = Sweeper {
        runner: runner(&here, &threads),
        flusher: here.clone(),
        queue: Arc::new(EmbeddedQueue::new(FlushSettings::default())),
        at_once: 3,
        observe: Box::new(|_| {}),
    };
    bench.types(1, 7, "!").await;
    bench.types(2, 7, "!").await;
    for n in [1, 2] {
        here.parking.park(&bench.room, &file(n), "broken", NOW);
        elsewhere.parking.park(&bench.room, &file(2), "broken", NOW);
    }
    assert_eq!(sweeper.sweep().await.unwrap().parked, 2);
    elsewhere.flush(&bench.room).await.unwrap();
    assert_eq!(sweeper.sweep().await.unwrap().parked, 1, "the other is still dirty");

    elsewhere.parking.release(&bench.room, &file(2));
    bench.store.leave(&bench.room, "o1", bench.epoch).await.unwrap();
    elsewhere.flush(&bench.room).await.unwrap();
    assert_eq!(bench.store.rooms().await.unwrap(), []);
    assert_eq!(sweeper.sweep().await.unwrap().parked, 0, "the room is gone");
}

//! The part of the contract that is about what is known of a room beside its text.

use origin::store::{FailedFlush, Outcome, Source, Survey};

use super::*;

pub(super) async fn how_flushes_ended_is_kept_while_the_room_is_there(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let survey = async || store.survey(&room, &[file(1), file(2)]).await;
    let parked = Outcome::ended(Some(7), std::iter::once((file(1), "too large".to_owned())));
    assert!(matches!(survey().await, Err(StoreError::Cold)));
    assert!(matches!(store.record_flush_outcome(&room, parked.clone()).await, Err(StoreError::Cold)));
    let epoch = populate(&*store, &room, vec![base(1), base(2)]).await.epoch;
    assert_eq!(survey().await.unwrap().outcome, Outcome::default());
    store.record_flush_outcome(&room, parked.clone()).await.unwrap();
    assert_eq!(survey().await.unwrap().outcome, parked);
    store.record_flush_outcome(&room, Outcome::failed(9, "the archive is away")).await.unwrap();
    let failed = Some(FailedFlush { at: 9, reason: "the archive is away".to_owned() });
    assert_eq!(survey().await.unwrap().outcome, Outcome { failed: failed.clone(), ..parked });
    store.record_flush_outcome(&room, Outcome::ended(Some(11), std::iter::empty())).await.unwrap();
    let last = Outcome { flushed_at: Some(11), failed, parked: Some(vec![]) };
    assert_eq!(survey().await.unwrap().outcome, last);

    assert_eq!(store.leave(&room, "o1", epoch).await.unwrap(), Left::Gone);
    assert!(matches!(survey().await, Err(StoreError::Cold)));
    populate(&*store, &room, vec![base(1)]).await;
    assert_eq!(survey().await.unwrap().outcome, Outcome::default(), "nothing of its former life");
}

pub(super) async fn logs_are_measured_and_are_small_again_after_a_flush(store: Arc<dyn RoomStore>) {
    const LARGE: usize = 100_000;
    let (room, text) = (any_room(), Bytes::from(vec![b'x'; LARGE]));
    let epoch = populate(&*store, &room, vec![base(1), base(2)]).await.epoch;
    let bytes = async || store.survey(&room, &[file(1), file(2)]).await.unwrap().log_bytes;
    let large = || Entry::new(file(2), Source::default(), text.clone());
    assert!(bytes().await < 1000);
    let logged = store.append(&room, epoch, batch("o1", 1, vec![update(1, "x"), large()])).await.unwrap();
    let size = LARGE as u64;
    assert!((size..2 * size).contains(&bytes().await), "{}", bytes().await);
    let (log, last) = (store.read(&room, &file(2)).await.unwrap(), logged[1]);
    let ack = FlushAck {
        file: file(2),
        read_base_ts: log.base_ts,
        merged_ts: last.ts,
        merged_seq: last.seq,
        state: text.clone(),
    };
    store.ack(&room, epoch, ack).await.unwrap();
    assert!(bytes().await < size / 10, "{}", bytes().await);
}

pub(super) async fn a_deletion_that_was_left_is_kept_in_mind(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let survey = async || store.survey(&room, &[]).await.unwrap();
    store.seal(&room, LEASE).await.unwrap();
    store.seal(&room, Duration::ZERO).await.unwrap();
    populate(&*store, &room, vec![base(1)]).await;
    assert!(!survey().await.deletion_left, "it was of another life");
    store.seal(&room, LEASE).await.unwrap();
    assert!(!survey().await.deletion_left, "it is under way");
    store.seal(&room, Duration::from_millis(1)).await.unwrap();
    let ended = async { while !survey().await.deletion_left {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the seal has ended");
    assert!(matches!(store.join(&room, "o2", LEASE).await.unwrap(), Joined::Ready(_)));
    assert!(survey().await.deletion_left, "whoever comes");
    store.seal(&room, Duration::ZERO).await.unwrap();
    assert!(!survey().await.deletion_left, "it was taken back");
    store.seal(&room, Duration::from_millis(1)).await.unwrap();
    store.erase(&room).await.unwrap();
    populate(&*store, &room, vec![base(1)]).await;
    assert_eq!(survey().await, Survey { log_bytes: survey().await.log_bytes, ..Survey::default() });
}

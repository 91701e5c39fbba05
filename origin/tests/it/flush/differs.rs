//! A flush writes nothing that reads back as something else.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use origin::{
    archive::{Archive, FileWrite},
    project::text::state_of,
    store::RoomLog,
};

use super::bench::{Bench, NOW, change};
use crate::room_store_contract::setup::{batch, file};

fn unhex(text: &str) -> Bytes {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect::<Vec<_>>().into()
}

/// What is logged of a file stays as it is, and so does what is stored.
async fn assert_parked(bench: &Bench, why: &str) {
    let before = bench.store.read(&bench.room, &file(1)).await.unwrap();
    let stored = bench.stored(1).await;
    let report = bench.flush().await.unwrap();
    let [parked] = &report.parked[..] else { panic!("{report:?}") };
    assert!(parked.reason.contains(why), "{}", parked.reason);
    assert_eq!(bench.parking.count(), 1, "operators see it");
    assert_eq!(bench.store.read(&bench.room, &file(1)).await.unwrap(), before);
    assert_eq!(bench.stored(1).await, stored);
}

#[tokio::test]
async fn a_state_that_reads_back_as_another_text_is_parked_and_nothing_is_written() {
    let bench = Bench::new().await;
    // As they may have been logged before the gate knew of them: the right neighbour is the left one.
    let updates = ["01010900040107636f6e74656e7408616263646566676800", "01010a00c409040901015800"];
    let changes = updates.map(|update| change(1, unhex(update)));
    bench.store.append(&bench.room, bench.epoch, batch("o1", 1, changes.into())).await.unwrap();
    assert_parked(&bench, "another text").await;
    assert_eq!(bench.archive.saves.load(Relaxed), 0);
}

#[tokio::test]
async fn a_state_that_contradicts_what_is_stored_is_parked_and_nothing_is_overwritten() {
    let bench = Bench::new().await;
    // Somebody has stored text under the clocks under which the room has logged another one.
    let (ours, theirs) = (state_of("ours", 7), state_of("theirs", 7));
    bench.store.append(&bench.room, bench.epoch, batch("o1", 1, vec![change(1, ours)])).await.unwrap();
    let stored = bench.stored(1).await;
    let write = FileWrite {
        id: file(1),
        path: stored.path.clone(),
        text: "theirs".to_owned(),
        state: theirs,
        ts: stored.ts,
        seq: 0,
        eol: stored.eol,
        making: None,
        write_id: "theirs".to_owned(),
        now: NOW,
    };
    bench.archive.save_file(&bench.room, Some(stored.version), write).await.unwrap();
    let saves = bench.archive.saves.load(Relaxed);
    assert_parked(&bench, "do not fit together").await;
    assert_eq!(bench.archive.saves.load(Relaxed), saves);
}

#[tokio::test]
async fn what_only_the_archive_has_is_logged_and_stored_with_the_rest() {
    let bench = Bench::new().await;
    let stored = bench.stored(1).await;
    let whole = state_of("stored", 7);
    let write = FileWrite {
        id: file(1),
        path: stored.path.clone(),
        text: "stored".to_owned(),
        state: whole.clone(),
        ts: stored.ts,
        seq: 0,
        eol: stored.eol,
        making: None,
        write_id: "other".to_owned(),
        now: NOW,
    };
    bench.archive.save_file(&bench.room, Some(stored.version), write).await.unwrap();
    bench.types(1, 11, "!").await;
    let report = bench.flush().await.unwrap();
    assert_eq!((report.parked.len(), report.clean), (0, true));
    assert!(bench.stored(1).await.text.contains("stored"));
}

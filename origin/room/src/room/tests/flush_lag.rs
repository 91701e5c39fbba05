//! What members of a room are told about the archive.

use bytes::Bytes;
use shared::{
    Millis,
    id::FileId,
    position::{Epoch, Position},
    wire::link::OriginMessage,
};

use crate::{
    Effect, LinkId, Room,
    log::{LogEntry, Source},
    store::{Dirty, Published, StoreError},
};

const EPOCH: Epoch = Epoch(3);
const BEHIND: Millis = 20_000;

fn file(n: u8) -> FileId {
    FileId::from_random(u128::from(n))
}

/// What is dirty, each file since this millisecond; the list was made at the millisecond `cutoff`.
fn dirty(cutoff: Millis, files: &[(u8, Millis)]) -> Result<Dirty, StoreError> {
    let files = files.iter().map(|(n, since)| (file(*n), since * 1000)).collect();
    Ok(Dirty { epoch: EPOCH, cutoff: cutoff * 1000, files })
}

/// A room with one link, in which this was dirty.
fn room(files: &[(u8, Millis)]) -> Room {
    let mut room = Room::new(super::settings(BEHIND));
    room.attach(LinkId(1));
    room.begin(Position { epoch: EPOCH, seq: 0, ts: 0 }, vec![], 0, String::new());
    assert!(asks(&mut room));
    room.dirty_read(dirty(0, files), 0);
    room
}

/// Another change of the file is logged, at this time.
fn logs(room: &mut Room, n: u8, now: Millis) {
    let (seq, bytes) = (room.position().seq + 1, Bytes::from_static(&[0, 0]));
    let entry = LogEntry { file: file(n), seq, ts: now * 1000, source: Source::default(), bytes };
    room.published(Published::Changes(EPOCH, vec![entry]), now);
}

fn stores(room: &mut Room, n: u8, seq: u64, now: Millis) {
    let stored = serde_json::json!({ "id": file(n), "path": "a.js", "seq": seq, "at": 1 });
    let note = serde_json::json!({ "type": "stored", "epoch": EPOCH, "files": [stored] });
    room.published(Published::Note(note.to_string().into()), now);
}

/// Whether the room store is asked what is dirty.
fn asks(room: &mut Room) -> bool {
    std::mem::take(&mut room.effects).contains(&Effect::Dirty)
}

/// What members were told, and what they are told at `now` by a store that answers so.
fn told(room: &mut Room, now: Millis, answer: Result<Dirty, StoreError>) -> Vec<String> {
    room.tick(now);
    if asks(room) {
        room.dirty_read(answer, now);
    }
    let messages = room.effects().into_iter().filter_map(|effect| match effect {
        Effect::ToHub(_, messages) => Some(messages),
        _ => None,
    });
    let events = messages.flatten().filter_map(|message| match message {
        OriginMessage::Event { json, .. } => serde_json::from_slice::<serde_json::Value>(&json).ok(),
        _ => None,
    });
    let states = events.filter_map(|event| event["state"].as_str().map(str::to_owned));
    states.collect()
}

#[test]
fn members_are_told_that_the_archive_is_behind_again_and_when_it_has_caught_up() {
    let mut room = room(&[]);
    logs(&mut room, 1, 100);
    logs(&mut room, 1, 200);
    let waits = || dirty(200, &[(1, 100)]);
    assert!(told(&mut room, 100 + BEHIND - 1, waits()).is_empty());
    assert_eq!(told(&mut room, 100 + BEHIND, waits()), ["behind"]);
    assert!(told(&mut room, 100 + 2 * BEHIND - 1, waits()).is_empty());
    assert_eq!(told(&mut room, 100 + 2 * BEHIND, waits()), ["behind"]);
    stores(&mut room, 1, 2, 100 + 2 * BEHIND);
    assert_eq!(told(&mut room, 100 + 2 * BEHIND, waits()), ["caught-up"]);
    assert_eq!((room.unflushed_since(), room.next_tick()), (None, None));
}

#[test]
fn a_note_that_was_not_heard_is_no_alarm() {
    let mut room = room(&[]);
    logs(&mut room, 1, 100);
    logs(&mut room, 2, 300);
    assert!(room.holds_unflushed());
    assert!(told(&mut room, 100 + BEHIND, dirty(300, &[(2, 300)])).is_empty());
    assert_eq!(room.unflushed_since(), Some(300));
    assert!(told(&mut room, 300 + BEHIND, dirty(300, &[])).is_empty());
    assert_eq!(room.unflushed_since(), None);
    assert!(!room.holds_unflushed());
}

#[test]
fn a_list_that_is_older_than_a_change_says_nothing_of_it() {
    let mut room = room(&[]);
    logs(&mut room, 1, 100);
    assert_eq!(told(&mut room, 100 + BEHIND, dirty(99, &[])), ["behind"]);
}

#[test]
fn what_was_dirty_before_is_waited_for() {
    let mut room = room(&[(1, 7)]);
    assert_eq!(room.unflushed_since(), Some(7));
    assert_eq!(told(&mut room, 7 + BEHIND, dirty(7, &[(1, 7)])), ["behind"]);
    stores(&mut room, 1, 0, 7 + BEHIND);
    assert_eq!(told(&mut room, 7 + BEHIND, dirty(7, &[])), ["caught-up"]);
}

#[test]
fn a_store_that_does_not_say_has_stored_nothing() {
    let mut room = room(&[]);
    logs(&mut room, 1, 100);
    assert_eq!(told(&mut room, 100 + BEHIND, Err(StoreError::Cold)), ["behind"]);
}

#[test]
fn a_note_may_come_before_the_change_and_before_the_list() {
    let mut room = room(&[]);
    stores(&mut room, 1, 1, 50);
    logs(&mut room, 1, 100);
    assert_eq!(room.unflushed_since(), None);
    room.dirty_read(dirty(40, &[(1, 40)]), 100);
    assert_eq!(room.unflushed_since(), None);
}

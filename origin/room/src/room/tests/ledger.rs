//! What the ledger keeps of a room.

use bytes::Bytes;
use shared::{
    id::{FileId, FilePath},
    position::{Epoch, Position},
};

use crate::{
    Room,
    log::{FileLog, LogEntry, Source},
    store::{Published, empty_base},
    text::state_of,
};

const EPOCH: Epoch = Epoch(3);

fn file(n: u8) -> FileId {
    FileId::from_random(u128::from(n))
}

/// A room with two files, of which the first is in memory.
fn room() -> Room {
    let mut room = Room::new(super::settings(60_000));
    let path = |n: u8| FilePath::parse(&format!("{n}.js")).unwrap();
    let position = Position { epoch: EPOCH, seq: 0, ts: 1 };
    room.begin(position, vec![(file(1), path(1)), (file(2), path(2))], 0, String::new());
    let log = FileLog {
        position,
        path: path(1),
        base_ts: 1,
        base_seq: 0,
        stored_seq: 0,
        base: empty_base(),
        updates: vec![],
    };
    room.file_read(&file(1), Ok(log), 0);
    room
}

fn logs(room: &mut Room, n: u8, bytes: Bytes) {
    let seq = room.position().seq + 1;
    let entry = LogEntry { file: file(n), seq, ts: seq, source: Source::default(), bytes };
    room.published(Published::Changes(EPOCH, vec![entry]), 0);
}

#[test]
fn beyond_the_bound_the_state_of_a_file_is_kept_or_else_what_is_largest_is_given_up() {
    let mut room = room();
    let large = state_of(&"x".repeat(1 << 20), 7);
    logs(&mut room, 2, state_of("small", 8));
    // The same again and again: its state is a fraction of what led to it.
    for _ in 0..40 {
        logs(&mut room, 1, large.clone());
    }
    assert!(room.epoch.ledger.copied_bytes() < crate::limits::UNFLUSHED_BYTES);
    let kept = |room: &Room, n| kept(room, n).len();
    assert!((1..40).contains(&kept(&room, 1)), "{}", kept(&room, 1));
    // Nobody has this one open here.
    for client in 10..50 {
        logs(&mut room, 2, state_of(&"x".repeat(1 << 20), client));
    }
    assert!(room.epoch.ledger.copied_bytes() < crate::limits::UNFLUSHED_BYTES);
    assert!(kept(&room, 1) > 0 && kept(&room, 2) < 40);
}

fn kept(room: &Room, n: u8) -> Vec<(u64, Bytes)> {
    room.epoch.ledger.copies_of(&file(n))
}

#[test]
fn a_base_that_the_archive_lacks_is_kept_until_it_is_stored() {
    let mut room = room();
    for client in 10..14 {
        logs(&mut room, 1, state_of("x", client));
    }
    let (position, base) = (room.position(), state_of("compacted", 7));
    let path = FilePath::parse("2.js").unwrap();
    let read = |stored_seq| {
        let (base, path) = (base.clone(), path.clone());
        FileLog { position, path, base_ts: 3, base_seq: 3, stored_seq, base, updates: vec![] }
    };
    room.file_read(&file(2), Ok(read(3)), 0);
    assert_eq!(kept(&room, 2), [], "it is stored");
    room.file_read(&file(2), Ok(read(1)), 0);
    room.file_read(&file(2), Ok(read(1)), 0);
    assert_eq!(kept(&room, 2), [(3, base.clone())], "twice is once");
    let stored = |seq: u64| {
        let stored = serde_json::json!({ "id": file(2), "path": "2.js", "seq": seq, "at": 1 });
        let note = serde_json::json!({ "type": "stored", "epoch": EPOCH, "files": [stored] });
        Published::Note(note.to_string().into())
    };
    room.published(stored(2), 0);
    assert_eq!(kept(&room, 2).len(), 1, "not all of it");
    room.published(stored(3), 0);
    assert_eq!(kept(&room, 2), []);
    room.file_read(&file(2), Ok(read(1)), 0);
    assert_eq!(kept(&room, 2), [], "it was read before it was stored");
}

#[test]
fn many_updates_of_a_file_that_leaves_memory_become_its_state() {
    let mut room = room();
    let large = state_of(&"x".repeat(1 << 20), 7);
    for _ in 0..2 {
        logs(&mut room, 1, large.clone());
    }
    room.epoch.release(&file(1));
    let [(seq, state)] = &kept(&room, 1)[..] else { panic!("not condensed") };
    assert_eq!((*seq, state.len()), (2, large.len()));
    logs(&mut room, 1, state_of("small", 8));
    room.epoch.release(&file(1));
    assert_eq!(kept(&room, 1).len(), 2, "so little is left as it is");
}

//! What the parts of a room do together.

mod flush_lag;
mod ledger;

use bytes::Bytes;
use shared::{
    Millis,
    id::{FileId, FilePath},
    position::{Epoch, Position},
};

use crate::{Room, Settings, log::FileLog, store::empty_base};

/// A room that others can have open too; a change may wait so long for the archive.
fn settings(behind: Millis) -> Settings {
    Settings {
        origin: "o".to_owned(),
        create_on_open: true,
        shared: true,
        owned: true,
        confirm: false,
        behind,
    }
}

#[test]
fn a_file_with_text_in_impossible_places_opens_and_is_counted() {
    let mut room = Room::new(Settings { shared: false, ..settings(60_000) });
    let position = Position { epoch: Epoch(3), seq: 0, ts: 1 };
    let path = |name| FilePath::parse(name).unwrap();
    let files = [
        ("whole.js", empty_base()),
        // Garbage: text that was deleted with what it stood in, which a text never was.
        ("odd.js", Bytes::from_static(&[1, 1, 9, 0, 0, 3, 0])),
    ];
    let ids = [1, 2].map(FileId::from_random);
    let names = ids.iter().cloned().zip(files.iter().map(|(name, _)| path(name))).collect();
    room.begin(position, names, 0, String::new());
    for (id, (name, base)) in ids.iter().zip(files) {
        let log = FileLog {
            position,
            path: path(name),
            base_ts: 1,
            base_seq: 0,
            stored_seq: 0,
            base,
            updates: vec![],
        };
        room.file_read(id, Ok(log), 0);
        assert!(room.epoch.documents.has(id, false));
    }
    assert_eq!(room.counts().unchecked, 1);
}

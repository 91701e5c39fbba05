//! Rooms, files and batches as short words.

use std::time::Duration;

use bytes::Bytes;
use origin::store::{Base, Batch, Entry, Joined, LogEntry, RoomStore, Source, empty_base};
use shared::{
    id::{FileId, FilePath, RoomId},
    position::Position,
};

/// A lease that no test outlives.
pub(crate) const LEASE: Duration = Duration::from_secs(3600);

/// A room that no other test uses.
pub(crate) fn any_room() -> RoomId {
    RoomId::parse(&format!("room-{:016x}", rand::random::<u64>())).unwrap()
}

/// A file id.
pub(crate) fn file(n: u8) -> FileId {
    FileId::parse(&format!("f_{n:016}")).unwrap()
}

/// A path.
pub(crate) fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

/// An empty file `n.js`.
pub(crate) fn base(n: u8) -> Base {
    Base { file: file(n), path: path(&format!("{n}.js")), state: empty_base() }
}

/// Joins as `o1`, loads the room and opens it.
pub(crate) async fn populate(store: &dyn RoomStore, room: &RoomId, bases: Vec<Base>) -> Position {
    let Joined::Load(token) = store.join(room, "o1", LEASE).await.unwrap() else { panic!("not the loader") };
    store.commit(room, &token, bases, 0).await.unwrap()
}

/// A change of a file, of no hub.
pub(crate) fn update(n: u8, bytes: &'static str) -> Entry {
    Entry::new(file(n), Source::default(), Bytes::from_static(bytes.as_bytes()))
}

/// An event that `hub` counts as `hub_seq`.
pub(crate) fn event(hub: &str, hub_seq: u64) -> Entry {
    let source = Source { hub: hub.to_owned(), hub_seq, channel: 0 };
    Entry::new(FileId::room(), source, Bytes::from(format!("{hub}{hub_seq}")))
}

/// A batch.
pub(crate) fn batch(origin: &str, number: u64, entries: Vec<Entry>) -> Batch {
    Batch { origin: origin.to_owned(), number, entries }
}

/// What entries say.
pub(crate) fn texts(entries: &[LogEntry]) -> Vec<&str> {
    entries.iter().map(|entry| std::str::from_utf8(&entry.bytes).unwrap()).collect()
}

/// The room's last seq.
pub(crate) async fn seq_now(store: &dyn RoomStore, room: &RoomId) -> u64 {
    store.read(room, &FileId::room()).await.unwrap().position.seq
}

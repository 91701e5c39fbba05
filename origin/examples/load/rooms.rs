//! Rooms in Redis as an origin has them: a store with its connections, and rooms of one file that are populated.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use origin::{
    connections::Connections,
    room_store::{
        Base, Entry, Joined, LoaderToken, Published, RoomStore, Source, empty_base,
        redis::{RedisSettings, RedisStore},
    },
};
use shared::{
    id::{FileId, FilePath, RoomId},
    position::Epoch,
};
use tokio::sync::mpsc;

/// Who has the rooms open.
pub(crate) const ORIGIN: &str = "bench";
/// Longer than any load.
const LEASE: Duration = Duration::from_secs(600);
/// Longer than the default: a busy machine is to make the load slow, not to end it.
const DEADLINE: Duration = Duration::from_secs(20);
const PROBE: Duration = Duration::from_secs(5);

/// A room with one file, and what is heard of it.
pub(crate) struct Stored {
    pub(crate) id: RoomId,
    pub(crate) file: FileId,
    pub(crate) epoch: Epoch,
    pub(crate) heard: mpsc::Receiver<Published>,
}

/// A store with the connections of an origin.
pub(crate) fn connect(url: &str) -> Result<(Arc<RedisStore>, Connections)> {
    let connections = Connections::new();
    let settings = RedisSettings {
        url: url.to_owned().into(),
        deadline: DEADLINE,
        replica: false,
        probe: PROBE,
        fault: None,
    };
    Ok((RedisStore::connect(settings, &connections)?, connections))
}

/// Populates a room with one empty file.
pub(crate) async fn open(store: &RedisStore, name: &str) -> Result<Stored> {
    let id = RoomId::parse(name)?;
    let file = file(1)?;
    let heard = store.subscribe(&id).await?;
    let token = load(store, &id).await?;
    let base = Base { file: file.clone(), path: FilePath::parse("main.txt")?, state: empty_base() };
    let epoch = store.commit(&id, &token, vec![base], 0).await?.epoch;
    Ok(Stored { id, file, epoch, heard })
}

/// Becomes the loader of a room that is not there yet.
pub(crate) async fn load(store: &RedisStore, room: &RoomId) -> Result<LoaderToken> {
    match store.join(room, ORIGIN, LEASE).await? {
        Joined::Load(token) => Ok(token),
        other => bail!("{room} is not new: {other:?}"),
    }
}

/// The room's last seq.
pub(crate) async fn seq(store: &RedisStore, room: &RoomId) -> Result<u64> {
    match store.join(room, ORIGIN, LEASE).await? {
        Joined::Ready(position) => Ok(position.seq),
        other => bail!("{room} is gone: {other:?}"),
    }
}

/// The nth file of any room.
pub(crate) fn file(nth: u128) -> Result<FileId> {
    FileId::parse(FileId::from_random(nth).as_str()).context("making a file id")
}

/// A keystroke of a member, the `number`th change of its hub.
pub(crate) fn entry(file: &FileId, bytes: Bytes, number: u64) -> Entry {
    let source = Source { hub: format!("direct~{ORIGIN}"), hub_seq: number, channel: number % 5 + 1 };
    Entry { file: file.clone(), source, bytes }
}

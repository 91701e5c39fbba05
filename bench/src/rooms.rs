//! Rooms in Redis as an origin has them: a store with its connections, and rooms of one file that are populated.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use origin::{
    archive::{Archive, Eol, FileWrite, NewShard},
    clock,
    connections::Connections,
    project::shards::{Draft, draw_up},
    store::{
        Base, Entry, Joined, Leases, LoaderToken, Published, Source, Subscriptions, empty_base,
        redis::{RedisSettings, RedisStore},
    },
};
use shared::{
    id::{FileId, FilePath, RoomId},
    position::Epoch,
};
use tokio::sync::mpsc;

use crate::client;

/// Who has the rooms open.
pub(crate) const ORIGIN: &str = "bench";
/// Longer than any load.
const LEASE: Duration = Duration::from_secs(600);
/// Longer than the default: a busy machine is to make the load slow, not to end it.
const DEADLINE: Duration = Duration::from_secs(20);
const PROBE: Duration = Duration::from_secs(5);
/// Fifty bytes of a text.
const LINE: &str = "let total = price * count + shipping; // in cents\n";

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

/// Makes a shard of so many files: the one that clients open first, then others, each with as many thousand bytes of
/// text. The answer is what populates its room.
pub(crate) async fn shard(
    archive: &dyn Archive,
    name: &str,
    files: usize,
    kilobytes: usize,
) -> Result<Vec<Base>> {
    let text = LINE.repeat(kilobytes * 1000 / LINE.len());
    let paths = (1..files).map(|nth| format!("src/{nth}.txt"));
    let paths = std::iter::once(client::FILE.to_owned()).chain(paths);
    let files = paths.map(|path| (path, text.clone())).collect();
    let draft = Draft { id: Some(name.to_owned()), files, ..Draft::default() };
    let shard = draw_up(draft, clock::now_us()).map_err(|refusal| anyhow!("{name}: {refusal:?}"))?;
    let base =
        |file: &FileWrite| Base { file: file.id.clone(), path: file.path.clone(), state: file.state.clone() };
    let bases = shard.files.iter().map(base).collect();
    archive.create(shard).await?;
    Ok(bases)
}

/// Makes a shard of one file with this text and state. The answer is what populates its room.
pub(crate) async fn shard_of(archive: &dyn Archive, name: &str, text: String, state: Bytes) -> Result<Base> {
    let (id, path) = (file(1)?, FilePath::parse(client::FILE)?);
    let base = Base { file: id.clone(), path: path.clone(), state: state.clone() };
    let now = clock::now_us();
    let write_id = "the first".to_owned();
    let (ts, seq, eol, making) = (now, 0, Eol::Lf, None);
    let file = FileWrite { id, path, text, state, ts, seq, eol, making, write_id, now };
    let (title, template, files) = (String::new(), None, vec![file]);
    archive.create(NewShard { id: RoomId::parse(name)?, title, template, files, now }).await?;
    Ok(base)
}

/// Populates a room with one empty file.
pub(crate) async fn open(store: &RedisStore, name: &str) -> Result<Stored> {
    let id = RoomId::parse(name)?;
    let file = file(1)?;
    let heard = store.subscribe(&id).await?;
    let token = load(store, &id).await?;
    let base = Base { file: file.clone(), path: FilePath::parse(client::FILE)?, state: empty_base() };
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
    Entry::new(file.clone(), source, bytes)
}

//! The room store that several origins share: Redis, or a Redis Cluster.
//!
//! Promise: what must be atomic is one script (`lua/`), its reply is the acknowledgement, and a call without an
//! answer within the deadline fails with an unknown outcome. What others log is heard over pub/sub, and whoever
//! may have missed something is told so (`subscriber.rs`). How lasting an answer is, is up to the server's
//! configuration: append-only file, `noeviction`.

mod keys;
mod script;
mod record;
mod reply;
mod populate;
mod rebase;
mod listing;
mod survey;
mod sweep;
mod listener;
mod subscriber;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;
use shared::{
    id::{FileId, FilePath, RoomId},
    limits,
    position::{Epoch, Position},
};
use tokio::sync::mpsc;

use self::{
    keys::Keys,
    record::{damaged, file_id, read_answers, write_extensions, write_note, write_record},
    reply::Reply,
    script::Call,
    subscriber::Subscriber,
};
use super::{
    Backfill, Base, Batch, Claimed, Dirty, Entry, FileLog, FlushAck, Joined, LOADER_LEASE, Left, Listed,
    ListedMember, LoaderToken, Logged, Outcome, Published, RoomStore, Source, StoreError, Survey,
    created_event, empty_base,
};
use crate::{
    connections::{Connections, Purpose},
    redis::{Address, Endpoint, Fault, PubSub, RedisConnection},
};

/// Records of this size and above are published as a reference; receivers read them from the log.
const REFERENCE_BYTES: u64 = 64 << 10;
/// How often a room's files may change while a call names them.
const TRIES: usize = 20;

/// How to reach Redis.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://`, `rediss://`, or `redis+cluster://host,host`, with user and password.
    pub url: secrecy::SecretString,
    /// How long a call may take until its outcome counts as unknown.
    pub deadline: Duration,
    /// Whether an append is acknowledged only once a replica has it too.
    pub replica: bool,
    /// How often an idle connection is tried out. A room that is quiet for twice as long is looked after.
    pub probe: Duration,
    /// Drops published messages before they are heard: for tests.
    pub fault: Option<Fault>,
}

/// Rooms in Redis.
pub struct RedisStore {
    commands: RedisConnection,
    bulk: RedisConnection,
    /// Where appends go that wait for a replica, and for how long: whatever else is behind them waits too.
    replicated: Option<(RedisConnection, Duration)>,
    subscriber: Subscriber,
    publish: &'static str,
}

impl RedisStore {
    /// Starts to connect and answers at once: while Redis is away, calls fail by their deadline.
    /// An address that is none is refused. Needs a running tokio runtime.
    pub fn connect(settings: RedisSettings, connections: &Connections) -> anyhow::Result<Arc<Self>> {
        let RedisSettings { url, deadline, replica, probe, fault } = settings;
        let address = Address::parse(secrecy::ExposeSecret::expose_secret(&url))?;
        let publish = if matches!(address, Address::Cluster(..)) { "SPUBLISH" } else { "PUBLISH" };
        let endpoint = Endpoint { address, deadline, probe };
        let connect = |name: &str, purpose| -> anyhow::Result<_> {
            Ok(RedisConnection::start(&endpoint, connections.enter(name, purpose)?, connections))
        };
        let commands = connect("redis-commands", Purpose::Commands)?;
        let bulk = connect("redis-bulk", Purpose::Bulk)?;
        let replicated = match replica {
            true => Some((connect("redis-appends", Purpose::Commands)?, deadline / 2)),
            false => None,
        };
        let subscriber = Subscriber {
            pubsub: PubSub::start(&endpoint, fault, &commands, connections)?,
            commands: commands.clone(),
            bulk: bulk.clone(),
            deadline,
            silence: probe * 2,
            tracker: connections.tracker().clone(),
        };
        Ok(Arc::new(Self { commands, bulk, replicated, subscriber, publish }))
    }

    /// A call that ends with the publish command and the room's channel.
    fn publishing(&self, call: Call, keys: &Keys) -> Call {
        call.text(self.publish).text(keys.channel())
    }
}

#[async_trait]
impl RoomStore for RedisStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn confirms_by_append(&self) -> bool {
        self.replicated.is_some()
    }

    async fn join(&self, room: &RoomId, origin: &str, lease: Duration) -> Result<Joined, StoreError> {
        self.touch(room).await?;
        let keys = Keys::new(room);
        let token = LoaderToken(format!("{origin}-{:032x}", rand::random::<u128>()));
        let call = script::JOIN.call().key(keys.meta()).key(keys.members()).key(keys.listed());
        let call = call.key(keys.seal()).text(origin);
        let call = call.number(micros(lease)).text(&*token.0).number(micros(LOADER_LEASE));
        let call = self.publishing(call.number(populate::ABANDONED_AFTER_MS), &keys);
        let mut reply = Reply::new(call.run(&self.commands).await?)?;
        match reply.take::<String>()?.as_str() {
            "READY" => Ok(Joined::Ready(reply.position()?)),
            "WAIT" => Ok(Joined::Wait(Duration::from_micros(reply.take()?))),
            "LOAD" => Ok(Joined::Load(token)),
            other => Err(damaged(other)),
        }
    }

    async fn commit(
        &self,
        room: &RoomId,
        loader: &LoaderToken,
        bases: Vec<Base>,
        not_before: u64,
    ) -> Result<Position, StoreError> {
        self.populate(room, loader, bases, not_before).await
    }

    async fn append(&self, room: &RoomId, epoch: Epoch, batch: Batch) -> Result<Vec<Logged>, StoreError> {
        let keys = Keys::new(room);
        let mut files: Vec<&FileId> = Vec::new();
        let mut logs = Vec::with_capacity(batch.entries.len());
        for entry in &batch.entries {
            logs.push(if entry.file.is_room() {
                EVENTS_KEY
            } else {
                let known = files.iter().position(|file| **file == entry.file);
                EVENTS_KEY
                    + 1
                    + known.unwrap_or_else(|| {
                        files.push(&entry.file);
                        files.len() - 1
                    })
            });
        }
        let call = script::APPEND.call().key(keys.meta()).key(keys.origins()).key(keys.files());
        let call = call.key(keys.dirty()).key(keys.log(&FileId::room()));
        let call = call.keys(files.iter().map(|file| keys.log(file))).number(epoch.0).run_id();
        let call = call.text(&*batch.origin).number(batch.number);
        let call = call.number(limits::ROOM_EVENTS as u64).number(REFERENCE_BYTES);
        let mut call = self.publishing(call, &keys);
        for file in files {
            call = call.text(file.as_str());
        }
        for (entry, log) in batch.entries.iter().zip(logs) {
            call = call.number(log as u64).bytes(write_record(entry));
            call = if log == EVENTS_KEY {
                call.text(&*entry.source.hub).number(entry.source.hub_seq)
            } else {
                call.text(&*entry.author).bytes(write_extensions(&entry.extensions))
            };
        }
        let answer = match &self.replicated {
            Some((connection, patience)) => call.run_replicated(connection, *patience).await?,
            None => call.run(&self.commands).await?,
        };
        match answer {
            Value::BulkString(answers) => read_answers(&answers),
            _ => Err(damaged("the answers of an append")),
        }
    }

    async fn read(&self, room: &RoomId, file: &FileId) -> Result<FileLog, StoreError> {
        let keys = Keys::new(room);
        let call = script::READ.call().key(keys.meta()).key(keys.log(file));
        let call = if file.is_room() { call } else { call.key(keys.base(file)) };
        let mut reply = Reply::new(call.run(&self.bulk).await?)?;
        let position = reply.position()?;
        let path = FilePath::parse(&reply.take::<String>()?).map_err(damaged)?;
        let (base_ts, base_seq, stored_seq) = (reply.take()?, reply.take()?, reply.take()?);
        let base = Bytes::from(reply.take::<Vec<u8>>()?);
        let base = if file.is_room() { empty_base() } else { base };
        let mut updates = reply.entries(file)?;
        // Of a batch that was merged in part, all is still there.
        updates.retain(|update| update.ts > base_ts);
        Ok(FileLog { position, path, base_ts, base_seq, stored_seq, base, updates })
    }

    async fn backfill(&self, room: &RoomId, from: Position) -> Result<Backfill, StoreError> {
        let keys = Keys::new(room);
        let mut files = Vec::new();
        for _ in 0..TRIES {
            let call = script::BACKFILL.call().key(keys.meta()).key(keys.files());
            let call = call.key(keys.log(&FileId::room())).keys(files.iter().map(|file| keys.log(file)));
            let mut call = call.number(from.epoch.0).number(from.seq).number(from.ts);
            for file in &files {
                call = call.text(file.as_str());
            }
            let mut reply = Reply::new(call.run(&self.bulk).await?)?;
            match reply.take::<String>()?.as_str() {
                "RESET" => return Ok(Backfill::Reset(reply.position()?)),
                "FILES" => files = reply.files()?,
                _ => {
                    let position = reply.position()?;
                    let mut after = reply.entries(&FileId::room())?;
                    for file in &files {
                        after.extend(reply.entries(file)?);
                    }
                    after.retain(|entry| entry.seq > from.seq);
                    after.sort_unstable_by_key(|entry| entry.seq);
                    // A position whose ts is not that of its seq selects too little.
                    let whole = after.len() as u64 == position.seq - from.seq;
                    return Ok(if whole {
                        Backfill::Changes(position, after)
                    } else {
                        Backfill::Reset(position)
                    });
                }
            }
        }
        Err(StoreError::Failed("other files were changed again and again".to_owned()))
    }

    async fn claim(
        &self,
        room: &RoomId,
        epoch: Epoch,
        path: &FilePath,
        id: &FileId,
    ) -> Result<Claimed, StoreError> {
        if id.is_room() {
            return Err(StoreError::Failed("the room's own id is no file".to_owned()));
        }
        let keys = Keys::new(room);
        let event = created_event(id, path);
        let event = Entry::new(FileId::room(), Source::default(), event);
        let call = script::CLAIM.call().key(keys.meta()).key(keys.names()).key(keys.files());
        let call = call.key(keys.dirty()).key(keys.log(&FileId::room())).key(keys.base(id));
        let call = call.number(epoch.0).run_id().text(path.as_str()).text(id.as_str());
        let call = call.bytes(empty_base()).bytes(write_record(&event)).number(limits::ROOM_EVENTS as u64);
        let mut reply = Reply::new(self.publishing(call, &keys).run(&self.commands).await?)?;
        match reply.take::<String>()?.as_str() {
            "NEW" => Ok(Claimed::New(Logged { seq: reply.take()?, ts: reply.take()?, duplicate: false })),
            _ => Ok(Claimed::Taken(file_id(&reply.take::<String>()?)?)),
        }
    }

    async fn secret(&self, room: &RoomId) -> Result<String, StoreError> {
        let mut get = redis::cmd("HGET");
        let secret: Option<String> = self.commands.command(get.arg(Keys::new(room).meta()).arg("sk")).await?;
        Ok(secret.unwrap_or_default())
    }

    async fn names(&self, room: &RoomId) -> Result<Vec<(FileId, FilePath)>, StoreError> {
        let keys = Keys::new(room);
        let call = script::NAMES.call().key(keys.meta()).key(keys.names());
        let mut reply = Reply::new(call.run(&self.bulk).await?)?;
        let mut names = Vec::new();
        while reply.left() > 0 {
            let path = FilePath::parse(&reply.take::<String>()?).map_err(damaged)?;
            names.push((file_id(&reply.take::<String>()?)?, path));
        }
        names.sort_unstable();
        Ok(names)
    }

    async fn dirty(&self, room: &RoomId) -> Result<Dirty, StoreError> {
        let keys = Keys::new(room);
        let call = script::DIRTY.call().key(keys.meta()).key(keys.dirty());
        let mut reply = Reply::new(call.run(&self.bulk).await?)?;
        let (epoch, cutoff) = (Epoch(reply.take()?), reply.take()?);
        let files: Vec<(String, u64)> = reply.take()?;
        let files = files.into_iter().map(|(file, since)| Ok((file_id(&file)?, since)));
        Ok(Dirty { epoch, cutoff, files: files.collect::<Result<_, StoreError>>()? })
    }

    async fn ack(&self, room: &RoomId, epoch: Epoch, ack: FlushAck) -> Result<(), StoreError> {
        self.rebase(room, epoch, ack, true).await
    }

    async fn compact(&self, room: &RoomId, epoch: Epoch, merged: FlushAck) -> Result<(), StoreError> {
        self.rebase(room, epoch, merged, false).await
    }

    async fn list(&self, room: &RoomId, origin: &str, members: Vec<ListedMember>) -> Result<(), StoreError> {
        self.write_list(room, origin, &members).await
    }

    async fn listed(&self, room: &RoomId) -> Result<Vec<Listed>, StoreError> {
        self.read_lists(room).await
    }

    async fn leave(&self, room: &RoomId, origin: &str, epoch: Epoch) -> Result<Left, StoreError> {
        let seen = self.last_seen(room).await?;
        let mut named = Vec::new();
        for _ in 0..TRIES {
            let call = whole_room(&script::LEAVE, room, &named).text(origin).number(epoch.0);
            let mut reply = Reply::new(naming(call, &named).run(&self.commands).await?)?;
            match reply.take::<String>()?.as_str() {
                "FILES" => named = reply.files()?,
                "MEMBERS" => return Ok(Left::Members(reply.take()?)),
                "DIRTY" => return Ok(Left::Dirty(reply.files()?)),
                "NOTMINE" => return Ok(Left::NotMine),
                _ => {
                    self.forget(room, seen).await;
                    return Ok(Left::Gone);
                }
            }
        }
        Err(StoreError::Failed("other files came again and again".to_owned()))
    }

    async fn tell(&self, room: &RoomId, outcome: Outcome) -> Result<(), StoreError> {
        self.write_outcome(room, outcome).await
    }

    async fn survey(&self, room: &RoomId, files: &[FileId]) -> Result<Survey, StoreError> {
        self.read_survey(room, files).await
    }

    async fn seal(&self, room: &RoomId, at_most: Duration) -> Result<(), StoreError> {
        let keys = Keys::new(room);
        let call = script::SEAL.call().key(keys.meta()).key(keys.seal());
        let ms = u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX);
        call.number(ms).run(&self.commands).await.map(drop)
    }

    async fn erase(&self, room: &RoomId) -> Result<(), StoreError> {
        let seen = self.last_seen(room).await?;
        let mut named = Vec::new();
        for _ in 0..TRIES {
            let call = whole_room(&script::ERASE, room, &named).key(Keys::new(room).seal());
            let call = self.publishing(call, &Keys::new(room));
            let mut reply = Reply::new(naming(call, &named).run(&self.commands).await?)?;
            if reply.take::<String>()? == "FILES" {
                named = reply.files()?;
            } else {
                self.forget(room, seen).await;
                return Ok(());
            }
        }
        Err(StoreError::Failed("other files came again and again".to_owned()))
    }

    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.populated().await
    }

    async fn announce(&self, room: &RoomId, note: Bytes) -> Result<(), StoreError> {
        let mut publish = redis::cmd(self.publish);
        publish.arg(Keys::new(room).channel()).arg(write_note(&note));
        Ok(self.commands.command(&publish).await?)
    }

    async fn subscribe(&self, room: &RoomId) -> Result<mpsc::Receiver<Published>, StoreError> {
        Ok(self.subscriber.subscribe(room).await)
    }
}

/// Where `append.lua` has the log of the events; those of the files follow.
const EVENTS_KEY: usize = 5;

/// A call with every key of a room that has these files, as `leave.lua` and `erase.lua` want them.
fn whole_room(script: &'static script::Script, room: &RoomId, files: &[FileId]) -> Call {
    let keys = Keys::new(room);
    let call = script.call().key(keys.meta()).key(keys.members()).key(keys.origins()).key(keys.files());
    let call = call.key(keys.dirty()).key(keys.names()).key(keys.log(&FileId::room())).key(keys.listed());
    call.keys(files.iter().flat_map(|file| [keys.log(file), keys.base(file)]))
}

fn naming(call: Call, files: &[FileId]) -> Call {
    files.iter().fold(call, |call, file| call.text(file.as_str()))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

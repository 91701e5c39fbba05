//! The log of rooms: one script call per batch, which also publishes it.

use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;
use shared::{
    id::{FileId, FilePath, RoomId},
    position::{Epoch, Position},
};

use super::{
    RedisStore, TRIES,
    keys::Keys,
    record::{damaged, file_id, read_answers, write_extensions, write_record},
    reply::Reply,
    script::{self, Call},
};
use crate::store::{
    Backfill, Batch, Claimed, Dirty, Entry, FileLog, FlushAck, Logged, RoomLog, Source, StoreError,
    created_event, empty_base,
};

/// Records of this size and above are published as a reference; receivers read them from the log.
const REFERENCE_BYTES: u64 = 64 << 10;

/// Where `append.lua` has the log of the events; those of the files follow.
const EVENTS_KEY: usize = 5;

#[async_trait]
impl RoomLog for RedisStore {
    fn confirms_by_append(&self) -> bool {
        self.replicated.is_some()
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
        let call = call.number(room::limits::ROOM_EVENTS as u64).number(REFERENCE_BYTES);
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
        let call =
            call.bytes(empty_base()).bytes(write_record(&event)).number(room::limits::ROOM_EVENTS as u64);
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
        rebase(room, epoch, ack, true).run(&self.bulk).await.map(drop)
    }

    async fn compact(&self, room: &RoomId, epoch: Epoch, merged: FlushAck) -> Result<(), StoreError> {
        rebase(room, epoch, merged, false).run(&self.bulk).await.map(drop)
    }
}

/// A merged state in the place of a base and of the updates in it, whether or not the archive has it.
fn rebase(room: &RoomId, epoch: Epoch, merged: FlushAck, stored: bool) -> Call {
    let (keys, file) = (Keys::new(room), &merged.file);
    let call = script::ACK.call().key(keys.meta()).key(keys.log(file)).key(keys.base(file));
    let call = call.key(keys.files()).key(keys.dirty()).number(epoch.0).text(file.as_str());
    let call = call.number(merged.read_base_ts).number(merged.merged_ts).number(merged.merged_seq);
    call.bytes(merged.state).number(stored.into())
}

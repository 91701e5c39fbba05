//! Which rooms there are, and what is known of each beside its text.
//!
//! The first is an index beside them. It may name rooms that are gone, and for a moment miss one that has just been left
//! and joined again; every renewal of a lease enters its room again. The second is in a room's meta hash, so that it
//! goes with the room.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use shared::id::{FileId, RoomId};

use super::{
    RedisStore,
    keys::{INDEXES, Keys, index, index_of},
    outcome::{decode, encode},
    record::damaged,
    reply::Reply,
    script,
};
use crate::store::{Catalog, FailedFlush, Outcome, SetAside, StoreError, Survey};

/// Rooms that are looked at in one go.
const AT_ONCE: usize = 200;
/// How long an index keeps a room that nobody has populated, in microseconds.
const KEPT_US: u64 = 600_000_000;

#[async_trait]
impl Catalog for RedisStore {
    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        let mut rooms = Vec::new();
        for number in 0..INDEXES {
            let range = redis::cmd("ZRANGE").arg(index(number)).arg(0).arg(-1).arg("WITHSCORES").take();
            let listed: Vec<(String, u64)> = self.bulk.command(&range).await?;
            for some in listed.chunks(AT_ONCE) {
                rooms.extend(self.populated_of(some).await?);
            }
        }
        Ok(rooms)
    }

    async fn survey(&self, room: &RoomId, files: &[FileId]) -> Result<Survey, StoreError> {
        let keys = Keys::new(room);
        let call = script::SURVEY.call().key(keys.meta()).key(keys.seal()).key(keys.log(&FileId::room()));
        let call = call.keys(files.iter().map(|file| keys.log(file)));
        let mut reply = Reply::new(call.run(&self.bulk).await?)?;
        // The first of them is the log of the events.
        let (mut file_bytes, deletion_left) = (reply.take::<Vec<u64>>()?, reply.take::<u8>()? == 1);
        let log_bytes = file_bytes.iter().sum();
        file_bytes.drain(..1.min(file_bytes.len()));
        let flushed_at = match reply.take::<String>()?.as_str() {
            "" => None,
            at => Some(at.parse().map_err(damaged)?),
        };
        let failed = decode::<FailedFlush>(&reply.take::<String>()?)?;
        let parked = decode::<Vec<SetAside>>(&reply.take::<String>()?)?;
        Ok(Survey { log_bytes, file_bytes, deletion_left, outcome: Outcome { flushed_at, failed, parked } })
    }

    async fn record_flush_outcome(&self, room: &RoomId, outcome: Outcome) -> Result<(), StoreError> {
        let call = script::RECORD_FLUSH_OUTCOME.call().key(Keys::new(room).meta());
        let call = call.text(outcome.flushed_at.map(|at| at.to_string()).unwrap_or_default());
        let call = call.text(encode(outcome.failed)?).text(encode(outcome.parked)?);
        call.run(&self.bulk).await.map(drop)
    }
}

impl RedisStore {
    /// Enters a room into its index.
    pub(super) async fn touch(&self, room: &RoomId) -> Result<(), StoreError> {
        let call = script::TOUCH.call().key(index_of(room)).text(room.as_str());
        call.run(&self.commands).await.map(drop)
    }

    /// When somebody was last seen in a room, as the index spells it.
    pub(super) async fn last_seen(&self, room: &RoomId) -> Result<Option<String>, StoreError> {
        let score = redis::cmd("ZSCORE").arg(index_of(room)).arg(room.as_str()).take();
        let score: Option<u64> = self.commands.command(&score).await?;
        Ok(score.map(|score| score.to_string()))
    }

    /// Takes a room that is gone out of its index, unless it was entered again after it was `seen`.
    pub(super) async fn forget(&self, room: &RoomId, seen: Option<String>) {
        let Some(seen) = seen else { return };
        let call = script::FORGET.call().key(index_of(room)).text(room.as_str()).text(seen);
        if let Err(error) = call.run(&self.commands).await {
            // It is looked at again by the next sweep.
            tracing::debug!(room.id = %room, %error, "a room that is gone is still listed");
        }
    }

    async fn state_of(&self, room: &RoomId) -> Result<Option<String>, StoreError> {
        let get = redis::cmd("HGET").arg(Keys::new(room).meta()).arg("st").take();
        Ok(self.bulk.command(&get).await?)
    }

    async fn populated_of(&self, listed: &[(String, u64)]) -> Result<Vec<RoomId>, StoreError> {
        let rooms: Vec<RoomId> = listed.iter().filter_map(|(name, _)| RoomId::parse(name).ok()).collect();
        // One command each: the rooms of an index are anywhere in a cluster.
        let states = rooms.iter().map(|room| self.state_of(room));
        let states: Vec<Option<String>> = try_join_all(states).await?;
        let newest = listed.iter().map(|(_, seen)| *seen).max().unwrap_or(0);
        let mut populated = Vec::new();
        for (room, state) in rooms.into_iter().zip(states) {
            let seen =
                listed.iter().find(|(name, _)| name == room.as_str()).map_or(newest, |(_, seen)| *seen);
            if state.as_deref() == Some("R") {
                populated.push(room);
            } else if seen + KEPT_US < newest {
                self.forget(&room, Some(seen.to_string())).await;
            }
        }
        Ok(populated)
    }
}

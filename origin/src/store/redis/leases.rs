//! Leases and the life of a room: populated piece by piece under the loader's token, opened in one step, removed by the
//! last to leave. What other rooms log meanwhile waits for one small piece at most, and mostly for none.

use std::time::Duration;

use async_trait::async_trait;
use shared::{
    id::{FileId, RoomId},
    position::{Epoch, Position},
};
use tokio::time::{Instant, sleep};

use super::{
    RedisStore, TRIES,
    keys::Keys,
    listing,
    record::damaged,
    reply::Reply,
    script::{self, Call, Script},
};
use crate::store::{Base, Joined, LOADER_LEASE, Leases, Left, Listed, ListedMember, LoaderToken, StoreError};

/// What a loader has staged vanishes by itself after this, in milliseconds.
const ABANDONED_AFTER_MS: u64 = 120_000;
/// Bytes of bases in one call; a larger base goes alone.
const STAGED_AT_ONCE: usize = 128 << 10;
/// How long Redis is left to the others after a piece, in times of what the piece took.
const REST: u32 = 3;

#[async_trait]
impl Leases for RedisStore {
    async fn join(&self, room: &RoomId, origin: &str, lease: Duration) -> Result<Joined, StoreError> {
        self.touch(room).await?;
        let keys = Keys::new(room);
        let token = LoaderToken(format!("{origin}-{:032x}", rand::random::<u128>()));
        let call = script::JOIN.call().key(keys.meta()).key(keys.members()).key(keys.listed());
        let call = call.key(keys.seal()).text(origin);
        let call = call.number(micros(lease)).text(&*token.0).number(micros(LOADER_LEASE));
        let call = self.publishing(call.number(ABANDONED_AFTER_MS), &keys);
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
        let keys = Keys::new(room);
        let mut took = Duration::ZERO;
        for (nth, some) in pieces(&bases).into_iter().enumerate() {
            if nth > 0 {
                sleep(took * REST).await;
            }
            let call = script::STAGE.call().key(keys.meta());
            let call = call.keys(some.iter().map(|base| keys.base(&base.file)));
            let call = call.text(&*loader.0).number(micros(LOADER_LEASE)).number(ABANDONED_AFTER_MS);
            let call =
                some.iter().fold(call, |call, base| call.text(base.path.as_str()).bytes(base.state.clone()));
            let begun = Instant::now();
            call.run(&self.bulk).await?;
            took = begun.elapsed();
        }
        let call = script::COMMIT.call().key(keys.meta()).key(keys.members()).key(keys.files());
        let call =
            call.key(keys.dirty()).key(keys.names()).key(keys.origins()).key(keys.log(&FileId::room()));
        let call = call.keys(bases.iter().flat_map(|base| [keys.base(&base.file), keys.log(&base.file)]));
        let call = self.publishing(call.text(&*loader.0).number(not_before), &keys);
        let call =
            bases.iter().fold(call, |call, base| call.text(base.file.as_str()).text(base.path.as_str()));
        let mut reply = Reply::new(call.run(&self.bulk).await?)?;
        Ok(Position { epoch: Epoch(reply.take()?), seq: 0, ts: reply.take()? })
    }

    async fn list(&self, room: &RoomId, origin: &str, members: Vec<ListedMember>) -> Result<(), StoreError> {
        let call = lists(&script::LIST, room).text(origin).text(listing::encode(members)?);
        call.run(&self.bulk).await.map(drop)
    }

    async fn listed(&self, room: &RoomId) -> Result<Vec<Listed>, StoreError> {
        let mut reply = Reply::new(lists(&script::LISTED, room).run(&self.bulk).await?)?;
        let mut lists = Vec::with_capacity(reply.left() / 2);
        while reply.left() > 0 {
            let (origin, list) = (reply.take()?, reply.take::<Vec<u8>>()?);
            lists.push(Listed { origin, members: listing::decode(&list)? });
        }
        Ok(lists)
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
}

fn lists(script: &'static Script, room: &RoomId) -> Call {
    let keys = Keys::new(room);
    script.call().key(keys.meta()).key(keys.members()).key(keys.listed())
}

/// A call with every key of a room that has these files, as `leave.lua` and `erase.lua` want them.
fn whole_room(script: &'static Script, room: &RoomId, files: &[FileId]) -> Call {
    let keys = Keys::new(room);
    let call = script.call().key(keys.meta()).key(keys.members()).key(keys.origins()).key(keys.files());
    let call = call.key(keys.dirty()).key(keys.names()).key(keys.log(&FileId::room())).key(keys.listed());
    call.keys(files.iter().flat_map(|file| [keys.log(file), keys.base(file)]))
}

fn naming(call: Call, files: &[FileId]) -> Call {
    files.iter().fold(call, |call, file| call.text(file.as_str()))
}

fn pieces(bases: &[Base]) -> Vec<&[Base]> {
    let (mut pieces, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (at, base) in bases.iter().enumerate() {
        if at > begin && bytes + base.state.len() > STAGED_AT_ONCE {
            pieces.push(&bases[begin..at]);
            (begin, bytes) = (at, 0);
        }
        bytes += base.state.len();
    }
    if begin < bases.len() {
        pieces.push(&bases[begin..]);
    }
    pieces
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shared::id::FilePath;

    use super::*;

    #[test]
    fn a_piece_has_at_most_128_kilobytes_or_one_file() {
        let base = |kilobytes: usize| Base {
            file: FileId::from_random(kilobytes as u128),
            path: FilePath::parse("a").unwrap(),
            state: Bytes::from(vec![0; kilobytes << 10]),
        };
        let bases = [50, 70, 20, 300, 1, 2].map(base);
        let sizes: Vec<usize> = pieces(&bases).iter().map(|piece| piece.len()).collect();
        assert_eq!(sizes, [2, 1, 1, 2]);
        assert!(pieces(&[]).is_empty());
    }
}

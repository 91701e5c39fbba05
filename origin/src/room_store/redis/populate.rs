//! The commit of a populate: bases are staged piece by piece under the loader's token, then opened in one step.
//! What other rooms log meanwhile waits for one small piece at most, and mostly for none.

use std::time::Duration;

use shared::{
    id::{FileId, RoomId},
    position::{Epoch, Position},
};
use tokio::time::{Instant, sleep};

use super::{RedisStore, keys::Keys, micros, reply::Reply, script};
use crate::room_store::{Base, LOADER_LEASE, LoaderToken, StoreError};

/// What a loader has staged vanishes by itself after this, in milliseconds.
pub(super) const ABANDONED_AFTER_MS: u64 = 120_000;
/// Bytes of bases in one call; a larger base goes alone.
const STAGED_AT_ONCE: usize = 128 << 10;
/// How long Redis is left to the others after a piece, in times of what the piece took.
const REST: u32 = 3;

impl RedisStore {
    pub(super) async fn populate(
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

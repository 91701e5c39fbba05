//! What a room asks of its store, one future each, and the answers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use room::state::{Effect, LinkId};
use shared::{
    id::{FileId, FilePath, RoomId},
    position::Epoch,
};
use tokio::time::Instant;

use super::registry::{Inner, Parts};
use crate::{
    archive::ArchiveError,
    store::{Backfill, Claimed, Dirty, FileLog, Joined, Left, ListedMember, Logged, StoreError},
};

/// The room store's answers.
pub(super) enum Done {
    Appended(Result<Vec<Logged>, StoreError>, Duration),
    Read(FileId, Result<FileLog, StoreError>),
    Backfilled(LinkId, Result<Backfill, StoreError>),
    Events(LinkId, u64, Result<FileLog, StoreError>),
    CaughtUp(Result<Backfill, StoreError>),
    Claimed(FilePath, FileId, Result<Claimed, StoreError>),
    Renewed(Epoch, Result<Joined, StoreError>),
    Stored(FileId, Result<Option<Bytes>, ArchiveError>),
    Dirty(Result<Dirty, StoreError>),
    Listed(Result<(), StoreError>),
    /// Whether the life of the room with this epoch is over.
    Erased(Epoch, bool),
}

/// Asks the room store for what an effect names.
pub(super) fn ask(
    inner: &Arc<Inner>,
    room: &RoomId,
    epoch: Epoch,
    effect: Effect,
) -> BoxFuture<'static, Done> {
    let (inner, id) = (inner.clone(), room.clone());
    async move {
        let store = &inner.parts.store;
        match effect {
            Effect::Append(batch) => {
                let begun = Instant::now();
                let answer = store.append(&id, epoch, batch).await;
                Done::Appended(answer, begun.elapsed())
            }
            Effect::Read(file) => {
                let answer = store.read(&id, &file).await;
                Done::Read(file, answer)
            }
            Effect::Backfill(link, position) => Done::Backfilled(link, store.backfill(&id, position).await),
            Effect::Events(link, read) => Done::Events(link, read, store.read(&id, &FileId::room()).await),
            Effect::Claim(path, known) => {
                let file = known.unwrap_or_else(|| FileId::from_random(rand::random()));
                let answer = store.claim(&id, epoch, &path, &file).await;
                Done::Claimed(path, file, answer)
            }
            Effect::Stored(file) => {
                let answer = inner.parts.archive.file(&id, &file).await;
                Done::Stored(file, answer.map(|stored| stored.map(|stored| stored.state)))
            }
            Effect::Dirty => Done::Dirty(store.dirty(&id).await),
            Effect::CatchUp(position) => Done::CaughtUp(store.backfill(&id, position).await),
            Effect::ToHub(..) | Effect::Unlink(..) | Effect::Announce(_) | Effect::Flush => {
                unreachable!("carried out at once")
            }
        }
    }
    .boxed()
}

/// Renews this origin's lease on the room. If the room is gone, it does not become its loader: whoever comes
/// next would have to wait for that to expire.
pub(super) fn renew(inner: &Arc<Inner>, room: &RoomId, epoch: Epoch) -> BoxFuture<'static, Done> {
    let (inner, id) = (inner.clone(), room.clone());
    async move {
        let Parts { store, origin_id, lease, .. } = &inner.parts;
        let joined = store.join(&id, origin_id, *lease).await;
        if let Ok(Joined::Load(_)) = joined {
            // What it could not give up expires.
            let _ = store.leave(&id, origin_id, epoch).await;
        }
        Done::Renewed(epoch, joined)
    }
    .boxed()
}

/// Ends the lease on a room that this origin may still have; what it leaves dirty is flushed.
pub(super) async fn let_go(inner: &Inner, room: &RoomId) {
    let Parts { store, origin_id, queue, .. } = &inner.parts;
    // A room that another origin is only loading has no epoch, and a lease all the same.
    let epoch = store.dirty(room).await.map_or(Epoch(0), |dirty| dirty.epoch);
    // What is not ended now ends by itself, and the sweep finishes what is left.
    if let Ok(Left::Dirty(_)) = store.leave(room, origin_id, epoch).await {
        queue.request_now(room);
    }
}

/// Says who is in the room at this origin.
pub(super) fn list(
    inner: &Arc<Inner>,
    room: &RoomId,
    members: Vec<ListedMember>,
) -> BoxFuture<'static, Done> {
    let (inner, id) = (inner.clone(), room.clone());
    async move { Done::Listed(inner.parts.store.list(&id, &inner.parts.origin_id, members).await) }.boxed()
}

/// Whether the room was erased in this epoch: what is heard may be about a life before it.
pub(super) fn is_erased(inner: &Arc<Inner>, room: &RoomId, epoch: Epoch) -> BoxFuture<'static, Done> {
    let (inner, id) = (inner.clone(), room.clone());
    async move {
        let found = inner.parts.store.dirty(&id).await;
        Done::Erased(epoch, found.is_err() || found.is_ok_and(|dirty| dirty.epoch != epoch))
    }
    .boxed()
}

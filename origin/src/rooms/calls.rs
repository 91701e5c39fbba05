//! The calls of a room to its store, one future each, and the replies.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use room::{Effect, LinkId};
use shared::{
    id::{FileId, FilePath, RoomId},
    position::Epoch,
};
use tokio::time::Instant;

use super::{open_rooms::OpenRooms, parts::Parts};
use crate::{
    archive::ArchiveError,
    store::{Backfill, Claimed, Dirty, FileLog, Joined, Left, ListedMember, Logged, StoreError},
};

/// The room store's replies.
pub(super) enum StoreReply {
    Appended(Result<Vec<Logged>, StoreError>, Duration),
    Read(FileId, Result<FileLog, StoreError>),
    Backfilled(LinkId, Result<Backfill, StoreError>),
    Events(LinkId, u64, Result<FileLog, StoreError>),
    CaughtUp(Result<Backfill, StoreError>),
    Claimed(FilePath, FileId, Result<Claimed, StoreError>),
    Renewed(Epoch, Result<Joined, StoreError>),
    ArchiveRead(FileId, Result<Option<Bytes>, ArchiveError>),
    Dirty(Result<Dirty, StoreError>),
    Listed(Result<(), StoreError>),
    /// Whether the room is gone in this epoch.
    Erased(Epoch, bool),
}

/// Calls the room store for what an effect names.
pub(super) fn call(
    rooms: &Arc<OpenRooms>,
    room: &RoomId,
    epoch: Epoch,
    effect: Effect,
) -> BoxFuture<'static, StoreReply> {
    let (rooms, id) = (rooms.clone(), room.clone());
    async move {
        let store = &rooms.parts.store;
        match effect {
            Effect::Append(batch) => {
                let begun = Instant::now();
                let answer = store.append(&id, epoch, batch).await;
                StoreReply::Appended(answer, begun.elapsed())
            }
            Effect::Read(file) => {
                let answer = store.read(&id, &file).await;
                StoreReply::Read(file, answer)
            }
            Effect::Backfill(link, position) => {
                StoreReply::Backfilled(link, store.backfill(&id, position).await)
            }
            Effect::Events(link, read) => {
                StoreReply::Events(link, read, store.read(&id, &FileId::room()).await)
            }
            Effect::Claim(path, known) => {
                let file = known.unwrap_or_else(|| FileId::from_random(rand::random()));
                let answer = store.claim(&id, epoch, &path, &file).await;
                StoreReply::Claimed(path, file, answer)
            }
            Effect::ReadArchive(file) => {
                let answer = rooms.parts.archive.file(&id, &file).await;
                StoreReply::ArchiveRead(file, answer.map(|stored| stored.map(|stored| stored.state)))
            }
            Effect::Dirty => StoreReply::Dirty(store.dirty(&id).await),
            Effect::CatchUp(position) => StoreReply::CaughtUp(store.backfill(&id, position).await),
            Effect::ToHub(..) | Effect::Unlink(..) | Effect::Announce(_) | Effect::Flush => {
                unreachable!("carried out at once")
            }
        }
    }
    .boxed()
}

/// Renews this origin's lease on the room. If the room is gone, this origin does not become its loader: the next one
/// would have to wait for that to expire.
pub(super) fn renew(rooms: &Arc<OpenRooms>, room: &RoomId, epoch: Epoch) -> BoxFuture<'static, StoreReply> {
    let (rooms, id) = (rooms.clone(), room.clone());
    async move {
        let Parts { store, origin_id, lease, .. } = &rooms.parts;
        let joined = store.join(&id, origin_id, *lease).await;
        if let Ok(Joined::Load(_)) = joined {
            // What it could not give up expires.
            let _ = store.leave(&id, origin_id, epoch).await;
        }
        StoreReply::Renewed(epoch, joined)
    }
    .boxed()
}

/// Ends the lease on a room that this origin may still have; what it leaves dirty is flushed.
pub(super) async fn let_go(rooms: &OpenRooms, room: &RoomId) {
    let Parts { store, origin_id, queue, .. } = &rooms.parts;
    // A room that another origin is only loading has no epoch, and a lease all the same.
    let epoch = store.dirty(room).await.map_or(Epoch(0), |dirty| dirty.epoch);
    // What is not ended now ends by itself, and the sweep finishes what is left.
    if let Ok(Left::Dirty(_)) = store.leave(room, origin_id, epoch).await {
        queue.request_now(room);
    }
}

/// Lists the members of the room at this origin.
pub(super) fn list(
    rooms: &Arc<OpenRooms>,
    room: &RoomId,
    members: Vec<ListedMember>,
) -> BoxFuture<'static, StoreReply> {
    let (rooms, id) = (rooms.clone(), room.clone());
    async move { StoreReply::Listed(rooms.parts.store.list(&id, &rooms.parts.origin_id, members).await) }
        .boxed()
}

/// Whether the room was erased in this epoch: the notice may be about an earlier one.
pub(super) fn is_erased(
    rooms: &Arc<OpenRooms>,
    room: &RoomId,
    epoch: Epoch,
) -> BoxFuture<'static, StoreReply> {
    let (rooms, id) = (rooms.clone(), room.clone());
    async move {
        let found = rooms.parts.store.dirty(&id).await;
        StoreReply::Erased(epoch, found.is_err() || found.is_ok_and(|dirty| dirty.epoch != epoch))
    }
    .boxed()
}

//! The first member brings a shard into the room store: one loader reads the archive and commits every base.

use std::time::Duration;

use shared::{
    id::{FileId, FilePath, RoomId},
    position::{Epoch, Position},
    wire::link::HubMessage,
};

use super::parts::Parts;
use crate::{
    archive::{ArchiveError, NewShard, StoredFile},
    clock,
    store::{Base, Joined, LoaderToken, StoreError},
};

/// How often another loader is looked after.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A populated room.
pub(super) struct Populated {
    pub(super) position: Position,
    pub(super) names: Vec<(FileId, FilePath)>,
    pub(super) secret: String,
}

/// Why a room is not populated. Never because of a failed read that looked empty.
#[derive(Debug, thiserror::Error)]
pub(super) enum PopulateError {
    #[error("there is no such shard")]
    NoShard,
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Joins the room and populates it if it is not; a shard that does not exist is made, if this `may_create` one.
pub(super) async fn populate(
    parts: &Parts,
    room: &RoomId,
    may_create: bool,
) -> Result<Populated, PopulateError> {
    // A guess at a name must leave nothing in the room store.
    if !may_create && parts.archive.find_by_id(room).await?.is_none() {
        return Err(PopulateError::NoShard);
    }
    loop {
        let position = match parts.store.join(room, &parts.origin_id, parts.lease).await? {
            Joined::Ready(position) => position,
            Joined::Wait(longest) => {
                tokio::time::sleep(longest.min(LOOK_AGAIN)).await;
                continue;
            }
            Joined::Load(token) => match load(parts, room, &token, may_create).await {
                Ok(position) => position,
                Err(PopulateError::Store(StoreError::Stale)) => continue,
                Err(error) => {
                    // Another origin may have more luck at once; what cannot be given up expires.
                    let _ = parts.store.leave(room, &parts.origin_id, Epoch(0)).await;
                    return Err(error);
                }
            },
        };
        let names = parts.store.names(room).await?;
        let secret = parts.store.secret(room).await?;
        return Ok(Populated { position, names, secret });
    }
}

/// Under the loader's token, which the deletion of the shard takes away first: nothing that a room still holds of
/// a deleted shard can meet one that is made here, and no shard that is gone looks like an empty one.
async fn load(
    parts: &Parts,
    room: &RoomId,
    token: &LoaderToken,
    may_create: bool,
) -> Result<Position, PopulateError> {
    find_or_create(parts, room, may_create).await?;
    let files = parts.archive.files(room).await?;
    let not_before = files.iter().map(|file| file.ts).max().unwrap_or(0);
    let base = |file: StoredFile| Base { file: file.id, path: file.path, state: file.state };
    let bases = files.into_iter().map(base).collect();
    Ok(parts.store.commit(room, token, bases, not_before).await?)
}

async fn find_or_create(parts: &Parts, room: &RoomId, may_create: bool) -> Result<(), PopulateError> {
    if parts.archive.find_by_id(room).await?.is_some() {
        return Ok(());
    }
    if !may_create {
        return Err(PopulateError::NoShard);
    }
    let shard = NewShard {
        id: room.clone(),
        title: room.to_string(),
        template: None,
        files: Vec::new(),
        now: clock::now_us(),
    };
    match parts.archive.create(shard).await {
        Ok(()) | Err(ArchiveError::Taken) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a message needs the room to be there: leaving one that is gone must not bring it back.
pub(super) fn needs_room(message: &HubMessage) -> bool {
    use HubMessage::{Awareness, Close, Ping, Stats};
    !matches!(message, Close { .. } | Awareness { .. } | Ping | Stats { .. })
}

//! Leases: which origins have a room open, who populates it, and when it is removed.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use room::store::StoreError;
use serde::{Deserialize, Serialize};
use shared::{
    grant::Role,
    id::{FileId, FilePath, RoomId},
    position::{Epoch, Position},
};

/// How long a loader may take before another may take over.
pub const LOADER_LEASE: Duration = Duration::from_secs(10);

/// How long the deletion of a shard may take until its room can be opened again.
pub const DELETION: Duration = Duration::from_secs(60);

/// Who has a room open, from the first member to the last.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes or renews the lease of `origin` on the room and says what state the room is in. An origin that asks
    /// again while it is the loader has lost its token: it gets another.
    async fn join(&self, room: &RoomId, origin: &str, lease: Duration) -> Result<Joined, StoreError>;

    /// Ends a populate: installs every base in one step and opens the room with a new epoch and `seq` 0.
    /// Only the holder of the loader's token may; another gets [`StoreError::Stale`].
    /// `not_before` is the highest timestamp that the archive holds: the room's own stay above it.
    async fn commit(
        &self,
        room: &RoomId,
        loader: &LoaderToken,
        bases: Vec<Base>,
        not_before: u64,
    ) -> Result<Position, StoreError>;

    /// Says who is in the room at `origin`, in place of what it said before. That is shown while its lease lasts;
    /// [`StoreError::Cold`] if it has none, or the room is not populated.
    async fn list(&self, room: &RoomId, origin: &str, members: Vec<ListedMember>) -> Result<(), StoreError>;

    /// Who is in the populated room at each origin with a lease on it.
    async fn listed(&self, room: &RoomId) -> Result<Vec<Listed>, StoreError>;

    /// Ends the lease of `origin`, gives up a populate that it began, and removes the room if it was the last
    /// and nothing is dirty.
    async fn leave(&self, room: &RoomId, origin: &str, epoch: Epoch) -> Result<Left, StoreError>;

    /// Keeps everybody from joining or populating the room ([`StoreError::Sealed`]), until it is erased, but for
    /// at most this long; zero lets them in again. An origin that has it open goes on. A populated room keeps in mind that
    /// its deletion was begun, until it is erased or lets them in again.
    async fn seal(&self, room: &RoomId, at_most: Duration) -> Result<(), StoreError>;

    /// Removes a deleted room whatever its state, ends its seal and tells its subscribers.
    async fn erase(&self, room: &RoomId) -> Result<(), StoreError>;
}

/// The state of a room as [`Leases::join`] finds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Joined {
    /// Populated and open.
    Ready(Position),
    /// Another loader is at work; ask again after this long at the latest.
    Wait(Duration),
    /// The caller is now the loader.
    Load(LoaderToken),
}

/// Proof that its holder may populate a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderToken(pub String);

/// The merged state of a file at a timestamp.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    /// The file.
    pub file: FileId,
    /// Its path.
    pub path: FilePath,
    /// Its CRDT state, a Yjs v1 update.
    pub state: Bytes,
}

/// Who is in a room at an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The origin.
    pub origin: String,
    /// What it said last; `None` if it has only just come and said nothing yet.
    pub members: Option<Vec<ListedMember>>,
}

/// One session of a member, as an origin lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedMember {
    /// The member's id.
    pub id: String,
    /// The name that others see.
    pub name: String,
    /// What the member may do.
    pub role: Role,
    /// The region of the hub; `direct` for a socket of an origin.
    pub region: String,
}

/// The answer to [`Leases::leave`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The room store holds nothing of the room any more.
    Gone,
    /// Other origins still have it open.
    Members(usize),
    /// These files must be flushed first.
    Dirty(Vec<FileId>),
    /// It is not populated, or is in another epoch.
    NotMine,
}

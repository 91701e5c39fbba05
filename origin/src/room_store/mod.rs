//! The live state of rooms: their logs, bases, names and dirty files.
//!
//! Promise: what [`RoomStore::append`] has answered survives the death of this process at any moment.
//! One contract suite (`tests/it/room_store_contract.rs`) runs against every implementation.

pub mod embedded;
pub mod redis;
mod outcome;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{
    grant::Role,
    id::{FileId, FilePath, RoomId},
    position::{Epoch, Position},
};
use tokio::sync::mpsc;

pub use self::outcome::{FailedFlush, Outcome, SetAside, Survey};
pub use room::{
    log::{Batch, Entry, FileLog, LogEntry, Logged, Source},
    store::{Backfill, Claimed, Dirty, Published, StoreError, empty_base},
};

/// How long a loader may take before another may take over.
pub const LOADER_LEASE: Duration = Duration::from_secs(10);

/// How long the deletion of a shard may take until its room can be opened again.
pub const DELETION: Duration = Duration::from_secs(60);

/// Changes and notes that wait on one subscriber before it is dropped.
pub const SUBSCRIBER_QUEUE: usize = 1024;

/// Where rooms live while somebody has them open.
#[async_trait]
pub trait RoomStore: Send + Sync + 'static {
    /// Whether other processes can have the same rooms open.
    fn is_shared(&self) -> bool;

    /// Whether only the answer of an append shows that what is in the log will stay: that it can be read does not.
    fn confirms_by_append(&self) -> bool {
        false
    }

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

    /// Logs a batch in order, all or nothing: `seq` rises by one for each entry that is not a duplicate,
    /// `ts` strictly with it, files become dirty. The answer is the acknowledgement.
    /// An event whose `(hub, hub_seq)` is at or below what the room has of that hub is a duplicate and only
    /// repeats its answer. A batch whose `(origin, number)` is the last one logged of that origin repeats its
    /// whole answer; a lower number than that fails. [`Self::leave`] forgets the numbers of an origin.
    /// An empty batch logs nothing; its answer says that everything before it is logged.
    /// One entry for a file that the room does not have refuses the batch with [`StoreError::NoFile`], one that extends
    /// a client from a clock below what was logged of it in this epoch with [`StoreError::Overtaken`], and one of an
    /// author who extends the client of another one with [`StoreError::Owned`].
    async fn append(&self, room: &RoomId, epoch: Epoch, batch: Batch) -> Result<Vec<Logged>, StoreError>;

    /// One consistent view of a file: its base and everything logged since. Of `.room`: the events still kept.
    async fn read(&self, room: &RoomId, file: &FileId) -> Result<FileLog, StoreError>;

    /// Everything logged after `from`, or [`Backfill::Reset`] if that is of another epoch or trimmed away.
    async fn backfill(&self, room: &RoomId, from: Position) -> Result<Backfill, StoreError>;

    /// Claims a path for a new file with [`empty_base`], makes it dirty and logs [`created_event`]. If the path
    /// is taken, the answer is the file that has it.
    async fn claim(
        &self,
        room: &RoomId,
        epoch: Epoch,
        path: &FilePath,
        id: &FileId,
    ) -> Result<Claimed, StoreError>;

    /// What only the origins of the populated room know, the same for all of them for as long as it is populated; empty
    /// if the room was populated before there was such a secret.
    async fn secret(&self, room: &RoomId) -> Result<String, StoreError>;

    /// The names of all files of the room.
    async fn names(&self, room: &RoomId) -> Result<Vec<(FileId, FilePath)>, StoreError>;

    /// The files changed since the last flush.
    async fn dirty(&self, room: &RoomId) -> Result<Dirty, StoreError>;

    /// After the archive has a merged state: makes it the base, trims exactly what was merged and cleans the
    /// file if nothing newer is logged. [`StoreError::Conflict`] if the base is no longer `read_base_ts`; an
    /// error changes nothing.
    async fn ack(&self, room: &RoomId, epoch: Epoch, ack: FlushAck) -> Result<(), StoreError>;

    /// As [`Self::ack`], without the archive having the merged state: the file stays dirty since its first unflushed
    /// change, and [`FileLog::stored_seq`] stays what it was.
    async fn compact(&self, room: &RoomId, epoch: Epoch, merged: FlushAck) -> Result<(), StoreError>;

    /// Says who is in the room at `origin`, in place of what it said before. That is shown while its lease lasts;
    /// [`StoreError::Cold`] if it has none, or the room is not populated.
    async fn list(&self, room: &RoomId, origin: &str, members: Vec<ListedMember>) -> Result<(), StoreError>;

    /// Who is in the populated room at each origin with a lease on it.
    async fn listed(&self, room: &RoomId) -> Result<Vec<Listed>, StoreError>;

    /// Ends the lease of `origin`, gives up a populate that it began, and removes the room if it was the last
    /// and nothing is dirty.
    async fn leave(&self, room: &RoomId, origin: &str, epoch: Epoch) -> Result<Left, StoreError>;

    /// Keeps with the populated room how a flush ended, for as long as it is populated: what is `None` stays as it was.
    async fn tell(&self, room: &RoomId, outcome: Outcome) -> Result<(), StoreError>;

    /// What is known of the populated room; of its logs, those of `files` and of the events are measured.
    async fn survey(&self, room: &RoomId, files: &[FileId]) -> Result<Survey, StoreError>;

    /// Keeps everybody from joining or populating the room ([`StoreError::Sealed`]), until it is erased, but for
    /// at most this long; zero lets them in again. Whoever has it open goes on. A populated room keeps in mind that
    /// its deletion was begun, until it is erased or lets them in again.
    async fn seal(&self, room: &RoomId, at_most: Duration) -> Result<(), StoreError>;

    /// Removes a deleted room whatever its state, ends its seal and tells its subscribers.
    async fn erase(&self, room: &RoomId) -> Result<(), StoreError>;

    /// Every populated room, for the sweeper.
    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError>;

    /// Tells every origin that has the room open, unlogged.
    async fn announce(&self, room: &RoomId, note: Bytes) -> Result<(), StoreError>;

    /// What is logged and announced from now on. Subscribe first, then [`Self::join`], then drop what you have.
    /// A receiver that falls behind finds the channel closed and must subscribe and backfill again.
    async fn subscribe(&self, room: &RoomId) -> Result<mpsc::Receiver<Published>, StoreError>;
}

/// The state of a room as [`RoomStore::join`] finds it.
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

/// A merged state that takes the place of a base and of the updates in it.
#[derive(Clone, Debug, PartialEq)]
pub struct FlushAck {
    /// The file.
    pub file: FileId,
    /// The base that the merge began with.
    pub read_base_ts: u64,
    /// The timestamp of the last update merged (or of the base, if there was none).
    pub merged_ts: u64,
    /// The seq of that update.
    pub merged_seq: u64,
    /// The merged state.
    pub state: Bytes,
}

/// The answer to [`RoomStore::leave`].
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

/// The room event that [`RoomStore::claim`] logs.
pub fn created_event(id: &FileId, path: &FilePath) -> Bytes {
    let change = json!({ "op": "create", "id": id, "path": path });
    Bytes::from(json!({ "type": "files", "changes": [change] }).to_string())
}

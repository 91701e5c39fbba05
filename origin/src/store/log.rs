//! The log: what is changed in rooms, and how what was merged takes its place.

use async_trait::async_trait;
use bytes::Bytes;
use room::{
    log::{Batch, FileLog, Logged},
    store::{Backfill, Claimed, Dirty, StoreError},
};
use serde_json::json;
use shared::{
    id::{FileId, FilePath, RoomId},
    position::{Epoch, Position},
};

/// The logs and files of populated rooms.
///
/// What [`Self::append`] has answered survives the death of this process at any moment.
#[async_trait]
pub trait RoomLog: Send + Sync + 'static {
    /// Whether only the answer of an append shows that what is in the log will stay: that it can be read does not.
    fn confirms_by_append(&self) -> bool {
        false
    }

    /// Logs a batch in order, all or nothing: `seq` rises by one for each entry that is not a duplicate,
    /// `ts` strictly with it, files become dirty. The answer is the acknowledgement.
    /// An event whose `(hub, hub_seq)` is at or below what the room has of that hub is a duplicate and only
    /// repeats its answer. A batch whose `(origin, number)` is the last one logged of that origin repeats its
    /// whole answer; a lower number than that fails. [`super::Leases::leave`] forgets the numbers of an origin.
    /// An empty batch logs nothing; its answer says that everything before it is logged.
    /// One entry for a file that the room does not have refuses the batch with [`StoreError::NoFile`], one that extends
    /// a client from a clock below what was logged of it in this epoch with [`StoreError::Overtaken`], and one of an
    /// author who extends the client of another one with [`StoreError::Owned`].
    async fn append(&self, room: &RoomId, epoch: Epoch, batch: Batch) -> Result<Vec<Logged>, StoreError>;

    /// One consistent view of a file: its base and everything logged since. Of `.room`: the events still kept.
    async fn read(&self, room: &RoomId, file: &FileId) -> Result<FileLog, StoreError>;

    /// Everything logged after `from`, or [`Backfill::Reset`] if that is of another epoch or trimmed away.
    async fn backfill(&self, room: &RoomId, from: Position) -> Result<Backfill, StoreError>;

    /// Claims a path for a new file with [`room::store::empty_base`], makes it dirty and logs [`created_event`]. If the path
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

/// The room event that [`RoomLog::claim`] logs.
pub fn created_event(id: &FileId, path: &FilePath) -> Bytes {
    let change = json!({ "op": "create", "id": id, "path": path });
    Bytes::from(json!({ "type": "files", "changes": [change] }).to_string())
}

//! The archive in MongoDB: collections `shards`, `files` and `file_pieces`, readable with any of its tools.
//!
//! Promise: a write is answered when a majority has it in its journal; a file is only written over what its
//! writer has seen; a shard is missing only if a majority read says so. There are no transactions: a shard
//! comes and goes with one write of its own document, and what is left of files without it is never read.
//! Only what MongoDB 6 to 8 and FerretDB 1.24 share is used.

mod connection;
mod failure;
mod making;
mod pieces;
mod reading;
mod record;
mod file_record;
mod removal;
mod saving;
mod watch;

use async_trait::async_trait;
use secrecy::SecretString;
use shared::id::{FileId, RoomId};

use self::connection::Connection;
pub use self::connection::Deadlines;
use super::{Archive, ArchiveError, FileWrite, Making, NewShard, Saved, Shard, StoredFile};

/// The archive of a production.
pub struct MongoArchive {
    connection: Connection,
}

impl MongoArchive {
    /// Prepares the connections to the servers of the address, and the indexes if a server answers; else that
    /// comes before the first write. An address or a password that is refused is an error.
    pub async fn open(address: &SecretString) -> Result<Self, ArchiveError> {
        Self::open_within(address, Deadlines::default()).await
    }

    /// Like [`Self::open`], with other deadlines.
    pub async fn open_within(address: &SecretString, deadlines: Deadlines) -> Result<Self, ArchiveError> {
        Ok(Self { connection: Connection::open(address, deadlines).await? })
    }

    /// Asks a server whether it is there.
    pub async fn ping(&self) -> Result<(), ArchiveError> {
        self.connection.ping().await
    }

    /// Closes all connections; whatever is asked afterwards fails.
    pub async fn close(&self) {
        self.connection.close().await;
    }
}

#[async_trait]
impl Archive for MongoArchive {
    async fn find_by_id(&self, id: &RoomId) -> Result<Option<Shard>, ArchiveError> {
        let Some((shard, files)) = self.connection.snapshot(id, record::entry_fields()).await? else {
            return Ok(None);
        };
        let files = files.iter().map(record::entry).collect::<Result<Vec<_>, _>>()?;
        record::shard(id, &shard, files).map(Some)
    }

    async fn making(&self, id: &RoomId) -> Result<Option<Making>, ArchiveError> {
        Ok(self.connection.head(id).await?.map(|head| head.id()))
    }

    async fn create(&self, shard: NewShard) -> Result<(), ArchiveError> {
        self.connection.create(&shard).await
    }

    async fn files(&self, id: &RoomId) -> Result<Vec<StoredFile>, ArchiveError> {
        self.connection.stored_files(id).await
    }

    async fn file(&self, id: &RoomId, file: &FileId) -> Result<Option<StoredFile>, ArchiveError> {
        let (head, record) = tokio::try_join!(self.connection.head(id), self.connection.file(id, file))?;
        let Some(head) = head else { return Ok(None) };
        self.connection.stored_file(id, file, head.making, record).await
    }

    async fn save_file(
        &self,
        id: &RoomId,
        known: Option<u64>,
        file: FileWrite,
    ) -> Result<Saved, ArchiveError> {
        self.connection.save(id, known, &file).await
    }

    async fn synced(&self, id: &RoomId, last_sync_timestamp: u64) -> Result<(), ArchiveError> {
        self.connection.synced(id, last_sync_timestamp).await
    }

    async fn delete(&self, id: &RoomId) -> Result<bool, ArchiveError> {
        self.connection.delete(id).await
    }
}

//! An archive with somebody in between: whatever a test wants to happen around a call of it.

use std::{ops::Deref, sync::Arc};

use async_trait::async_trait;
use origin::archive::{Archive, ArchiveError, FileWrite, Making, NewShard, Saved, Shard, StoredFile};
use shared::id::{FileId, RoomId};

/// What happens around the calls of an archive; by itself nothing.
#[async_trait]
pub(crate) trait Between: Send + Sync + 'static {
    /// The whole tree is read.
    fn tree_is_read(&self) {}

    /// It is looked whether there is such a shard.
    fn shard_is_looked_for(&self) {}

    /// Whether it answers nothing about one shard.
    fn is_away(&self) -> bool {
        false
    }

    async fn save_file(
        &self,
        archive: &dyn Archive,
        id: &RoomId,
        known: Option<u64>,
        file: FileWrite,
    ) -> Result<Saved, ArchiveError> {
        archive.save_file(id, known, file).await
    }

    async fn synced(
        &self,
        archive: &dyn Archive,
        id: &RoomId,
        last_sync_timestamp: u64,
    ) -> Result<(), ArchiveError> {
        archive.synced(id, last_sync_timestamp).await
    }

    async fn delete(&self, archive: &dyn Archive, id: &RoomId) -> Result<bool, ArchiveError> {
        archive.delete(id).await
    }
}

/// An archive that is called through somebody.
pub(crate) struct Through<B> {
    pub(crate) inner: Arc<dyn Archive>,
    pub(crate) by: B,
}

impl<B> Deref for Through<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.by
    }
}

#[async_trait]
impl<B: Between> Archive for Through<B> {
    async fn find_by_id(&self, id: &RoomId) -> Result<Option<Shard>, ArchiveError> {
        self.by.tree_is_read();
        self.inner.find_by_id(id).await
    }

    async fn making(&self, id: &RoomId) -> Result<Option<Making>, ArchiveError> {
        self.by.shard_is_looked_for();
        if self.by.is_away() {
            return Err(ArchiveError::Failed("it is away".to_owned()));
        }
        self.inner.making(id).await
    }

    async fn create(&self, shard: NewShard) -> Result<(), ArchiveError> {
        self.inner.create(shard).await
    }

    async fn files(&self, id: &RoomId) -> Result<Vec<StoredFile>, ArchiveError> {
        self.inner.files(id).await
    }

    async fn file(&self, id: &RoomId, file: &FileId) -> Result<Option<StoredFile>, ArchiveError> {
        self.inner.file(id, file).await
    }

    async fn save_file(
        &self,
        id: &RoomId,
        known: Option<u64>,
        file: FileWrite,
    ) -> Result<Saved, ArchiveError> {
        self.by.save_file(&*self.inner, id, known, file).await
    }

    async fn synced(&self, id: &RoomId, last_sync_timestamp: u64) -> Result<(), ArchiveError> {
        self.by.synced(&*self.inner, id, last_sync_timestamp).await
    }

    async fn delete(&self, id: &RoomId) -> Result<bool, ArchiveError> {
        self.by.delete(&*self.inner, id).await
    }
}

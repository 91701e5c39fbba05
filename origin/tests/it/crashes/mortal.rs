//! Stores that answer a process until it dies at one of its calls: from then on it hears nothing any more.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use origin::{
    archive::{Archive, ArchiveError, FileWrite, Making, NewShard, Saved, Shard, StoredFile},
    store::{
        Backfill, Base, Batch, Catalog, Claimed, Dirty, FileLog, FlushAck, Joined, Leases, Left, Listed,
        ListedMember, LoaderToken, Logged, Outcome, Published, RoomLog, RoomStore, StoreError, Subscriptions,
        Survey,
    },
};
use shared::{
    id::{FileId, FilePath, RoomId},
    position::{Epoch, Position},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The call that a process does not outlive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Death {
    /// Its number, counted from 0.
    pub(super) call: usize,
    /// It is carried out, and only its answer is lost.
    pub(super) carried_out: bool,
}

/// How long a process lives, in calls.
pub(super) struct Lifeline {
    calls: AtomicUsize,
    death: Option<Death>,
    cut: CancellationToken,
}

impl Lifeline {
    pub(super) fn new(death: Option<Death>) -> Arc<Self> {
        Arc::new(Self { calls: AtomicUsize::new(0), death, cut: CancellationToken::new() })
    }

    /// What the process does, if it lives to the end of that.
    pub(super) async fn lives_through<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.cut.cancelled() => None,
            done = work => Some(done),
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.cut.is_cancelled()
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let number = self.calls.fetch_add(1, Relaxed);
        let last = self.death.filter(|death| death.call == number);
        if last.is_some_and(|death| !death.carried_out) {
            self.cut.cancel();
        }
        if self.is_dead() {
            return pending().await;
        }
        let answer = call.await;
        if last.is_some() {
            self.cut.cancel();
        }
        // What was asked before is carried out, but who asked is gone.
        if self.is_dead() { pending().await } else { answer }
    }
}

/// A store as a mortal process sees it.
pub(super) struct Mortal<S: ?Sized> {
    pub(super) inner: Arc<S>,
    pub(super) line: Arc<Lifeline>,
}

impl RoomStore for Mortal<dyn RoomStore> {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }
}

#[async_trait]
impl RoomLog for Mortal<dyn RoomStore> {
    fn confirms_by_append(&self) -> bool {
        self.inner.confirms_by_append()
    }

    async fn append(&self, room: &RoomId, epoch: Epoch, batch: Batch) -> Result<Vec<Logged>, StoreError> {
        self.line.call(self.inner.append(room, epoch, batch)).await
    }

    async fn read(&self, room: &RoomId, file: &FileId) -> Result<FileLog, StoreError> {
        self.line.call(self.inner.read(room, file)).await
    }

    async fn backfill(&self, room: &RoomId, from: Position) -> Result<Backfill, StoreError> {
        self.line.call(self.inner.backfill(room, from)).await
    }

    async fn claim(
        &self,
        room: &RoomId,
        epoch: Epoch,
        path: &FilePath,
        id: &FileId,
    ) -> Result<Claimed, StoreError> {
        self.line.call(self.inner.claim(room, epoch, path, id)).await
    }

    async fn secret(&self, room: &RoomId) -> Result<String, StoreError> {
        self.line.call(self.inner.secret(room)).await
    }

    async fn names(&self, room: &RoomId) -> Result<Vec<(FileId, FilePath)>, StoreError> {
        self.line.call(self.inner.names(room)).await
    }

    async fn dirty(&self, room: &RoomId) -> Result<Dirty, StoreError> {
        self.line.call(self.inner.dirty(room)).await
    }

    async fn ack(&self, room: &RoomId, epoch: Epoch, ack: FlushAck) -> Result<(), StoreError> {
        self.line.call(self.inner.ack(room, epoch, ack)).await
    }

    async fn compact(&self, room: &RoomId, epoch: Epoch, merged: FlushAck) -> Result<(), StoreError> {
        self.line.call(self.inner.compact(room, epoch, merged)).await
    }
}

#[async_trait]
impl Leases for Mortal<dyn RoomStore> {
    async fn join(&self, room: &RoomId, origin: &str, lease: Duration) -> Result<Joined, StoreError> {
        self.line.call(self.inner.join(room, origin, lease)).await
    }

    async fn commit(
        &self,
        room: &RoomId,
        loader: &LoaderToken,
        bases: Vec<Base>,
        not_before: u64,
    ) -> Result<Position, StoreError> {
        self.line.call(self.inner.commit(room, loader, bases, not_before)).await
    }

    async fn list(&self, room: &RoomId, origin: &str, members: Vec<ListedMember>) -> Result<(), StoreError> {
        self.line.call(self.inner.list(room, origin, members)).await
    }

    async fn listed(&self, room: &RoomId) -> Result<Vec<Listed>, StoreError> {
        self.line.call(self.inner.listed(room)).await
    }

    async fn leave(&self, room: &RoomId, origin: &str, epoch: Epoch) -> Result<Left, StoreError> {
        self.line.call(self.inner.leave(room, origin, epoch)).await
    }

    async fn seal(&self, room: &RoomId, at_most: Duration) -> Result<(), StoreError> {
        self.line.call(self.inner.seal(room, at_most)).await
    }

    async fn erase(&self, room: &RoomId) -> Result<(), StoreError> {
        self.line.call(self.inner.erase(room)).await
    }
}

#[async_trait]
impl Catalog for Mortal<dyn RoomStore> {
    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.line.call(self.inner.rooms()).await
    }

    async fn survey(&self, room: &RoomId, files: &[FileId]) -> Result<Survey, StoreError> {
        self.line.call(self.inner.survey(room, files)).await
    }

    async fn record_flush_outcome(&self, room: &RoomId, outcome: Outcome) -> Result<(), StoreError> {
        self.line.call(self.inner.record_flush_outcome(room, outcome)).await
    }
}

#[async_trait]
impl Subscriptions for Mortal<dyn RoomStore> {
    async fn announce(&self, room: &RoomId, note: Bytes) -> Result<(), StoreError> {
        self.line.call(self.inner.announce(room, note)).await
    }

    async fn subscribe(&self, room: &RoomId) -> Result<mpsc::Receiver<Published>, StoreError> {
        self.line.call(self.inner.subscribe(room)).await
    }
}

#[async_trait]
impl Archive for Mortal<dyn Archive> {
    async fn find_by_id(&self, id: &RoomId) -> Result<Option<Shard>, ArchiveError> {
        self.line.call(self.inner.find_by_id(id)).await
    }

    async fn making(&self, id: &RoomId) -> Result<Option<Making>, ArchiveError> {
        self.line.call(self.inner.making(id)).await
    }

    async fn create(&self, shard: NewShard) -> Result<(), ArchiveError> {
        self.line.call(self.inner.create(shard)).await
    }

    async fn files(&self, id: &RoomId) -> Result<Vec<StoredFile>, ArchiveError> {
        self.line.call(self.inner.files(id)).await
    }

    async fn file(&self, id: &RoomId, file: &FileId) -> Result<Option<StoredFile>, ArchiveError> {
        self.line.call(self.inner.file(id, file)).await
    }

    async fn save_file(
        &self,
        id: &RoomId,
        known: Option<u64>,
        file: FileWrite,
    ) -> Result<Saved, ArchiveError> {
        self.line.call(self.inner.save_file(id, known, file)).await
    }

    async fn synced(&self, id: &RoomId, last_sync_timestamp: u64) -> Result<(), ArchiveError> {
        self.line.call(self.inner.synced(id, last_sync_timestamp)).await
    }

    async fn delete(&self, id: &RoomId) -> Result<bool, ArchiveError> {
        self.line.call(self.inner.delete(id)).await
    }
}

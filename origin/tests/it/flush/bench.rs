//! An open room between a real store and an archive that can be told to misbehave.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use origin::{
    archive::{Archive, ArchiveError, Eol, FileWrite, NewShard, Saved, StoredFile, sqlite::SqliteArchive},
    flush::{
        flusher::Flusher,
        job::flush_room,
        parking::Parking,
        report::{FlushError, FlushReport},
        runner::FlushRunner,
        threads::FlushThreads,
    },
    project::text::state_of,
    store::{Base, Entry, RoomLog, Source, embedded::EmbeddedStore},
};
use shared::{
    id::{FileId, RoomId},
    position::Epoch,
};
use tokio::{sync::Semaphore, time::Duration};

use crate::{
    room_store_contract::setup::{any_room, batch, file, path, populate},
    support::{
        archive::{Between, Through},
        documents::typed,
    },
};

/// The time of every flush.
pub(super) const NOW: u64 = 4_000_000_000_000_000;

/// What happens just before a write.
pub(super) type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// Fails when it is told to, or lets something else happen just before a write.
#[derive(Default)]
pub(super) struct Rigged {
    pub(super) before_save: Mutex<Option<Hook>>,
    pub(super) failing: Mutex<Option<FileId>>,
    pub(super) refusing: Mutex<Option<FileId>>,
    pub(super) saves: AtomicUsize,
    /// Writes wait here until it is closed.
    pub(super) gate: Mutex<Option<Arc<Semaphore>>>,
    /// Writes that wait there.
    pub(super) waiting: AtomicUsize,
    /// `last_sync_timestamp` cannot be moved.
    pub(super) unsettled: AtomicBool,
    /// Nothing is answered.
    pub(super) away: AtomicBool,
    /// How often the whole tree was read.
    pub(super) trees: AtomicUsize,
}

#[async_trait]
impl Between for Rigged {
    fn tree_is_read(&self) {
        self.trees.fetch_add(1, Relaxed);
    }

    fn is_away(&self) -> bool {
        self.away.load(Relaxed)
    }

    async fn save_file(
        &self,
        archive: &dyn Archive,
        id: &RoomId,
        known: Option<u64>,
        file: FileWrite,
    ) -> Result<Saved, ArchiveError> {
        self.saves.fetch_add(1, Relaxed);
        let hook = self.before_save.lock().unwrap().take();
        if let Some(hook) = hook {
            hook().await;
        }
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            self.waiting.fetch_add(1, Relaxed);
            gate.acquire().await.unwrap_err();
        }
        if self.failing.lock().unwrap().as_ref() == Some(&file.id) {
            return Err(ArchiveError::Failed("no majority".to_owned()));
        }
        if self.refusing.lock().unwrap().as_ref() == Some(&file.id) {
            return Err(ArchiveError::Refused("too large".to_owned()));
        }
        archive.save_file(id, known, file).await
    }

    async fn synced(&self, archive: &dyn Archive, id: &RoomId, until: u64) -> Result<(), ArchiveError> {
        if self.unsettled.load(Relaxed) {
            return Err(ArchiveError::Failed("no majority".to_owned()));
        }
        archive.synced(id, until).await
    }
}

/// An open room with the files 1 ("one") and 2 ("two"), both in the archive.
pub(super) struct Bench {
    pub(super) store: Arc<EmbeddedStore>,
    pub(super) archive: Arc<Through<Rigged>>,
    pub(super) room: RoomId,
    pub(super) epoch: Epoch,
    pub(super) parking: Parking,
    /// The time of the next flush.
    pub(super) now: Mutex<u64>,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap());
        let inner = SqliteArchive::open(&dir.path().join("archive.db")).unwrap();
        let archive = Arc::new(Through { inner: Arc::new(inner), by: Rigged::default() });
        let room = any_room();
        let files = vec![first_write(1, "one"), first_write(2, "two")];
        let bases = files.iter().map(|one| Base {
            file: one.id.clone(),
            path: one.path.clone(),
            state: one.state.clone(),
        });
        let bases = bases.collect();
        let shard = NewShard { id: room.clone(), title: String::new(), template: None, files, now: 1 };
        archive.create(shard).await.unwrap();
        let epoch = populate(&*store, &room, bases).await.epoch;
        Self { store, archive, room, epoch, parking: Parking::default(), now: Mutex::new(NOW), _dir: dir }
    }

    pub(super) async fn flush(&self) -> Result<FlushReport, FlushError> {
        let now = *self.now.lock().unwrap();
        flush_room(&*self.store, &*self.archive, &self.parking, &self.room, now).await
    }

    /// Logs that `author` types `text` at the end of the file, as the file now is in the room.
    pub(super) async fn types(&self, n: u8, author: u64, text: &str) -> u64 {
        types(&self.store, &self.room, self.epoch, n, author, text).await
    }

    pub(super) async fn stored(&self, n: u8) -> StoredFile {
        self.archive.inner.file(&self.room, &file(n)).await.unwrap().unwrap()
    }

    pub(super) async fn is_dirty(&self, n: u8) -> bool {
        self.store.dirty(&self.room).await.unwrap().files.iter().any(|(id, _)| *id == file(n))
    }

    pub(super) fn flusher(&self) -> Arc<Flusher> {
        Arc::new(Flusher {
            store: self.store.clone(),
            archive: self.archive.clone(),
            parking: Parking::default(),
            now_us: || NOW,
        })
    }
}

/// What runs this flusher, on these threads.
pub(super) fn runner(flusher: &Arc<Flusher>, threads: &FlushThreads) -> Arc<FlushRunner> {
    Arc::new(FlushRunner {
        flusher: flusher.clone(),
        threads: threads.handle().clone(),
        timeout: Duration::from_secs(60),
        observe: Box::new(|_, _, _| {}),
    })
}

pub(super) fn first_write(n: u8, text: &str) -> FileWrite {
    FileWrite {
        id: file(n),
        path: path(&format!("{n}.js")),
        text: text.to_owned(),
        state: state_of(text, u64::from(n)),
        ts: 1,
        seq: 0,
        eol: Eol::Crlf,
        making: None,
        write_id: format!("first-{n}"),
        now: 1,
    }
}

pub(super) fn change(n: u8, bytes: Bytes) -> Entry {
    Entry::new(file(n), Source::default(), bytes)
}

pub(super) async fn types(
    store: &EmbeddedStore,
    room: &RoomId,
    epoch: Epoch,
    n: u8,
    author: u64,
    text: &str,
) -> u64 {
    let log = store.read(room, &file(n)).await.unwrap();
    let parts = std::iter::once(log.base).chain(log.updates.into_iter().map(|entry| entry.bytes));
    let entry = change(n, typed(parts, author, text));
    store.append(room, epoch, batch("o1", 0, vec![entry])).await.unwrap()[0].seq
}

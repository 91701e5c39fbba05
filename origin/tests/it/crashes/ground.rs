//! Where the stores of a history stand, whoever opens them.

use std::sync::Arc;

use origin::{
    archive::{Archive, sqlite::SqliteArchive},
    store::{RoomStore, embedded::EmbeddedStore},
};
use tempfile::TempDir;

use crate::support::redis;

pub(super) enum Ground {
    /// Files in a folder.
    Embedded(TempDir),
    /// The Redis at this address, and an archive that is open already: its connections keep nothing.
    Shared(String, Arc<dyn Archive>),
}

/// Stores that are open.
pub(super) struct Stores {
    pub(super) rooms: Arc<dyn RoomStore>,
    pub(super) archive: Arc<dyn Archive>,
}

impl Ground {
    pub(super) fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }

    pub(super) async fn open(&self) -> Stores {
        match self {
            Self::Embedded(dir) => Stores {
                rooms: Arc::new(EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap()),
                archive: Arc::new(SqliteArchive::open(&dir.path().join("archive.db")).unwrap()),
            },
            Self::Shared(url, archive) => Stores { rooms: redis::open(url).store, archive: archive.clone() },
        }
    }
}

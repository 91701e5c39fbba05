//! The folder of the embedded stores: of one process alone, or of several that share what may be shared.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

/// The folder, locked until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{} is in use by another process: give each origin a DATA_DIR of its own", .0.display())]
    InUse(PathBuf),
    /// It cannot be made or locked.
    #[error("opening {}: {error}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl DataDir {
    /// Makes the folder if it is not there and takes its lock, without waiting for it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        Self::open_with(path, File::try_lock)
    }

    /// [`Self::open`] together with others that open it so: for processes whose rooms are in Redis, which share
    /// the archive. One that needs the folder for itself is kept out.
    pub fn share(path: &Path) -> Result<Self, DataDirError> {
        Self::open_with(path, File::try_lock_shared)
    }

    fn open_with(
        path: &Path,
        take: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, DataDirError> {
        let failed = |error| DataDirError::Io { path: path.to_owned(), error };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::create(path.join("lock")).map_err(failed)?;
        match take(&lock) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where the room store keeps its log.
    pub fn rooms(&self) -> PathBuf {
        self.path.join("rooms.db")
    }

    /// Where the archive keeps its shards.
    pub fn archive(&self) -> PathBuf {
        self.path.join("archive.db")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(_))));
        drop(first);
        assert!(DataDir::open(&path).is_ok());
    }

    #[test]
    fn those_that_share_it_keep_out_one_that_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::share(folder.path()).unwrap();
        let second = DataDir::share(folder.path()).unwrap();
        assert!(matches!(DataDir::open(folder.path()), Err(DataDirError::InUse(_))));
        drop((first, second));
        let alone = DataDir::open(folder.path()).unwrap();
        assert!(matches!(DataDir::share(folder.path()), Err(DataDirError::InUse(_))));
        drop(alone);
    }
}

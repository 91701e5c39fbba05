//! The archive in one SQLite file (WAL, synchronous FULL), readable with the `sqlite3` tool.
//!
//! Promise: a write is on disk before it is answered, and two writers never overwrite each other unseen, also
//! when they are different processes. SQLite is only called on threads that may block.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, named_params, params,
};
use shared::id::{FileId, FilePath, IdError, RoomId};

use super::{Archive, ArchiveError, Eol, FileEntry, FileWrite, Making, NewShard, Saved, Shard, StoredFile};

/// The format of the records that this code writes.
const FORMAT: u32 = 1;

/// Bytes of a page.
const PAGE: u32 = 16 << 10;

/// How often and at which intervals a file is tried that another process is making.
const OPEN_TRIES: u32 = 200;
/// See [`OPEN_TRIES`].
const OPEN_PAUSE: Duration = Duration::from_millis(10);

const SELECT_FILE: &str =
    "SELECT format, fid, path, ver, ts, wid, eol, stored_at, text, state FROM files WHERE shard = ?1";

/// The embedded archive.
pub struct SqliteArchive {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteArchive {
    /// Opens or makes the file at `path`, which other processes may do at the same moment.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let mut tries = 0;
        loop {
            match Self::try_open(path) {
                // The first change to WAL does not wait for another's.
                Err(error) if is_busy(&error) && tries < OPEN_TRIES => {
                    tries += 1;
                    thread::sleep(OPEN_PAUSE);
                }
                opened => return Ok(opened?),
            }
        }
    }

    fn try_open(path: &Path) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // Files are larger than SQLite's own pages. It says nothing to a database that is there.
        connection.pragma_update(None, "page_size", PAGE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(include_str!("schema.sql"))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let connection = self.connection.clone();
        let work = move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(work).await.map_err(|error| ArchiveError::Failed(error.to_string()))?
    }

    /// Runs `work` with the write lock taken first, so that what it reads is still true when it writes.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        self.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }
}

#[async_trait]
impl Archive for SqliteArchive {
    async fn find_by_id(&self, id: &RoomId) -> Result<Option<Shard>, ArchiveError> {
        let id = id.clone();
        self.run(move |connection| find(&*connection.transaction()?, id)).await
    }

    async fn making(&self, id: &RoomId) -> Result<Option<Making>, ArchiveError> {
        let id = id.clone();
        self.run(move |connection| making(connection, &id)).await
    }

    async fn create(&self, shard: NewShard) -> Result<(), ArchiveError> {
        self.change(move |to| create(to, &shard)).await
    }

    async fn files(&self, id: &RoomId) -> Result<Vec<StoredFile>, ArchiveError> {
        let id = id.clone();
        self.run(move |connection| {
            let mut select = connection.prepare_cached(&format!("{SELECT_FILE} ORDER BY path"))?;
            let mut rows = select.query([id.as_str()])?;
            let mut files = Vec::new();
            while let Some(row) = rows.next()? {
                files.push(stored_file(row)?);
            }
            Ok(files)
        })
        .await
    }

    async fn file(&self, id: &RoomId, file: &FileId) -> Result<Option<StoredFile>, ArchiveError> {
        let (id, file) = (id.clone(), file.clone());
        self.run(move |connection| read_file(connection, &id, &file)).await
    }

    async fn save_file(
        &self,
        id: &RoomId,
        known: Option<u64>,
        file: FileWrite,
    ) -> Result<Saved, ArchiveError> {
        let id = id.clone();
        self.change(move |to| {
            let Some(making) = making(to, &id)? else { return Ok(Saved::NoShard) };
            if file.making.is_some_and(|meant| meant != making) {
                return Ok(Saved::NoShard);
            }
            match version_of(to, &id, &file.id)? {
                Some((version, write_id)) if write_id == file.write_id => Ok(Saved::Written(version)),
                Some((version, _)) if known != Some(version) => {
                    let stored = read_file(to, &id, &file.id)?;
                    let gone = || ArchiveError::Failed("a file that is there is not found".to_owned());
                    stored.map(|stored| Saved::Miss(Box::new(stored))).ok_or_else(gone)
                }
                _ => {
                    let version = known.unwrap_or(0) + 1;
                    write_file(to, &id, version, &file)?;
                    Ok(Saved::Written(version))
                }
            }
        })
        .await
    }

    async fn synced(&self, id: &RoomId, last_sync_timestamp: u64) -> Result<(), ArchiveError> {
        let id = id.clone();
        self.change(move |to| {
            to.execute(
                "UPDATE shards SET last_sync_timestamp = max(last_sync_timestamp, ?2) WHERE id = ?1",
                params![id.as_str(), last_sync_timestamp],
            )?;
            Ok(())
        })
        .await
    }

    async fn delete(&self, id: &RoomId) -> Result<bool, ArchiveError> {
        let id = id.clone();
        self.change(move |to| {
            to.execute("DELETE FROM files WHERE shard = ?1", [id.as_str()])?;
            Ok(to.execute("DELETE FROM shards WHERE id = ?1", [id.as_str()])? > 0)
        })
        .await
    }
}

fn find(from: &Connection, id: RoomId) -> Result<Option<Shard>, ArchiveError> {
    if making(from, &id)?.is_none() {
        return Ok(None);
    }
    let mut select = from.prepare_cached(
        "SELECT format, fid, path, ts, stored_at, eol FROM files WHERE shard = ?1 ORDER BY path",
    )?;
    let mut rows = select.query([id.as_str()])?;
    let mut files = Vec::new();
    while let Some(row) = rows.next()? {
        readable(row.get(0)?)?;
        files.push(FileEntry {
            id: FileId::parse(&row.get::<_, String>(1)?)?,
            path: FilePath::parse(&row.get::<_, String>(2)?)?,
            ts: row.get(3)?,
            stored_at: row.get(4)?,
            eol: eol(&row.get::<_, String>(5)?)?,
        });
    }
    let mut select =
        from.prepare_cached("SELECT title, template, last_sync_timestamp FROM shards WHERE id = ?1")?;
    let (title, template, last_sync_timestamp) =
        select.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(Some(Shard { id, title, template, files, last_sync_timestamp }))
}

fn create(to: &Transaction<'_>, shard: &NewShard) -> Result<(), ArchiveError> {
    let inserted = to.execute(
        "INSERT INTO shards (id, format, title, template, last_sync_timestamp, created_at)
         VALUES (?1, ?2, ?3, ?4, 0, ?5) ON CONFLICT DO NOTHING",
        params![shard.id.as_str(), FORMAT, shard.title, shard.template, shard.now],
    )?;
    if inserted == 0 {
        return Err(ArchiveError::Taken);
    }
    shard.files.iter().try_for_each(|file| write_file(to, &shard.id, 1, file))
}

fn read_file(from: &Connection, id: &RoomId, file: &FileId) -> Result<Option<StoredFile>, ArchiveError> {
    let mut select = from.prepare_cached(&format!("{SELECT_FILE} AND fid = ?2"))?;
    let mut rows = select.query([id.as_str(), file.as_str()])?;
    rows.next()?.map(stored_file).transpose()
}

/// Version and write id of a file.
fn version_of(from: &Connection, id: &RoomId, file: &FileId) -> Result<Option<(u64, String)>, ArchiveError> {
    let mut select =
        from.prepare_cached("SELECT format, ver, wid FROM files WHERE shard = ?1 AND fid = ?2")?;
    let found: Option<(u32, u64, String)> = select
        .query_row([id.as_str(), file.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    found.map(|(format, version, write_id)| readable(format).map(|_| (version, write_id))).transpose()
}

fn write_file(to: &Transaction<'_>, id: &RoomId, version: u64, file: &FileWrite) -> Result<(), ArchiveError> {
    let mut upsert = to.prepare_cached(
        "INSERT INTO files (shard, fid, format, path, ver, ts, seq, wid, eol, stored_at, text, state)
         VALUES (:shard, :fid, :format, :path, :ver, :ts, :seq, :wid, :eol, :stored_at, :text, :state)
         ON CONFLICT (shard, fid) DO UPDATE SET format = excluded.format, path = excluded.path,
         ver = excluded.ver, ts = excluded.ts, seq = excluded.seq, wid = excluded.wid, eol = excluded.eol,
         stored_at = excluded.stored_at, text = excluded.text, state = excluded.state",
    )?;
    let written = upsert.execute(named_params! {
        ":shard": id.as_str(),
        ":fid": file.id.as_str(),
        ":format": FORMAT,
        ":path": file.path.as_str(),
        ":ver": version,
        ":ts": file.ts,
        ":seq": file.seq,
        ":wid": file.write_id,
        ":eol": eol_word(file.eol),
        ":stored_at": file.now,
        ":text": file.text,
        ":state": file.state.as_ref(),
    });
    match written {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(ArchiveError::Path(file.path.clone()))
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::TooBig) => {
            Err(ArchiveError::Refused(error.to_string()))
        }
        written => Ok(written.map(drop)?),
    }
}

/// A shard is made at most once in a microsecond.
fn making(from: &Connection, id: &RoomId) -> Result<Option<Making>, ArchiveError> {
    let mut select = from.prepare_cached("SELECT format, created_at FROM shards WHERE id = ?1")?;
    let found: Option<(u32, u64)> =
        select.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(|(format, created_at)| readable(format).map(|_| Making(created_at))).transpose()
}

fn stored_file(row: &Row<'_>) -> Result<StoredFile, ArchiveError> {
    readable(row.get(0)?)?;
    Ok(StoredFile {
        id: FileId::parse(&row.get::<_, String>(1)?)?,
        path: FilePath::parse(&row.get::<_, String>(2)?)?,
        version: row.get(3)?,
        ts: row.get(4)?,
        write_id: row.get(5)?,
        eol: eol(&row.get::<_, String>(6)?)?,
        stored_at: row.get(7)?,
        text: row.get(8)?,
        state: Bytes::from(row.get::<_, Vec<u8>>(9)?),
    })
}

fn readable(format: u32) -> Result<u32, ArchiveError> {
    if format > FORMAT { Err(ArchiveError::Version(format)) } else { Ok(format) }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn eol_word(eol: Eol) -> &'static str {
    match eol {
        Eol::Lf => "lf",
        Eol::Crlf => "crlf",
        Eol::Cr => "cr",
    }
}

fn eol(word: &str) -> Result<Eol, ArchiveError> {
    [Eol::Lf, Eol::Crlf, Eol::Cr]
        .into_iter()
        .find(|eol| eol_word(*eol) == word)
        .ok_or_else(|| ArchiveError::Failed(format!("unknown line end {word:?}")))
}

impl From<rusqlite::Error> for ArchiveError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<IdError> for ArchiveError {
    fn from(error: IdError) -> Self {
        Self::Failed(format!("a stored id is damaged: {error}"))
    }
}

//! The SQLite file of the embedded room store: each [`Change`] as rows, and the rooms read back from them.

use std::{collections::HashMap, path::Path, time::Duration};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use shared::{
    id::{FileId, FilePath, IdError, RoomId},
    position::{Epoch, Position},
};

use super::{
    change::Change,
    open::{BEGUN, File, Open, Unflushed, is_numbered},
    room::Room,
};
use crate::store::{FlushAck, LogEntry, Source, StoreError, empty_base};

/// The version of the tables that this code reads and writes.
const FORMAT: u64 = 1;

/// Why the disk did not take or give something; answered to everyone whom it concerns.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    full: bool,
    text: String,
}

impl Failure {
    pub(super) fn answer(&self) -> StoreError {
        if self.full { StoreError::Full } else { StoreError::Failed(self.text.clone()) }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self { full: error.sqlite_error_code() == Some(ErrorCode::DiskFull), text: error.to_string() }
    }
}

impl From<IdError> for Failure {
    fn from(error: IdError) -> Self {
        Self { full: false, text: format!("a stored id is damaged: {error}") }
    }
}

/// The open file.
pub(super) struct Disk {
    connection: Connection,
}

impl Disk {
    /// Opens or makes the file at `path`; refuses one that a newer version has written.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.set_prepared_statement_cache_capacity(32);
        connection.execute_batch(include_str!("schema.sql"))?;
        connection
            .execute("INSERT OR IGNORE INTO meta VALUES ('format', ?1), ('last_epoch', 0)", [FORMAT])?;
        // 63 bits: a number of SQLite has a sign.
        let secret = rand::random::<u64>() >> 1;
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?1)", [secret])?;
        let disk = Self { connection };
        let format = disk.meta("format")?;
        if format > FORMAT {
            let text = format!("{} has format {format}, this software reads up to {FORMAT}", path.display());
            return Err(Failure { full: false, text });
        }
        Ok(disk)
    }

    /// The highest epoch that any room has had.
    pub(super) fn last_epoch(&self) -> Result<u64, Failure> {
        self.meta("last_epoch")
    }

    /// What only this store knows, drawn when the file was made.
    pub(super) fn secret(&self) -> Result<String, Failure> {
        Ok(format!("{:016x}", self.meta("secret")?))
    }

    /// Makes the changes durable, all or none.
    pub(super) fn write<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'a RoomId, &'a Change)>,
    ) -> Result<(), Failure> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (room, change) in changes {
            write_change(&transaction, room.as_str(), change)?;
        }
        Ok(transaction.commit()?)
    }

    /// Every room as it was last committed.
    pub(super) fn rooms(&self) -> Result<HashMap<RoomId, Room>, Failure> {
        let mut select = self.connection.prepare("SELECT room, epoch, seq, ts, trimmed_seq FROM rooms")?;
        let mut rows = select.query([])?;
        let mut rooms = HashMap::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let position = Position { epoch: Epoch(row.get(1)?), seq: row.get(2)?, ts: row.get(3)? };
            let mut open = Open::new(position, Vec::new());
            open.trimmed_seq = row.get(4)?;
            self.read_files(&name, &mut open)?;
            self.read_log(&name, &mut open)?;
            self.read_marks(&name, &mut open)?;
            rooms.insert(RoomId::parse(&name)?, Room::reopened(open));
        }
        Ok(rooms)
    }

    fn meta(&self, name: &str) -> Result<u64, Failure> {
        let value =
            self.connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0));
        Ok(value.optional()?.unwrap_or(0))
    }

    fn read_files(&self, room: &str, open: &mut Open) -> Result<(), Failure> {
        let mut select = self.connection.prepare_cached(
            "SELECT n.file, n.path, n.created_ts, b.ts, b.seq, b.state, coalesce(c.stored_seq, b.seq)
             FROM names n JOIN bases b USING (room, file)
             LEFT JOIN compacted c ON c.room = b.room AND c.file = b.file AND c.base_ts = b.ts
             WHERE n.room = ?1",
        )?;
        let mut rows = select.query([room])?;
        while let Some(row) = rows.next()? {
            let file = File {
                path: FilePath::parse(&row.get::<_, String>(1)?)?,
                dirty_ts: row.get(2)?,
                base_ts: row.get(3)?,
                base_seq: row.get(4)?,
                stored_seq: row.get(6)?,
                base: Bytes::from(row.get::<_, Vec<u8>>(5)?),
                updates: Vec::new(),
            };
            open.add(FileId::parse(&row.get::<_, String>(0)?)?, file);
        }
        Ok(())
    }

    fn read_log(&self, room: &str, open: &mut Open) -> Result<(), Failure> {
        let mut select = self.connection.prepare_cached(
            "SELECT file, seq, ts, hub, hub_seq, channel, bytes FROM log WHERE room = ?1 ORDER BY seq",
        )?;
        let mut rows = select.query([room])?;
        while let Some(row) = rows.next()? {
            open.log(log_entry(row)?);
        }
        Ok(())
    }

    fn read_marks(&self, room: &str, open: &mut Open) -> Result<(), Failure> {
        let mut select = self.connection.prepare_cached("SELECT hub, hub_seq FROM marks WHERE room = ?1")?;
        let mut rows = select.query([room])?;
        while let Some(row) = rows.next()? {
            open.marks.insert(row.get(0)?, row.get(1)?);
        }
        Ok(())
    }
}

fn log_entry(row: &Row<'_>) -> Result<LogEntry, Failure> {
    let name: String = row.get(0)?;
    let room = FileId::room();
    Ok(LogEntry {
        file: if name == room.as_str() { room } else { FileId::parse(&name)? },
        seq: row.get(1)?,
        ts: row.get(2)?,
        source: Source { hub: row.get(3)?, hub_seq: row.get(4)?, channel: row.get(5)? },
        bytes: Bytes::from(row.get::<_, Vec<u8>>(6)?),
    })
}

fn write_change(to: &Transaction<'_>, room: &str, change: &Change) -> Result<(), rusqlite::Error> {
    match change {
        Change::None => Ok(()),
        Change::Opened { position, bases } => {
            delete_room(to, room)?;
            to.execute("UPDATE meta SET value = ?1 WHERE name = 'last_epoch'", [position.epoch.0])?;
            to.prepare_cached("INSERT INTO rooms VALUES (?1, ?2, 0, ?3, 0)")?.execute(params![
                room,
                position.epoch.0,
                position.ts
            ])?;
            bases.iter().try_for_each(|base| {
                write_name(to, room, &base.file, &base.path, None)?;
                write_base(to, room, &base.file, position.ts, 0, &base.state)
            })
        }
        Change::Logged { position, entries, created, .. } => {
            if let Some((file, path)) = created {
                write_name(to, room, file, path, Some(position.ts))?;
                write_base(to, room, file, position.ts, position.seq, &empty_base())?;
            }
            to.prepare_cached("UPDATE rooms SET seq = ?2, ts = ?3 WHERE room = ?1")?.execute(params![
                room,
                position.seq,
                position.ts
            ])?;
            entries.iter().try_for_each(|entry| write_entry(to, room, entry))?;
            if entries.iter().any(|entry| entry.file.is_room()) { trim_events(to, room) } else { Ok(()) }
        }
        Change::Based { ack, unflushed } => rebase(to, room, ack, *unflushed),
        Change::Sealed(true) => write_mark(to, room, BEGUN, 1),
        Change::Sealed(false) => {
            to.prepare_cached("DELETE FROM marks WHERE room = ?1 AND hub = ?2")?
                .execute(params![room, BEGUN])?;
            Ok(())
        }
        Change::Gone | Change::Erased => delete_room(to, room),
    }
}

fn write_name(
    to: &Transaction<'_>,
    room: &str,
    file: &FileId,
    path: &FilePath,
    dirty_ts: Option<u64>,
) -> Result<(), rusqlite::Error> {
    to.prepare_cached("INSERT INTO names VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        room,
        file.as_str(),
        path.as_str(),
        dirty_ts
    ])?;
    Ok(())
}

fn write_base(
    to: &Transaction<'_>,
    room: &str,
    file: &FileId,
    ts: u64,
    seq: u64,
    state: &[u8],
) -> Result<(), rusqlite::Error> {
    to.prepare_cached("INSERT OR REPLACE INTO bases VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
        room,
        file.as_str(),
        ts,
        seq,
        state
    ])?;
    Ok(())
}

fn write_entry(to: &Transaction<'_>, room: &str, entry: &LogEntry) -> Result<(), rusqlite::Error> {
    let Source { hub, hub_seq, channel } = &entry.source;
    to.prepare_cached("INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(params![
        room,
        entry.seq,
        entry.file.as_str(),
        entry.ts,
        hub,
        hub_seq,
        channel,
        entry.bytes.as_ref()
    ])?;
    if entry.file.is_room() && is_numbered(&entry.source) {
        write_mark(to, room, hub, *hub_seq)?;
    }
    Ok(())
}

fn write_mark(to: &Transaction<'_>, room: &str, hub: &str, hub_seq: u64) -> Result<(), rusqlite::Error> {
    to.prepare_cached("INSERT OR REPLACE INTO marks VALUES (?1, ?2, ?3)")?
        .execute(params![room, hub, hub_seq])?;
    Ok(())
}

/// Drops the events that memory no longer keeps.
fn trim_events(to: &Transaction<'_>, room: &str) -> Result<(), rusqlite::Error> {
    let oldest_kept: Option<u64> = to
        .prepare_cached(
            "SELECT seq FROM log WHERE room = ?1 AND file = ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3",
        )?
        .query_row(params![room, shared::limits::ROOM_DOCUMENT, room::limits::ROOM_EVENTS - 1], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(oldest_kept) = oldest_kept else { return Ok(()) };
    let trimmed = to
        .prepare_cached("SELECT max(seq) FROM log WHERE room = ?1 AND file = ?2 AND seq < ?3")?
        .query_row(params![room, shared::limits::ROOM_DOCUMENT, oldest_kept], |row| row.get(0))?;
    trim(to, room, shared::limits::ROOM_DOCUMENT, trimmed)
}

fn rebase(
    to: &Transaction<'_>,
    room: &str,
    ack: &FlushAck,
    unflushed: Option<Unflushed>,
) -> Result<(), rusqlite::Error> {
    let file = ack.file.as_str();
    write_base(to, room, &ack.file, ack.merged_ts, ack.merged_seq, &ack.state)?;
    to.prepare_cached("UPDATE names SET created_ts = ?3 WHERE room = ?1 AND file = ?2")?.execute(params![
        room,
        file,
        unflushed.map(|unflushed| unflushed.since)
    ])?;
    match unflushed {
        Some(Unflushed { stored_seq, .. }) => to
            .prepare_cached("INSERT OR REPLACE INTO compacted VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![room, file, ack.merged_ts, stored_seq])?,
        None => to
            .prepare_cached("DELETE FROM compacted WHERE room = ?1 AND file = ?2")?
            .execute(params![room, file])?,
    };
    let trimmed = to
        .prepare_cached("SELECT max(seq) FROM log WHERE room = ?1 AND file = ?2 AND ts <= ?3")?
        .query_row(params![room, file, ack.merged_ts], |row| row.get(0))?;
    trim(to, room, file, trimmed)
}

fn trim(to: &Transaction<'_>, room: &str, file: &str, up_to: Option<u64>) -> Result<(), rusqlite::Error> {
    let Some(seq) = up_to else { return Ok(()) };
    to.prepare_cached("DELETE FROM log WHERE room = ?1 AND file = ?2 AND seq <= ?3")?
        .execute(params![room, file, seq])?;
    to.prepare_cached("UPDATE rooms SET trimmed_seq = max(trimmed_seq, ?2) WHERE room = ?1")?
        .execute(params![room, seq])?;
    Ok(())
}

fn delete_room(to: &Transaction<'_>, room: &str) -> Result<(), rusqlite::Error> {
    for table in ["rooms", "names", "bases", "compacted", "log", "marks"] {
        to.prepare_cached(&format!("DELETE FROM {table} WHERE room = ?1"))?.execute([room])?;
    }
    Ok(())
}

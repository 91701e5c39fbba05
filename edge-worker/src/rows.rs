//! What a hub keeps in SQLite: the rows of open documents, the outbox, the dials that it asked for.
//!
//! The tables are made with the first row, so that a session without a valid token leaves nothing behind.

use std::cell::Cell;

use bytes::Bytes;
use serde::Serialize;
use shared::{Millis, id::ChannelId, limits};
use worker::{
    SqlStorage, SqlStorageValue,
    SqlStorageValue::{Blob, Integer, String as Text},
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS channels (channel INTEGER PRIMARY KEY, facts BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY, changes BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox_rest (number INTEGER, place INTEGER, changes BLOB NOT NULL,
        PRIMARY KEY (number, place));
    CREATE TABLE IF NOT EXISTS dials (nonce TEXT PRIMARY KEY, asked_at INTEGER NOT NULL) WITHOUT ROWID;
    INSERT OR IGNORE INTO meta (name, value) VALUES ('schema', '1');";

/// What fits into one row of SQLite: 2 MB with all its columns.
const ROW_BYTES: usize = 1_900_000;

/// The tables of one object.
#[derive(Debug)]
pub(crate) struct Rows {
    sql: SqlStorage,
    made: Cell<bool>,
}

/// A write that waits until everything of its turn has been sent: the first write of a turn holds back all that is
/// sent after it until it is durable.
#[derive(Debug)]
pub(crate) enum Write {
    /// Keep the row of an open document.
    Channel(ChannelId, Bytes),
    /// Forget it.
    DropChannel(ChannelId),
    /// Keep a row of the outbox.
    Outbox(u64, Bytes),
    /// Forget it.
    ForgetOutbox(u64),
}

/// How many rows there are.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counts {
    channels: usize,
    outbox: usize,
    dials: usize,
}

impl Rows {
    /// The rows of the object that owns `sql`.
    pub(crate) fn new(sql: SqlStorage) -> worker::Result<Self> {
        let has = |table: &str| -> worker::Result<bool> {
            let query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?";
            Ok(sql.exec(query, vec![table.into()])?.raw().next().transpose()?.is_some())
        };
        let made = has("meta")?;
        // An object from before there was this table.
        if made && !has("outbox_rest")? {
            sql.exec(SCHEMA, None)?;
        }
        Ok(Self { sql, made: Cell::new(made) })
    }

    /// Carries out a write.
    pub(crate) fn write(&self, write: Write) -> worker::Result<()> {
        match write {
            Write::Channel(channel, row) => {
                let row = vec![number(channel.0), Blob(row.into())];
                self.change("INSERT OR REPLACE INTO channels (channel, facts) VALUES (?, ?)", row)
            }
            Write::DropChannel(channel) => {
                self.forget("DELETE FROM channels WHERE channel = ?", vec![number(channel.0)])
            }
            Write::Outbox(row, changes) => self.keep_outbox(row, &changes),
            Write::ForgetOutbox(row) => {
                self.forget("DELETE FROM outbox_rest WHERE number = ?", vec![number(row)])?;
                self.forget("DELETE FROM outbox WHERE number = ?", vec![number(row)])
            }
        }
    }

    /// The rows of open documents.
    pub(crate) fn channels(&self) -> worker::Result<Vec<(ChannelId, Bytes)>> {
        let rows = self.blobs("SELECT channel, facts FROM channels ORDER BY channel", None)?;
        Ok(rows.into_iter().map(|(channel, row)| (ChannelId(channel), row)).collect())
    }

    /// The rows of the outbox, by number.
    pub(crate) fn outbox(&self) -> worker::Result<Vec<(u64, Bytes)>> {
        let mut rows = self.blobs("SELECT number, changes FROM outbox ORDER BY number", None)?;
        // What an older Worker has forgotten the first row of.
        self.forget("DELETE FROM outbox_rest WHERE number NOT IN (SELECT number FROM outbox)", vec![])?;
        for (row, changes) in rows.iter_mut().filter(|(_, changes)| changes.len() == ROW_BYTES) {
            let rest = "SELECT place, changes FROM outbox_rest WHERE number = ? ORDER BY place";
            let parts = self.blobs(rest, vec![number(*row)])?;
            let all = std::iter::once(&*changes).chain(parts.iter().map(|(_, part)| part));
            *changes = all.map(|part| &**part).collect::<Vec<&[u8]>>().concat().into();
        }
        Ok(rows)
    }

    /// Keeps a row of the outbox: what does not fit into one row of SQLite goes on in others.
    fn keep_outbox(&self, row: u64, changes: &[u8]) -> worker::Result<()> {
        let (first, rest) = changes.split_at(changes.len().min(ROW_BYTES));
        let values = vec![number(row), Blob(first.to_vec())];
        self.change("INSERT OR REPLACE INTO outbox (number, changes) VALUES (?, ?)", values)?;
        for (place, part) in (0..).zip(rest.chunks(ROW_BYTES)) {
            let values = vec![number(row), number(place), Blob(part.to_vec())];
            self.change(
                "INSERT OR REPLACE INTO outbox_rest (number, place, changes) VALUES (?, ?, ?)",
                values,
            )?;
        }
        Ok(())
    }

    /// The base URL under which the Worker was last reached.
    pub(crate) fn base(&self) -> worker::Result<Option<String>> {
        let found = self.select("SELECT value FROM meta WHERE name = 'base'", None)?;
        Ok(found
            .into_iter()
            .flatten()
            .find_map(|value| if let Text(base) = value { Some(base) } else { None }))
    }

    /// Keeps that URL.
    pub(crate) fn keep_base(&self, base: &str) -> worker::Result<()> {
        self.change("INSERT OR REPLACE INTO meta (name, value) VALUES ('base', ?)", vec![base.into()])
    }

    /// Remembers that an origin is asked to dial with this nonce, and forgets what is too old to be answered.
    pub(crate) fn ask_dial(&self, nonce: &str, now: Millis) -> worker::Result<()> {
        let too_old = now.saturating_sub(limits::SIGNATURE_MS);
        self.forget("DELETE FROM dials WHERE asked_at < ?", vec![number(too_old)])?;
        self.change(
            "INSERT OR REPLACE INTO dials (nonce, asked_at) VALUES (?, ?)",
            vec![nonce.into(), number(now)],
        )
    }

    /// Whether a dial with this nonce was asked for in the last minute and is not answered yet.
    pub(crate) fn dial_is_open(&self, nonce: &str, now: Millis) -> worker::Result<bool> {
        let since = now.saturating_sub(limits::SIGNATURE_MS);
        let row = vec![nonce.into(), number(since)];
        Ok(!self.select("SELECT 1 FROM dials WHERE nonce = ? AND asked_at >= ?", row)?.is_empty())
    }

    /// A dial is answered: its nonce is used up.
    pub(crate) fn answer_dial(&self, nonce: &str) -> worker::Result<()> {
        self.forget("DELETE FROM dials WHERE nonce = ?", vec![nonce.into()])
    }

    /// How many rows there are.
    pub(crate) fn counts(&self) -> worker::Result<Counts> {
        let count = |query: &str| -> worker::Result<usize> {
            let found = self.select(query, None)?;
            Ok(found.into_iter().flatten().map(|value| unsigned(&value) as usize).sum())
        };
        Ok(Counts {
            channels: count("SELECT count(*) FROM channels")?,
            outbox: count("SELECT count(*) FROM outbox")?,
            dials: count("SELECT count(*) FROM dials")?,
        })
    }

    fn change(&self, query: &str, row: Vec<SqlStorageValue>) -> worker::Result<()> {
        if !self.made.replace(true) {
            self.sql.exec(SCHEMA, None).inspect_err(|_| self.made.set(false))?;
        }
        self.sql.exec(query, row).map(drop)
    }

    /// Without tables there is nothing to forget.
    fn forget(&self, query: &str, row: Vec<SqlStorageValue>) -> worker::Result<()> {
        if self.made.get() { self.sql.exec(query, row).map(drop) } else { Ok(()) }
    }

    fn select(
        &self,
        query: &str,
        row: impl Into<Option<Vec<SqlStorageValue>>>,
    ) -> worker::Result<Vec<Vec<SqlStorageValue>>> {
        if self.made.get() { self.sql.exec(query, row)?.raw().collect() } else { Ok(Vec::new()) }
    }

    fn blobs(
        &self,
        query: &str,
        values: impl Into<Option<Vec<SqlStorageValue>>>,
    ) -> worker::Result<Vec<(u64, Bytes)>> {
        let pair = |row: Vec<SqlStorageValue>| match <[SqlStorageValue; 2]>::try_from(row) {
            Ok([id, Blob(bytes)]) => Some((unsigned(&id), bytes.into())),
            _ => None,
        };
        Ok(self.select(query, values)?.into_iter().filter_map(pair).collect())
    }
}

/// Ids and times stay below 2^53, where JavaScript's numbers are exact.
fn number(value: u64) -> SqlStorageValue {
    Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn unsigned(value: &SqlStorageValue) -> u64 {
    match value {
        Integer(value) => u64::try_from(*value).unwrap_or(0),
        _ => 0,
    }
}

//! Replies of scripts, read piece by piece. A reply of another shape is an error, never a guess.

use redis::{FromRedisValue, Value};
use shared::{
    id::FileId,
    position::{Epoch, Position},
};

use super::record::{damaged, file_id, read_record};
use crate::room_store::{LogEntry, StoreError};

/// The pieces of a reply, from the front.
pub(super) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    pub(super) fn new(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(pieces) => Ok(Self(pieces.into_iter())),
            other => Err(damaged(format!("a reply is {}", kind(&other)))),
        }
    }

    pub(super) fn take<T: FromRedisValue>(&mut self) -> Result<T, StoreError> {
        let value = self.0.next().ok_or_else(|| damaged("a reply is too short"))?;
        T::from_redis_value(value).map_err(damaged)
    }

    /// Epoch, seq and ts.
    pub(super) fn position(&mut self) -> Result<Position, StoreError> {
        Ok(Position { epoch: Epoch(self.take()?), seq: self.take()?, ts: self.take()? })
    }

    /// A list of file ids.
    pub(super) fn files(&mut self) -> Result<Vec<FileId>, StoreError> {
        self.take::<Vec<String>>()?.iter().map(|id| file_id(id)).collect()
    }

    /// The entries of a stream.
    pub(super) fn entries(&mut self, file: &FileId) -> Result<Vec<LogEntry>, StoreError> {
        let entries: Vec<Value> = self.take()?;
        entries.into_iter().map(|entry| log_entry(entry, file)).collect()
    }

    /// How many pieces are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }
}

fn log_entry(entry: Value, file: &FileId) -> Result<LogEntry, StoreError> {
    let (id, fields): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(entry).map_err(damaged)?;
    let (ts, seq) = id.split_once('-').ok_or_else(|| damaged("an entry's id"))?;
    let record = fields.get(1).ok_or_else(|| damaged("an entry without a record"))?;
    let (source, bytes) = read_record(record)?;
    Ok(LogEntry {
        file: file.clone(),
        seq: seq.parse().map_err(damaged)?,
        ts: ts.parse().map_err(damaged)?,
        source,
        bytes,
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        _ => "something else",
    }
}

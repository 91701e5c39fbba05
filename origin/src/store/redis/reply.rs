//! Replies of scripts, read piece by piece. A reply of another shape is an error, never a guess.

use redis::{FromRedisValue, Value};
use shared::{
    id::FileId,
    position::{Epoch, Position},
};

use super::record::{damaged, file_id, read_record};
use crate::store::{LogEntry, StoreError};

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

    /// The changes in a stream.
    pub(super) fn entries(&mut self, file: &FileId) -> Result<Vec<LogEntry>, StoreError> {
        let mut changes = Vec::new();
        for entry in self.take::<Vec<Value>>()? {
            add_changes(entry, file, &mut changes)?;
        }
        Ok(changes)
    }

    /// How many pieces are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }
}

/// What one batch has brought a file, see `append.lua`: a record named `d`, or several named by their places in the
/// batch. The id is that of the last one.
fn add_changes(entry: Value, file: &FileId, changes: &mut Vec<LogEntry>) -> Result<(), StoreError> {
    let (id, fields): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(entry).map_err(damaged)?;
    let (ts, seq) = id.split_once('-').ok_or_else(|| damaged("an entry's id"))?;
    let (ts, seq): (u64, u64) = (ts.parse().map_err(damaged)?, seq.parse().map_err(damaged)?);
    let place = |name: &[u8]| -> Result<u64, StoreError> {
        std::str::from_utf8(name).map_err(damaged)?.parse().map_err(damaged)
    };
    let records: Vec<_> = match fields.as_slice() {
        [] | [_] => return Err(damaged("an entry without a record")),
        [name, record, ..] if name == b"d" => vec![(0, record)],
        named => {
            let (pairs, _) = named.as_chunks::<2>();
            pairs
                .iter()
                .map(|[name, record]| Ok((place(name)?, record)))
                .collect::<Result<_, StoreError>>()?
        }
    };
    let last = records.last().map_or(0, |(place, _)| *place);
    for (place, record) in records {
        let before_last = last.checked_sub(place).ok_or_else(|| damaged("an entry's places"))?;
        let of = |last: u64| last.checked_sub(before_last).ok_or_else(|| damaged("an entry's id"));
        let (source, bytes) = read_record(record)?;
        changes.push(LogEntry { file: file.clone(), seq: of(seq)?, ts: of(ts)?, source, bytes });
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use shared::id::FileId;

    use super::*;

    const RECORD: &[u8] = b"\x01\x00\x00\x00x";

    fn read(id: &str, fields: &[&[u8]]) -> Result<Vec<(u64, u64)>, StoreError> {
        let text = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        let fields = Value::Array(fields.iter().map(|field| text(field)).collect());
        let entry = Value::Array(vec![text(id.as_bytes()), fields]);
        let mut reply = Reply::new(Value::Array(vec![Value::Array(vec![entry])]))?;
        let changes = reply.entries(&FileId::room())?;
        Ok(changes.iter().map(|change| (change.ts, change.seq)).collect())
    }

    #[test]
    fn an_entry_has_one_change_or_what_a_batch_has_brought() {
        assert_eq!(read("90-7", &[b"d", RECORD]).unwrap(), [(90, 7)]);
        assert_eq!(read("90-7", &[b"d", RECORD, b"k", b"1 hub"]).unwrap(), [(90, 7)]);
        let three: [&[u8]; 6] = [b"1", RECORD, b"2", RECORD, b"5", RECORD];
        assert_eq!(read("90-7", &three).unwrap(), [(86, 3), (87, 4), (90, 7)]);
    }

    #[test]
    fn a_damaged_entry_is_an_error() {
        assert!(
            read("90-7", &[]).is_err()
                && read("90-7", &[b"d"]).is_err()
                && read("90", &[b"d", RECORD]).is_err()
        );
        assert!(read("90-7", &[b"2", RECORD, b"1", RECORD]).is_err());
        assert!(read("90-7", &[b"1", RECORD, b"9", RECORD]).is_err());
        assert!(read("90-7", &[b"x", RECORD, b"2", RECORD]).is_err());
    }
}

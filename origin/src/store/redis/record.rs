//! The bytes in the log and on the channel: each begins with its version.
//!
//! A record is an entry of a log: version, the hub's name with its length, the hub's number, the channel (all
//! numbers as in lib0), then the update or event. A message is built by the scripts, see `append.lua`.

use bytes::Bytes;
use shared::{
    id::FileId,
    position::Epoch,
    update::Extension,
    wire::varint::{Reader, Writer},
};

use crate::store::{Entry, Logged, Source, StoreError};

const VERSION: u8 = 1;
/// The length that stands for a record which is read from the log.
const IN_THE_LOG: u64 = u32::MAX as u64;

/// A record of the log.
pub(super) fn write_record(entry: &Entry) -> Bytes {
    let Source { hub, hub_seq, channel } = &entry.source;
    let mut record = Writer::with_capacity(entry.bytes.len() + hub.len() + 24);
    record.u8(VERSION);
    record.text(hub);
    record.var(*hub_seq);
    record.var(*channel);
    record.raw(&entry.bytes);
    record.finish()
}

/// What `append.lua` compares with the clocks that are logged.
pub(super) fn write_extensions(extensions: &[Extension]) -> Bytes {
    let mut writer = Writer::with_capacity(extensions.len() * 16);
    for Extension { client, from, to } in extensions {
        writer.raw(&client.to_be_bytes());
        writer.raw(&from.to_be_bytes());
        writer.raw(&to.to_be_bytes());
    }
    writer.finish()
}

/// What a record says.
pub(super) fn read_record(record: &[u8]) -> Result<(Source, Bytes), StoreError> {
    let mut reader = Reader::new(record);
    expect_version(reader.u8().map_err(damaged)?)?;
    let hub = reader.text().map_err(damaged)?.to_owned();
    let hub_seq = reader.var(u64::MAX).map_err(damaged)?;
    let channel = reader.var(u64::MAX).map_err(damaged)?;
    Ok((Source { hub, hub_seq, channel }, Bytes::copy_from_slice(reader.rest())))
}

/// What a channel says.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Changes { epoch: Epoch, first_seq: u64, first_ts: u64, changes: Vec<Change> },
    Epoch { epoch: Epoch, seq: u64 },
    Erased,
    Note(Bytes),
}

/// A published change; without a record if that is to be read from the log.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub(super) file: FileId,
    pub(super) record: Option<(Source, Bytes)>,
}

/// The message of [`Message::Note`].
pub(super) fn write_note(note: &[u8]) -> Vec<u8> {
    [&[VERSION, b'N'], note].concat()
}

pub(super) fn read_message(message: &[u8]) -> Result<Message, StoreError> {
    let mut rest = Rest(message);
    expect_version(rest.byte()?)?;
    match rest.byte()? {
        b'U' => {
            let epoch = Epoch(rest.number::<8>()?);
            let (first_seq, first_ts) = (rest.number::<8>()?, rest.number::<8>()?);
            let mut changes = Vec::new();
            while !rest.0.is_empty() {
                changes.push(read_change(&mut rest)?);
            }
            Ok(Message::Changes { epoch, first_seq, first_ts, changes })
        }
        b'E' => Ok(Message::Epoch { epoch: Epoch(rest.number::<8>()?), seq: rest.number::<8>()? }),
        b'X' => Ok(Message::Erased),
        b'N' => Ok(Message::Note(Bytes::copy_from_slice(rest.0))),
        other => Err(damaged(format!("message kind {other}"))),
    }
}

fn read_change(rest: &mut Rest<'_>) -> Result<Change, StoreError> {
    let length = usize::from(rest.byte()?);
    let file = file_id(std::str::from_utf8(rest.take(length)?).map_err(damaged)?)?;
    let record = match rest.number::<4>()? {
        IN_THE_LOG => None,
        length => Some(read_record(rest.take(usize::try_from(length).map_err(damaged)?)?)?),
    };
    Ok(Change { file, record })
}

/// The answers of `append.lua`.
pub(super) fn read_answers(answer: &[u8]) -> Result<Vec<Logged>, StoreError> {
    let mut rest = Rest(answer);
    let _number = rest.number::<8>()?;
    let (mut seq, mut ts) = (rest.number::<8>()?, rest.number::<8>()?);
    let mut answers = Vec::new();
    while !rest.0.is_empty() {
        if rest.byte()? == b'd' {
            answers.push(Logged { seq: rest.number::<8>()?, ts: rest.number::<8>()?, duplicate: true });
        } else {
            answers.push(Logged { seq, ts, duplicate: false });
            (seq, ts) = (seq + 1, ts + 1);
        }
    }
    Ok(answers)
}

/// A file id as it is stored, `.room` included.
pub(super) fn file_id(text: &str) -> Result<FileId, StoreError> {
    let room = FileId::room();
    if text == room.as_str() { Ok(room) } else { FileId::parse(text).map_err(damaged) }
}

pub(super) fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(what.to_string())
}

fn expect_version(version: u8) -> Result<(), StoreError> {
    if version == VERSION { Ok(()) } else { Err(damaged(format!("version {version}"))) }
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, StoreError> {
        Ok(self.take(1)?[0])
    }

    /// A big-endian number of so many bytes.
    fn number<const BYTES: usize>(&mut self) -> Result<u64, StoreError> {
        Ok(self.take(BYTES)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let source = Source { hub: "r~weur".to_owned(), hub_seq: 300, channel: 7 };
        Entry::new(FileId::room(), source, Bytes::from_static(b"{}"))
    }

    /// Version 1, to be read indefinitely.
    const RECORD: &[u8] = b"\x01\x06r~weur\xac\x02\x07{}";

    #[test]
    fn a_record_of_version_1_is_these_bytes() {
        assert_eq!(write_record(&entry()), RECORD);
        assert_eq!(read_record(RECORD).unwrap(), (entry().source, entry().bytes));
    }

    #[test]
    fn a_message_of_version_1_is_these_bytes() {
        let head = b"\x01U\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\x01\0";
        let entries = b"\x05.room\0\0\0\x0d\x01\x06r~weur\xac\x02\x07{}\x05.room\xff\xff\xff\xff";
        let Message::Changes { epoch, first_seq, first_ts, changes } =
            read_message(&[&head[..], entries].concat()).unwrap()
        else {
            panic!("no changes")
        };
        assert_eq!((epoch, first_seq, first_ts), (Epoch(5), 9, 256));
        let inline = Change { file: FileId::room(), record: Some((entry().source, entry().bytes)) };
        assert_eq!(changes, [inline, Change { file: FileId::room(), record: None }]);
        let epoch = read_message(b"\x01E\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x09").unwrap();
        assert_eq!(epoch, Message::Epoch { epoch: Epoch(5), seq: 9 });
        assert_eq!(read_message(b"\x01X").unwrap(), Message::Erased);
        assert_eq!(read_message(&write_note(b"hi")).unwrap(), Message::Note(Bytes::from_static(b"hi")));
    }

    #[test]
    fn what_is_cut_or_of_another_version_is_refused() {
        assert!(read_record(b"\x02\x00\x00\x00").is_err());
        assert!(read_message(b"\x02X").is_err());
        for end in 0..RECORD.len() - 2 {
            assert!(read_record(&RECORD[..end]).is_err(), "{end}");
        }
        for end in 2..26 {
            let message = b"\x01U\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\x01\0";
            assert!(read_message(&message[..end]).is_err(), "{end}");
        }
    }
}

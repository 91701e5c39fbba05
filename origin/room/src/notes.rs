//! What origins that have the same room open tell each other beside the log: awareness and unlogged events.
//!
//! A note is JSON (a room event for everybody, as the flush sends) or a version byte, a kind and its parts. It goes
//! through the room store, unlogged: to every origin, also back to the one that sent it.

use bytes::Bytes;
use shared::{
    id::{ChannelId, FileId},
    wire::varint::{ReadError, Reader, Writer},
};

const VERSION: u8 = 1;
const AWARENESS: u8 = 1;
const EVENT: u8 = 2;
const ASK: u8 = 3;

/// What one origin tells the others.
#[derive(Debug)]
pub(crate) enum Note {
    /// Awareness of its hubs.
    Awareness { file: FileId, bytes: Bytes },
    /// An unlogged event of one of its members; visible files are remembered for hubs that come later.
    Event { channel: ChannelId, keeps: bool, json: Bytes },
    /// It has just opened the room: who is there?
    Ask,
}

/// Writes a note of this origin.
pub(crate) fn write(note: &Note, origin: &str) -> Bytes {
    let mut writer = Writer::default();
    writer.u8(VERSION);
    match note {
        Note::Awareness { file, bytes } => {
            writer.u8(AWARENESS);
            writer.text(origin);
            writer.text(file.as_str());
            writer.bytes(bytes);
        }
        Note::Event { channel, keeps, json } => {
            writer.u8(EVENT);
            writer.text(origin);
            writer.var(channel.0);
            writer.u8(u8::from(*keeps));
            writer.bytes(json);
        }
        Note::Ask => {
            writer.u8(ASK);
            writer.text(origin);
        }
    }
    writer.finish()
}

/// Reads a note of another origin; `None` for an own one and for a kind or version that is not known: nothing in it is
/// durable, so it is skipped.
pub(crate) fn read(bytes: &Bytes, own: &str) -> Result<Option<Note>, ReadError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != VERSION {
        return Ok(None);
    }
    let kind = reader.u8()?;
    if reader.text()? == own {
        return Ok(None);
    }
    Ok(match kind {
        AWARENESS => {
            let file = reader.text()?;
            let room = FileId::room();
            let file = if file == room.as_str() { Some(room) } else { FileId::parse(file).ok() };
            let bytes = bytes.slice_ref(reader.bytes()?);
            file.map(|file| Note::Awareness { file, bytes })
        }
        EVENT => {
            let channel = ChannelId(reader.var(u64::MAX)?);
            let keeps = reader.u8()? == 1;
            Some(Note::Event { channel, keeps, json: bytes.slice_ref(reader.bytes()?) })
        }
        ASK => Some(Note::Ask),
        _ => None,
    })
}

//! What origins that have the same room open tell each other beside the log: awareness and unlogged events.
//!
//! A note is JSON (a room event for everybody, as the flush sends) or a version byte, a kind and its parts. It goes
//! through the room store, unlogged: to every origin, also back to the one that sent it.

use bytes::Bytes;
use shared::{
    Millis,
    id::{ChannelId, FileId},
    wire::{
        link::OriginMessage,
        varint::{ReadError, Reader, Writer},
    },
};

use super::{Effect, LinkId, Room};

const VERSION: u8 = 1;
const AWARENESS: u8 = 1;
const EVENT: u8 = 2;
const ASK: u8 = 3;

/// What one origin tells the others.
enum Note {
    /// Awareness of its hubs.
    Awareness { file: FileId, bytes: Bytes },
    /// An unlogged event of one of its members; visible files are remembered for those who come later.
    Event { channel: ChannelId, keeps: bool, json: Bytes },
    /// It has just opened the room: who is there?
    Ask,
}

impl Room {
    /// Asks the other origins who is there.
    pub(super) fn ask_others(&mut self) {
        self.announce(&Note::Ask);
    }

    pub(super) fn announce_awareness(&mut self, file: &FileId, bytes: &Bytes) {
        self.announce(&Note::Awareness { file: file.clone(), bytes: bytes.clone() });
    }

    pub(super) fn announce_event(&mut self, channel: ChannelId, keeps: bool, json: &Bytes) {
        self.announce(&Note::Event { channel, keeps, json: json.clone() });
    }

    /// A note has come. One that cannot be read is of a newer version: nothing in it is durable, so it is skipped.
    pub(super) fn take_note(&mut self, bytes: &Bytes, now: Millis) {
        if bytes.first() == Some(&b'{') {
            self.take_stored(bytes, now);
            return self.tell_all(&event(bytes.clone()));
        }
        let Ok(Some(note)) = read(bytes, &self.settings.origin) else { return };
        match note {
            Note::Awareness { file, bytes } => {
                self.learn_presence(&file, &bytes, None, now);
                for link in self.opens.links_with(&file) {
                    self.tell(
                        link,
                        vec![OriginMessage::Awareness { file: file.clone(), bytes: bytes.clone() }],
                    );
                }
            }
            Note::Event { channel, keeps, json } => {
                if keeps {
                    self.looks_at_elsewhere(channel, &json);
                }
                self.tell_all(&event(json));
            }
            Note::Ask => self.introduce(),
        }
    }

    /// Tells the other origins who is here.
    fn introduce(&mut self) {
        for (file, bytes) in self.own_presence() {
            self.announce_awareness(&file, &bytes);
        }
        let links: Vec<LinkId> = self.link_ids();
        for link in links {
            let Some(state) = self.links.get(&link) else { continue };
            for (channel, json) in state.visible.clone() {
                self.announce_event(channel, true, &json);
            }
        }
    }

    fn announce(&mut self, note: &Note) {
        if self.settings.shared {
            let note = write(note, &self.settings.origin);
            self.effects.push(Effect::Announce(note));
        }
    }
}

pub(super) fn event(json: Bytes) -> OriginMessage {
    OriginMessage::Event { position: None, channel: None, json }
}

fn write(note: &Note, origin: &str) -> Bytes {
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

/// Reads a note of another origin; `None` for an own one and for a kind or version that is not known.
fn read(bytes: &Bytes, own: &str) -> Result<Option<Note>, ReadError> {
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

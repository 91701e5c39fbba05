//! The names of a room's keys. All of a room share a hash tag, so a cluster keeps them on one node.

use shared::id::{FileId, RoomId};

use crate::redis::slots::crc16;

/// How many indexes the rooms are spread over.
pub(super) const INDEXES: u16 = 64;

/// The keys of one room.
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(room: &RoomId) -> Self {
        Self { prefix: format!("c:{{{}}}:", escaped(room.as_str())) }
    }

    /// Hash: state, epoch, seq, ts, loader, run id of the server.
    pub(super) fn meta(&self) -> String {
        self.key("m")
    }

    /// Sorted set: origin by the end of its lease.
    pub(super) fn members(&self) -> String {
        self.key("p")
    }

    /// Hash: origin to who is there.
    pub(super) fn listed(&self) -> String {
        self.key("u")
    }

    /// Hash: there while nobody may join.
    pub(super) fn seal(&self) -> String {
        self.key("x")
    }

    /// Sorted set: file by the timestamp of its last change.
    pub(super) fn files(&self) -> String {
        self.key("f")
    }

    /// Sorted set: file by the timestamp of its first unflushed change.
    pub(super) fn dirty(&self) -> String {
        self.key("d")
    }

    /// Hash: path to file.
    pub(super) fn names(&self) -> String {
        self.key("n")
    }

    /// Hash: what the room has of each origin and hub.
    pub(super) fn origins(&self) -> String {
        self.key("h")
    }

    /// Stream: the updates of a file, or the room's events.
    pub(super) fn log(&self, file: &FileId) -> String {
        self.key("l:") + file.as_str()
    }

    /// Hash: the base of a file.
    pub(super) fn base(&self, file: &FileId) -> String {
        self.key("b:") + file.as_str()
    }

    /// Where what is logged is published.
    pub(super) fn channel(&self) -> String {
        self.key("ch")
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// The index that lists this room.
pub(super) fn index_of(room: &RoomId) -> String {
    index(crc16(room.as_str().as_bytes()) % INDEXES)
}

/// One of the indexes.
pub(super) fn index(number: u16) -> String {
    format!("c:idx:{number}")
}

/// What would end a hash tag, match as a pattern or be taken for an escape is written as `%` and two hex digits.
fn escaped(room: &str) -> String {
    let mut text = String::with_capacity(room.len());
    for byte in room.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::slots::slot;

    #[test]
    fn all_keys_of_a_room_have_the_slot_of_the_room() {
        let room = RoomId::parse("Room.1_x-y").unwrap();
        let keys = Keys::new(&room);
        assert_eq!(keys.log(&FileId::room()), "c:{Room.1_x-y}:l:.room");
        for key in [keys.meta(), keys.names(), keys.channel(), keys.base(&FileId::room())] {
            assert_eq!(slot(&key), slot("Room.1_x-y"), "{key}");
        }
    }

    #[test]
    fn a_room_cannot_break_out_of_its_braces() {
        assert_eq!(escaped("a}b{c*d%e\u{e9}"), "a%7db%7bc%2ad%25e%c3%a9");
    }
}

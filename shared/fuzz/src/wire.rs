//! What clients say: what is read is written back as it came.

use shared::wire::{
    event as room_event,
    hocuspocus::{self, ClientInput},
    text::{self, TextIn, TextPosition},
    varint::Reader,
    yjs,
};

/// A frame of a client in the Hocuspocus envelope. Only trailing bytes are lost.
pub fn client_frame(frame: &[u8]) {
    if let Ok(ClientInput::Frame(read)) = hocuspocus::read_client(frame) {
        let back = hocuspocus::write_client(read.key, &read.message);
        assert!(frame.starts_with(&back), "{read:?}");
        assert_eq!(hocuspocus::read_client(&back), Ok(ClientInput::Frame(read)));
    }
    // What is read of a frame that is too large.
    if let Ok((key, _)) = hocuspocus::read_head(frame) {
        assert!(hocuspocus::document_name(key).len() <= key.len());
    }
}

/// A frame of a server in the Hocuspocus envelope.
pub fn server_frame(frame: &[u8]) {
    if let Ok((key, message)) = hocuspocus::read_server(frame) {
        assert!(frame.starts_with(&hocuspocus::write_server(key, &message)));
    }
}

/// A frame of y-websocket.
pub fn bare_frame(frame: &[u8]) {
    if let Ok(message) = yjs::read_y(frame) {
        assert!(frame.starts_with(&yjs::write_y(&message)));
    }
}

/// An awareness update.
pub fn awareness(update: &[u8]) {
    if let Ok(entries) = yjs::read_awareness(update) {
        assert!(update.starts_with(&yjs::write_awareness(&entries)));
        assert_eq!(yjs::read_relayed_awareness(update), Ok(entries));
    }
}

/// A room event in JSON.
pub fn event(bytes: &[u8]) {
    let Ok(json) = std::str::from_utf8(bytes) else { return };
    if let Ok(read) = room_event::read(json) {
        let back = serde_json::to_string(&read).expect("an event can be written");
        assert_eq!(room_event::read(&back), Ok(read));
    }
}

/// A text frame of a client without Yjs: what a hub takes for a change, an origin can make.
pub fn text_frame(bytes: &[u8]) {
    let Ok(json) = std::str::from_utf8(bytes) else { return };
    if let Ok(TextIn::Change { position, .. }) = text::read(json) {
        assert!(text::read_change(bytes).is_ok());
        let position = position.and_then(|position| TextPosition::parse(&position));
        assert!(position.is_none_or(|read| TextPosition::parse(&read.to_string()) == Some(read)));
    }
}

/// The first bytes say what is read of the others.
pub fn varint(bytes: &[u8]) {
    let (calls, bytes) = bytes.split_at(bytes.len().min(16));
    let mut reader = Reader::new(bytes);
    for call in calls {
        let before = reader.position();
        match call % 4 {
            0 => drop(reader.u8()),
            1 => drop(reader.var(u64::MAX)),
            2 => drop(reader.bytes()),
            _ => drop(reader.text()),
        }
        assert!(before <= reader.position());
        assert_eq!(reader.position() + reader.left(), bytes.len());
    }
}

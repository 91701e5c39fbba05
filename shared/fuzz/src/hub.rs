//! The hub as a whole: sessions say anything, in any order, and it stays within its bounds.

use bytes::Bytes;
use shared::{
    grant::{Grant, Member, Role},
    hub::{Dialect, Effect, Frame, Hub, Settings, Visitor},
    id::{ChannelId, FileId, SessionId},
    limits,
    wire::{
        hocuspocus::{self, ClientMessage},
        link::{HubMessage, OriginMessage},
    },
};

const NOW: u64 = 1_000_000;
const FILE: &str = "f_0123456789abcdef";

/// The bytes are cut into frames; the low bits of each first byte say who says it and how.
pub fn hub(bytes: &[u8]) {
    let settings = Settings { name: "demo~weur".to_owned(), durable: true };
    let mut hub = Hub::new(settings, NOW);
    hub.link_up(NOW);
    let sessions = [1, 2, 3].map(|number| SessionId::from_random(number << 20));
    let dialects =
        [Dialect::Hocuspocus, Dialect::Hocuspocus, Dialect::YWebsocket { document: "a.txt".to_owned() }];
    for (session, dialect) in sessions.into_iter().zip(dialects) {
        hub.connect(session, Visitor { dialect, token: None }, NOW);
    }
    let token = ClientMessage::Token { token: "t", version: Some("4.8.0") };
    for (session, key) in [(sessions[0], "a.txt"), (sessions[0], ".room"), (sessions[1], "a.txt")] {
        hub.receive(session, Frame::Binary(hocuspocus::write_client(key, &token)), NOW);
    }
    settle(&mut hub, NOW);
    for (at, piece) in (1..).zip(bytes.chunks(97)) {
        let (first, rest) = piece.split_first().unwrap_or((&0, &[]));
        let session = sessions[usize::from(first % 3)];
        let frame = match (first / 3) % 4 {
            0 => Frame::Text(String::from_utf8_lossy(rest).into_owned()),
            1 => Frame::Binary(hocuspocus::write_client("a.txt", &ClientMessage::Awareness(rest))),
            2 => Frame::Binary([b"\x05a.txt\0", rest].concat().into()),
            _ => Frame::Binary(Bytes::copy_from_slice(rest)),
        };
        hub.receive(session, frame, NOW + at);
        settle(&mut hub, NOW + at);
    }
    hub.tick(NOW + limits::KEEPALIVE_MS);
    settle(&mut hub, NOW + limits::KEEPALIVE_MS);
    let stats = hub.stats();
    assert!(stats.sessions <= 3 && stats.outbox_bytes <= limits::OUTBOX_BYTES);
}

/// Everybody is let in, and the origin opens whatever is asked for and acknowledges nothing.
fn settle(hub: &mut Hub, now: u64) {
    loop {
        let effects = hub.effects();
        if effects.is_empty() {
            return;
        }
        for effect in effects {
            match effect {
                Effect::Admit { channel, .. } => hub.admitted(channel, Ok(grant()), now),
                Effect::Link(messages) => messages.into_iter().for_each(|message| answer(hub, message, now)),
                _ => {}
            }
        }
    }
}

fn grant() -> Grant {
    let member = Member { id: "m".into(), name: "Ada".into() };
    Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() }
}

fn answer(hub: &mut Hub, message: HubMessage, now: u64) {
    let file = |name: &str| if name == ".room" { FileId::room() } else { file_id() };
    let opened = |channel: ChannelId, name: &str| OriginMessage::Opened {
        channel,
        file: file(name),
        path: None,
        size: 0,
        grant_version: 0,
    };
    if let HubMessage::Open { channel, name, .. } | HubMessage::OpenText { channel, name, .. } = message {
        hub.link_message(opened(channel, &name), now);
    }
}

fn file_id() -> FileId {
    FileId::parse(FILE).expect("a file id")
}

//! A hub with one session at its door, and what it has wanted so far.

use bytes::Bytes;
use shared::{
    grant::{Grant, Member, Role},
    hub::{Denial, Dialect, Effect, Frame, Hub, Settings, Visitor},
    id::{ChannelId, FileId, FilePath, SessionId},
    wire::{
        hocuspocus::{ClientMessage, ServerMessage, read_server, write_client},
        link::{HubMessage, OriginMessage},
    },
};

pub(crate) const T0: u64 = 1_700_000_000_000;
const FILE: &str = "f_0123456789abcdef";

/// A hub with one session, and what it has wanted so far.
pub(crate) struct Door {
    pub(crate) hub: Hub,
    pub(crate) session: SessionId,
    pub(crate) now: u64,
    pub(crate) seen: Vec<Effect>,
}

pub(crate) fn settings() -> Settings {
    Settings { name: "demo~weur".to_owned(), durable: true }
}

pub(crate) fn grant(role: Role, expires: u64) -> Grant {
    let member = Member { id: "ann".into(), name: "Ann".into() };
    Grant { member, role, expires: Some(expires), version: 0, rules: [].into() }
}

impl Door {
    pub(crate) fn open(dialect: Dialect, token: Option<&str>) -> Self {
        let session = SessionId::from_random(7 << 16);
        let mut door = Self { hub: Hub::new(settings(), T0), session, now: T0, seen: Vec::new() };
        door.hub.connect(session, Visitor { dialect, token: token.map(str::to_owned) }, T0);
        door.look();
        door
    }

    pub(crate) fn hocuspocus() -> Self {
        Self::open(Dialect::Hocuspocus, None)
    }

    pub(crate) fn look(&mut self) {
        self.seen.extend(self.hub.effects());
    }

    pub(crate) fn say(&mut self, key: &str, message: &ClientMessage<'_>) {
        self.hub.receive(self.session, Frame::Binary(write_client(key, message)), self.now);
        self.look();
    }

    pub(crate) fn show(&mut self, key: &str, token: &str) {
        self.say(key, &ClientMessage::Token { token, version: Some("4.8.0") });
    }

    pub(crate) fn validate(&mut self, verdict: Result<Grant, Denial>) {
        self.hub.admitted(self.session.channel(1), verdict, self.now);
        self.look();
    }

    /// Answers every question for a document, as the origin.
    pub(crate) fn link(&mut self) {
        self.hub.link_up(self.now);
        self.look();
        self.serve();
    }

    fn serve(&mut self) {
        let asked: Vec<(ChannelId, String)> = self.said_to_origin(|message| match message {
            HubMessage::Open { channel, name, .. } => Some((*channel, name.clone())),
            _ => None,
        });
        for (channel, name) in asked {
            let is_room = name == ".room";
            let file = if is_room { FileId::room() } else { FileId::parse(FILE).unwrap() };
            let path = (!is_room).then(|| FilePath::parse(&name).unwrap());
            let opened = OriginMessage::Opened { channel, file, path, size: 0, grant_version: 0 };
            self.hub.link_message(opened, self.now);
        }
        self.look();
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.hub.tick(self.now);
        self.look();
    }

    /// Takes the tokens that are to be verified.
    pub(crate) fn asked(&mut self) -> Vec<String> {
        let of = |effect: &Effect| match effect {
            Effect::Admit { token, .. } => Some(token.clone()),
            _ => None,
        };
        let asked = self.seen.iter().filter_map(of).collect();
        self.seen.retain(|effect| of(effect).is_none());
        asked
    }

    pub(crate) fn said_to_origin<T>(&self, of: impl Fn(&HubMessage) -> Option<T>) -> Vec<T> {
        let of = |effect: &Effect| match effect {
            Effect::Link(messages) => messages.iter().filter_map(&of).collect(),
            _ => Vec::new(),
        };
        self.seen.iter().flat_map(of).collect()
    }

    pub(crate) fn closed(&self) -> Option<(u16, &str)> {
        self.seen.iter().find_map(|effect| match effect {
            Effect::Close { code, reason, .. } => Some((code.as_u16(), reason.as_str())),
            _ => None,
        })
    }

    /// Takes what the client was told, in words.
    pub(crate) fn told(&mut self) -> Vec<String> {
        let of = |effect: &Effect| match effect {
            Effect::Send { frame, .. } => Some(in_words(frame)),
            _ => None,
        };
        let told = self.seen.iter().filter_map(of).collect();
        self.seen.retain(|effect| of(effect).is_none());
        told
    }
}

fn in_words(frame: &Bytes) -> String {
    if frame.len() == 1 {
        return "ping".to_owned();
    }
    let (key, message) = read_server(frame).unwrap();
    match message {
        ServerMessage::Authenticated { scope } => format!("{key} {scope}"),
        ServerMessage::PermissionDenied { reason } => format!("{key} denied {reason}"),
        ServerMessage::Close { reason } => format!("{key} closed {reason}"),
        ServerMessage::TokenRequest => format!("{key} token?"),
        ServerMessage::SyncStatus(applied) => format!("{key} status {applied}"),
        ServerMessage::Stateless(json) => format!("{key} {json}"),
        other => format!("{key} {other:?}"),
    }
}

/// Nothing has been written or dialled, nothing needs to be woken for.
pub(crate) fn costs_nothing(door: &Door) -> bool {
    let writes = |effect: &Effect| {
        matches!(
            effect,
            Effect::Dial | Effect::SaveChannel { .. } | Effect::SaveOutbox { .. } | Effect::SaveLink { .. }
        )
    };
    !door.seen.iter().any(writes) && !door.hub.has_members()
}

//! A hub with a link to an origin of one document, a shell that keeps what it asks for, and clients that say everything
//! at once when they come, as stock providers do.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    grant::{Grant, Member, Role},
    hub::{Dialect, Effect, Frame, Hub, Persisted, Settings, Visitor},
    id::{ChannelId, FileId, SessionId},
    wire::{
        hocuspocus::{self, ClientMessage, ServerMessage},
        link::{HubMessage, OriginMessage},
        yjs::{self, AwarenessEntry, EMPTY_UPDATE, SyncMessage, YMessage},
    },
};

const T0: u64 = 1_000_000;
const KEY: &str = "src/main.js";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Version4,
    Older,
    YWebsocket,
}

/// Client, clock, state.
pub(crate) type Shown = (u64, u64, &'static str);
/// The same, as it was told.
pub(crate) type Told = (u64, u64, String);

pub(crate) fn told(entry: Shown) -> Told {
    (entry.0, entry.1, entry.2.to_owned())
}

fn write(entries: &[Shown]) -> Bytes {
    let entry = |(client, clock, state): &Shown| AwarenessEntry { client: *client, clock: *clock, state };
    yjs::write_awareness(&entries.iter().map(entry).collect::<Vec<_>>())
}

fn read(update: &[u8]) -> Vec<Told> {
    let entries = yjs::read_relayed_awareness(update).unwrap();
    entries.into_iter().map(|entry| (entry.client, entry.clock, entry.state.to_owned())).collect()
}

/// A hub with a link to an origin that has one document, and what a shell keeps for it.
pub(crate) struct Place {
    hub: Hub,
    pub(crate) now: u64,
    sockets: BTreeMap<SessionId, (Kind, Bytes)>,
    channels: BTreeMap<ChannelId, Bytes>,
    link: Bytes,
    /// Awareness that was sent to each socket, and how often it was asked for its own.
    sent: BTreeMap<SessionId, Vec<Told>>,
    asked: BTreeMap<SessionId, usize>,
    /// Awareness that was said over the link.
    pub(crate) said: Vec<Told>,
}

fn settings() -> Settings {
    Settings { name: "demo~weur".to_owned(), durable: true }
}

impl Place {
    pub(crate) fn new() -> Self {
        let mut hub = Hub::new(settings(), T0);
        hub.link_up(T0);
        let (sockets, channels, sent, asked) = Default::default();
        Self { hub, now: T0, sockets, channels, link: Bytes::new(), sent, asked, said: Vec::new() }
    }

    /// A client opens the document. As stock providers do, it says everything at once.
    pub(crate) fn join(&mut self, kind: Kind, shows: &[Shown]) -> SessionId {
        let session = SessionId::from_random((self.now + 1) << 20);
        self.now += 1;
        self.sockets.insert(session, (kind, Bytes::new()));
        let dialect = match kind {
            Kind::YWebsocket => Dialect::YWebsocket { document: KEY.to_owned() },
            _ => Dialect::Hocuspocus,
        };
        self.hub.connect(session, Visitor { dialect, token: None }, self.now);
        if kind != Kind::YWebsocket {
            let version = (kind == Kind::Version4).then_some("4.8.0");
            self.say(session, &ClientMessage::Token { token: "t", version });
        }
        self.say(session, &ClientMessage::Sync(SyncMessage::Step1(&[0])));
        if !shows.is_empty() {
            self.say(session, &ClientMessage::Awareness(&write(shows)));
        }
        self.settle();
        session
    }

    fn say(&mut self, session: SessionId, message: &ClientMessage<'_>) {
        let frame = match (self.sockets[&session].0, message) {
            (Kind::YWebsocket, ClientMessage::Sync(sync)) => yjs::write_y(&YMessage::Sync(*sync)),
            (Kind::YWebsocket, ClientMessage::Awareness(bytes)) => yjs::write_y(&YMessage::Awareness(bytes)),
            _ => hocuspocus::write_client(KEY, message),
        };
        self.hub.receive(session, Frame::Binary(frame), self.now);
    }

    pub(crate) fn show(&mut self, session: SessionId, entries: &[Shown]) {
        self.say(session, &ClientMessage::Awareness(&write(entries)));
        self.settle();
    }

    /// Awareness comes from another hub.
    pub(crate) fn hear(&mut self, entries: &[Shown]) {
        let message = OriginMessage::Awareness { file: file(), bytes: write(entries) };
        self.hub.link_message(message, self.now);
        self.settle();
    }

    pub(crate) fn end(&mut self, session: SessionId) {
        self.sockets.remove(&session);
        self.hub.disconnect(session, self.now);
        self.settle();
    }

    /// The hub's memory goes; its shell brings the sockets in the order in which they came, or the other way round.
    pub(crate) fn evict(&mut self, latest_first: bool) {
        let mut sessions: Vec<(SessionId, Bytes)> =
            self.sockets.iter().map(|(id, (_, snapshot))| (*id, snapshot.clone())).collect();
        if latest_first {
            sessions.reverse();
        }
        let persisted = Persisted {
            sessions,
            channels: self.channels.iter().map(|(id, row)| (*id, row.clone())).collect(),
            outbox: Vec::new(),
            link: Some(self.link.clone()),
        };
        self.hub = Hub::rebuild(settings(), persisted, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let effects = self.hub.effects();
            if effects.is_empty() {
                return;
            }
            effects.into_iter().for_each(|effect| self.carry_out(effect));
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Admit { channel, .. } => {
                let id = format!("member of {:?}", channel.session());
                let member = Member { id: id.into(), name: "Ann".into() };
                let grant = Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() };
                self.hub.admitted(channel, Ok(grant), self.now);
            }
            Effect::Link(messages) => {
                for message in messages {
                    if let HubMessage::Awareness { bytes, .. } = &message {
                        self.said.extend(read(bytes));
                    }
                    if let Some(answer) = answer(message) {
                        self.hub.link_message(answer, self.now);
                    }
                }
            }
            Effect::Send { to, frame } => to.into_iter().for_each(|to| self.deliver(to, &frame)),
            Effect::SaveSession { session, snapshot } => {
                if let Some(socket) = self.sockets.get_mut(&session) {
                    socket.1 = snapshot;
                }
            }
            Effect::SaveChannel { channel, row } => drop(self.channels.insert(channel, row)),
            Effect::DropChannel { channel } => drop(self.channels.remove(&channel)),
            Effect::SaveLink { snapshot } => self.link = snapshot,
            Effect::Close { reason, .. } => panic!("a socket is closed: {reason}"),
            _ => {}
        }
    }

    fn deliver(&mut self, to: SessionId, frame: &[u8]) {
        let (awareness, is_query) = match self.sockets[&to].0 {
            Kind::YWebsocket => match yjs::read_y(frame).unwrap() {
                YMessage::Awareness(update) => (read(update), false),
                message => (Vec::new(), message == YMessage::QueryAwareness),
            },
            _ => match hocuspocus::read_server(frame).unwrap().1 {
                ServerMessage::Awareness(update) => (read(update), false),
                message => (Vec::new(), message == ServerMessage::QueryAwareness),
            },
        };
        self.sent.entry(to).or_default().extend(awareness);
        *self.asked.entry(to).or_default() += usize::from(is_query);
    }

    /// What a socket was told of others since the last call.
    pub(crate) fn news(&mut self, session: SessionId) -> Vec<Told> {
        self.sent.remove(&session).unwrap_or_default()
    }

    pub(crate) fn questions(&mut self, session: SessionId) -> usize {
        self.asked.remove(&session).unwrap_or_default()
    }
}

fn file() -> FileId {
    FileId::parse("f_0123456789abcdef").unwrap()
}

fn answer(message: HubMessage) -> Option<OriginMessage> {
    Some(match message {
        HubMessage::Open { channel, .. } => {
            OriginMessage::Opened { channel, file: file(), path: None, size: 0, grant_version: 0 }
        }
        HubMessage::Sync { channel, file, ask, .. } => OriginMessage::Diff {
            channel,
            file,
            ask,
            bytes: Bytes::from_static(EMPTY_UPDATE),
            state_vector: Bytes::from_static(&[0]),
            size: 0,
            position: Default::default(),
        },
        _ => return None,
    })
}

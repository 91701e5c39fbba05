//! Members who open a large document at once: what their sockets have to send stays bounded, and nobody is closed for
//! what all of them have asked for.

#![expect(clippy::unwrap_used, reason = "what a test cannot read ends it")]

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    close::CloseCode,
    grant::{Grant, Member, Role},
    hub::{Dialect, Effect, Frame, Hub, Settings, Visitor},
    id::{ChannelId, FileId, FilePath, SessionId},
    limits,
    position::{Epoch, Position},
    wire::{
        hocuspocus::{ClientMessage, write_client},
        link::{FileUpdate, HubMessage, OriginMessage},
        yjs::SyncMessage,
    },
};

const T0: u64 = 1_000_000;
const KB: usize = 1 << 10;
/// Not read by a hub: it has no documents.
const LARGE: usize = 2_450 * KB;

/// A socket: what it has to send, how fast its client reads, what it was sent.
#[derive(Default)]
struct Socket {
    unsent: usize,
    per_look: usize,
    sent: usize,
    closed: Option<CloseCode>,
}

/// A hub whose origin has one document of [`LARGE`] bytes, and whose shell looks at the sockets ten times a second.
struct Place {
    hub: Hub,
    now: u64,
    sockets: BTreeMap<SessionId, Socket>,
    most: usize,
}

impl Place {
    fn new() -> Self {
        let settings = Settings { name: "demo~weur".to_owned(), durable: true };
        let mut hub = Hub::new(settings, T0);
        hub.link_up(T0);
        Self { hub, now: T0, sockets: BTreeMap::new(), most: 0 }
    }

    /// Members who read so much in a tenth of a second come and open these documents.
    fn join(&mut self, members: usize, per_look: usize, text_frames: bool, names: &[&str]) -> Vec<SessionId> {
        let before = self.sockets.len();
        let sessions = (before..before + members).map(|n| SessionId::from_random((n as u64 + 1) << 20));
        let sessions: Vec<SessionId> = sessions.collect();
        for session in &sessions {
            self.sockets.insert(*session, Socket { per_look, ..Socket::default() });
            let visitor = Visitor { dialect: Dialect::Hocuspocus, token: Some("t".to_owned()) };
            self.hub.connect(*session, visitor, self.now);
        }
        for session in &sessions {
            for name in names {
                if text_frames {
                    let open = format!(r#"{{"type":"open","file":"{name}"}}"#);
                    self.hub.receive(*session, Frame::Text(open), self.now);
                } else {
                    let token = ClientMessage::Token { token: "t", version: Some("4.8.0") };
                    self.hub.receive(*session, Frame::Binary(write_client(name, &token)), self.now);
                    let step1 = ClientMessage::Sync(SyncMessage::Step1(&[0]));
                    self.hub.receive(*session, Frame::Binary(write_client(name, &step1)), self.now);
                }
            }
        }
        self.settle();
        sessions
    }

    fn settle(&mut self) {
        loop {
            let effects = self.hub.effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.carry_out(effect);
            }
            let unsent = self.sockets.values().filter(|socket| socket.closed.is_none());
            self.most = self.most.max(unsent.map(|socket| socket.unsent).sum());
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Admit { channel, .. } => {
                let member = Member { id: format!("{:?}", channel.session()).into(), name: "Ann".into() };
                let grant = Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() };
                self.hub.admitted(channel, Ok(grant), self.now);
            }
            Effect::Link(messages) => {
                for answer in messages.into_iter().flat_map(answers) {
                    self.hub.link_message(answer, self.now);
                }
            }
            Effect::Send { to, frame } => to.iter().for_each(|session| self.send(*session, frame.len())),
            Effect::SendText { to, text } => self.send(to, text.len()),
            Effect::Look { session } => self.look(session),
            Effect::Close { session, code, .. } => {
                self.sockets.get_mut(&session).unwrap().closed = Some(code)
            }
            _ => {}
        }
    }

    fn send(&mut self, session: SessionId, bytes: usize) {
        let socket = self.sockets.get_mut(&session).unwrap();
        socket.unsent += bytes;
        socket.sent += bytes;
    }

    fn look(&mut self, session: SessionId) {
        let unsent = self.sockets[&session].unsent;
        self.hub.backlog(session, unsent, self.now);
    }

    /// A tenth of a second passes.
    fn pass(&mut self) {
        self.now += 100;
        let sessions: Vec<SessionId> = self.sockets.keys().copied().collect();
        for session in sessions {
            let socket = self.sockets.get_mut(&session).unwrap();
            socket.unsent = socket.unsent.saturating_sub(socket.per_look);
            if socket.closed.is_none() {
                // Sign of life, as a client answers what it is asked.
                self.hub.receive(session, Frame::Binary(Bytes::from_static(&[10])), self.now);
                self.look(session);
            }
        }
        if self.hub.next_tick().is_some_and(|at| at <= self.now) {
            self.hub.tick(self.now);
        }
        self.settle();
    }

    fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        let rounds = (0..3_000).take_while(|_| {
            let waits = !holds(self);
            if waits {
                self.pass();
            }
            waits
        });
        assert!(rounds.count() < 3_000, "it does not come about");
    }

    fn have(&self, sessions: &[SessionId], bytes: usize) -> bool {
        sessions.iter().all(|session| self.sockets[session].sent >= bytes)
    }

    fn closed(&self) -> Vec<(SessionId, CloseCode)> {
        self.sockets.iter().filter_map(|(session, socket)| Some((*session, socket.closed?))).collect()
    }
}

fn file_of(name: &str) -> FileId {
    FileId::from_random(name.bytes().fold(0, |id, byte| id << 7 ^ u128::from(byte)))
}

fn answers(message: HubMessage) -> Vec<OriginMessage> {
    let opened = |channel, name: &str| {
        let (file, path) = match name {
            ".room" => (FileId::room(), None),
            name => (file_of(name), FilePath::parse(name).ok()),
        };
        OriginMessage::Opened { channel, file, path, size: 0, grant_version: 0 }
    };
    match message {
        HubMessage::Open { channel, name, .. } => vec![opened(channel, &name)],
        HubMessage::OpenText { channel, name, .. } => {
            let json = vec![b' '; LARGE].into();
            let text = OriginMessage::Text { channel, position: "1.2.3.4".to_owned(), whole: true, json };
            vec![opened(channel, &name), text]
        }
        HubMessage::Sync { channel, file, ask, .. } => {
            let size = if file == file_of("large.txt") { LARGE } else { KB };
            vec![OriginMessage::Diff {
                channel,
                file,
                ask,
                bytes: vec![0; size].into(),
                state_vector: Bytes::from_static(&[0]),
                size: size as u64,
                position: Default::default(),
            }]
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_hundred_members_who_open_a_large_document_at_once_all_get_it_and_little_piles_up() {
    for text_frames in [false, true] {
        let mut place = Place::new();
        let members = place.join(100, 300 * KB, text_frames, &["large.txt"]);
        place.until(|place| place.have(&members, LARGE));
        assert_eq!(place.closed(), []);
        assert!(place.most <= limits::FIRST_TEXTS_BYTES + 100 * KB, "{} bytes", place.most);
    }
}

#[test]
fn who_takes_a_first_text_slowly_is_not_closed_and_small_documents_do_not_wait_for_it() {
    let mut place = Place::new();
    let slow = place.join(20, 10 * KB, false, &["large.txt"]);
    place.pass();
    let quick = place.join(50, 10 * LARGE, false, &["small.txt"]);
    assert!(place.have(&quick, KB), "at once");
    place.until(|place| place.have(&slow, LARGE));
    assert_eq!(place.closed(), []);
    assert!(place.most <= limits::FIRST_TEXTS_BYTES + 100 * KB, "{} bytes", place.most);
}

#[test]
fn whose_socket_takes_nothing_is_closed_while_others_wait_and_not_otherwise() {
    let mut place = Place::new();
    let stopped = place.join(10, 0, false, &["large.txt"]);
    for _ in 0..40 {
        place.pass();
    }
    assert_eq!(place.closed(), []);
    place.until(|place| place.have(&stopped, LARGE) || !place.closed().is_empty());
    place.until(|place| place.closed().len() == 6 && place.now > T0 + 6_000);
    // Six had the text and took nothing of it; the four who have waited for them have it now.
    assert!(place.closed().iter().all(|(_, code)| *code == CloseCode::SlowConsumer));
    for _ in 0..100 {
        place.pass();
    }
    assert_eq!(place.closed().len(), 6, "nobody waits any more");
}

#[test]
fn what_is_typed_into_a_slow_socket_still_counts_beside_its_first_text() {
    let mut place = Place::new();
    let slow = place.join(1, 0, false, &["large.txt"])[0];
    place.send(slow, limits::BACKLOG_BYTES);
    place.look(slow);
    place.settle();
    assert_eq!(place.closed(), [(slow, CloseCode::SlowConsumer)]);
}

#[test]
fn a_change_as_large_as_a_document_reaches_all_readers_and_closes_nobody() {
    let mut place = Place::new();
    let readers = place.join(100, 300 * KB, false, &["large.txt"]);
    place.until(|place| place.have(&readers, LARGE) && place.sockets.values().all(|one| one.unsent == 0));
    place.most = 0;
    let update = FileUpdate {
        file: file_of("large.txt"),
        except: ChannelId(0),
        // Not read here either.
        bytes: vec![0; 5_000 * KB].into(),
    };
    let position = Position { epoch: Epoch(1), seq: 1, ts: 1 };
    place.hub.link_message(OriginMessage::Updates { position, updates: vec![update] }, place.now);
    place.settle();
    let sent =
        |place: &Place| readers.iter().filter(|one| place.sockets[*one].sent > LARGE + 4_000 * KB).count();
    assert_eq!(sent(&place), 3, "as many as there is room for");
    // The others get the document whole.
    place.until(|place| place.have(&readers, 2 * LARGE));
    assert_eq!(place.closed(), []);
    assert!(place.most <= limits::FIRST_TEXTS_BYTES + 100 * KB, "{} bytes", place.most);
}

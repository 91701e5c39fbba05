//! What a hub does with a member who asks for too much: it costs that member something, and nobody else.

#![expect(clippy::unwrap_used, reason = "what a test cannot read ends it")]

use bytes::Bytes;
use shared::{
    close::CloseCode,
    grant::{Grant, Member, Role},
    hub::{Dialect, Effect, Frame, Hub, Settings, Visitor},
    id::{FileId, SessionId},
    limits,
    wire::{
        hocuspocus::{self, ClientMessage, ServerMessage},
        link::{HubMessage, OriginMessage},
        yjs::{self, AwarenessEntry, SyncMessage},
    },
};

const NOW: u64 = 1_000_000;

/// A hub with a link that opens whatever is asked for as one and the same document.
struct Place {
    hub: Hub,
    now: u64,
    sent: Vec<(SessionId, Bytes)>,
    closed: Vec<(SessionId, CloseCode, String)>,
}

impl Place {
    fn new() -> Self {
        let settings = Settings { name: "demo~weur".to_owned(), durable: true };
        let mut place = Self { hub: Hub::new(settings, NOW), now: NOW, sent: Vec::new(), closed: Vec::new() };
        place.hub.link_up(NOW);
        place
    }

    fn connect(&mut self, number: u64) -> SessionId {
        let session = SessionId::from_random(number << 20);
        self.hub.connect(session, Visitor { dialect: Dialect::Hocuspocus, token: None }, self.now);
        session
    }

    fn say(&mut self, session: SessionId, key: &str, message: &ClientMessage<'_>) {
        self.hub.receive(session, Frame::Binary(hocuspocus::write_client(key, message)), self.now);
        self.settle();
    }

    fn open(&mut self, session: SessionId, key: &str) {
        self.say(session, key, &ClientMessage::Token { token: "t", version: Some("4.8.0") });
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
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Admit { channel, .. } => {
                let id = format!("member of {:?}", channel.session());
                let member = Member { id: id.as_str().into(), name: "Ann".into() };
                let grant = Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() };
                self.hub.admitted(channel, Ok(grant), self.now);
            }
            Effect::Link(messages) => {
                for message in messages {
                    let HubMessage::Open { channel, name, .. } = message else { continue };
                    let file = if name == ".room" {
                        FileId::room()
                    } else {
                        FileId::parse("f_0123456789abcdef").unwrap()
                    };
                    let opened =
                        OriginMessage::Opened { channel, file, path: None, size: 0, grant_version: 0 };
                    self.hub.link_message(opened, self.now);
                }
            }
            Effect::Send { to, frame } => self.sent.extend(to.into_iter().map(|to| (to, frame.clone()))),
            Effect::Close { session, code, reason } => self.closed.push((session, code, reason)),
            _ => {}
        }
    }

    /// What a session was told since the last call, without the key.
    fn heard(&mut self, session: SessionId) -> Vec<Bytes> {
        let (mine, others) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| *to == session);
        self.sent = others;
        let mine: Vec<(SessionId, Bytes)> = mine;
        mine.into_iter().map(|(_, frame)| frame).collect()
    }
}

fn refusals(frames: &[Bytes], word: &str) -> usize {
    let denied = |frame: &&Bytes| {
        matches!(
            hocuspocus::read_server(frame),
            Ok((_, ServerMessage::PermissionDenied { reason } | ServerMessage::Close { reason })) if reason == word
        )
    };
    frames.iter().filter(denied).count()
}

#[test]
fn a_thousand_documents_and_the_room_are_opened_again_as_often_as_the_socket_ends() {
    let mut place = Place::new();
    // The hub keeps its link.
    place.connect(2);
    for round in 0..4 {
        let member = place.connect(1);
        let names = || (0..limits::CHANNELS).map(|at| format!("{at}.txt")).chain([".room".to_owned()]);
        for name in names() {
            place.open(member, &name);
        }
        for name in names() {
            let update = yjs::write_awareness(&[AwarenessEntry { client: 7, clock: 1 + round, state: "{}" }]);
            place.say(member, &name, &ClientMessage::Sync(SyncMessage::Step1(&[0])));
            place.say(member, &name, &ClientMessage::Awareness(&update));
        }
        let heard = place.heard(member);
        let opened = heard.iter().filter(|frame| {
            matches!(hocuspocus::read_server(frame), Ok((_, ServerMessage::Authenticated { .. })))
        });
        assert_eq!(opened.count(), limits::CHANNELS + 1, "round {round}");
        assert_eq!(refusals(&heard, "rate-limited"), 0);
        assert_eq!(place.hub.stats().counters.rate_limited, 0);
        // What is new still costs: it leaves little for more.
        place.open(member, "new.txt");
        assert_eq!(refusals(&place.heard(member), "too-many-documents"), 1);
        place.hub.disconnect(member, place.now);
        place.settle();
        place.now += 5_000;
    }
    assert!(place.closed.is_empty(), "{:?}", place.closed);
}

#[test]
fn documents_that_were_never_open_are_refused_beyond_the_rate_whoever_comes_back() {
    let mut place = Place::new();
    let (flood, other) = (place.connect(1), place.connect(2));
    let burst = usize::try_from(limits::RATE_OPENS.burst).unwrap();
    for at in 0..burst + 10 {
        place.open(flood, &format!("{at}.txt"));
        place.say(flood, &format!("{at}.txt"), &ClientMessage::Close);
    }
    assert_eq!(refusals(&place.heard(flood), "rate-limited"), 10);
    place.now += 1_000;
    place.open(flood, "kept.txt");
    place.hub.disconnect(flood, place.now);
    let flood = place.connect(1);
    for at in 0..200 {
        place.open(flood, &format!("again {at}.txt"));
    }
    place.open(flood, "kept.txt");
    place.open(flood, "kept.txt\0twice");
    let heard = place.heard(flood);
    let left = usize::try_from(limits::RATE_OPENS.per_second).unwrap() - 1;
    assert_eq!(refusals(&heard, "rate-limited"), 200 - left + 1, "but for the one that was open");
    place.open(other, "a.txt");
    assert_eq!(refusals(&place.heard(other), "rate-limited"), 0);
    assert!(place.closed.is_empty());
}

#[test]
fn ten_thousand_opens_are_refused_one_by_one_and_the_socket_stays() {
    let mut place = Place::new();
    let (flood, other) = (place.connect(1), place.connect(2));
    place.open(other, "a.txt");
    for at in 0..10_000 {
        place.open(flood, &format!("{at}.txt"));
    }
    let heard = place.heard(flood);
    assert_eq!(refusals(&heard, "too-many-documents"), 10_000 - limits::CHANNELS);
    assert!(place.closed.is_empty(), "{:?}", place.closed);
    assert_eq!(place.hub.stats().channels, limits::CHANNELS + 1);
    place.say(other, "b.txt", &ClientMessage::Token { token: "t", version: None });
    assert_eq!(refusals(&place.heard(other), "rate-limited"), 0);
}

#[test]
fn a_flood_of_frames_ends_the_session_and_a_rest_lets_it_come_back() {
    let mut place = Place::new();
    let (flood, other) = (place.connect(1), place.connect(2));
    for session in [flood, other] {
        place.open(session, ".room");
    }
    // What came before the token was accepted was paid by the socket, not by the member.
    for _ in 0..=limits::RATE_FRAMES.burst {
        place.say(flood, ".room", &ClientMessage::Unknown(99));
    }
    assert_eq!(place.closed, [(flood, CloseCode::RateLimited, "too-fast".to_owned())]);
    assert_eq!(place.hub.stats().sessions, 1);
    place.say(other, ".room", &ClientMessage::QueryAwareness);
    assert_eq!(place.closed.len(), 1);
    let again = place.connect(1);
    place.now += 60_000;
    place.open(again, ".room");
    assert_eq!(place.closed.len(), 1);
}

#[test]
fn events_beyond_the_rate_are_refused_with_a_word() {
    let mut place = Place::new();
    let (loud, other) = (place.connect(1), place.connect(2));
    for session in [loud, other] {
        place.open(session, ".room");
    }
    place.heard(other);
    let burst = usize::try_from(limits::RATE_EVENTS.burst).unwrap();
    for _ in 0..burst + 5 {
        place.say(loud, ".room", &ClientMessage::Stateless(r#"{"type":"broadcast","data":1}"#));
    }
    assert_eq!(place.heard(other).len(), burst);
    let told = place.heard(loud);
    let refused = told.iter().filter(|frame| String::from_utf8_lossy(frame).contains("rate-limited"));
    assert_eq!(refused.count(), 5);
    place.now += 1_000;
    place.say(loud, ".room", &ClientMessage::Stateless(r#"{"type":"broadcast","data":2}"#));
    assert_eq!(place.heard(other).len(), 1);
}

#[test]
fn presence_beyond_the_rate_is_dropped_but_never_a_goodbye() {
    let mut place = Place::new();
    let (loud, other) = (place.connect(1), place.connect(2));
    for session in [loud, other] {
        place.open(session, ".room");
    }
    place.heard(other);
    // What a channel shows first belongs to its opening.
    let first = yjs::write_awareness(&[AwarenessEntry { client: 8, clock: 1, state: "{}" }]);
    place.say(loud, ".room", &ClientMessage::Awareness(&first));
    assert_eq!(place.heard(other).len(), 1);
    let show = |place: &mut Place, clock: u64, state: &str| {
        let update = yjs::write_awareness(&[AwarenessEntry { client: 7, clock, state }]);
        place.say(loud, ".room", &ClientMessage::Awareness(&update));
    };
    let burst = limits::RATE_PRESENCE.burst;
    for clock in 1..=burst + 100 {
        show(&mut place, clock, "{}");
    }
    assert_eq!(place.heard(other).len(), usize::try_from(burst).unwrap());
    show(&mut place, burst + 101, "null");
    assert_eq!(place.heard(other).len(), 1);
}

#[test]
fn a_client_that_asks_for_everything_again_and_again_is_closed_on_that_document() {
    let mut place = Place::new();
    let greedy = place.connect(1);
    place.open(greedy, "a.txt");
    for _ in 0..=limits::RATE_OPENS.burst {
        place.say(greedy, "a.txt", &ClientMessage::Sync(SyncMessage::Step1(&[0])));
    }
    assert_eq!(refusals(&place.heard(greedy), "rate-limited"), 1);
    assert!(place.closed.is_empty());
}

//! What a hub makes of the size of a document: refused with both sizes by what its origin has told, left to the origin
//! by what was only counted.

#![expect(clippy::unwrap_used, reason = "what a test cannot read ends it")]

use bytes::Bytes;
use shared::{
    close::CloseCode,
    grant::{Grant, Member, Role},
    hub::{Dialect, Effect, Frame, Hub, Settings, Visitor},
    id::{ChannelId, FileId, SessionId},
    limits,
    wire::{
        hocuspocus::{self, ClientMessage, ServerMessage},
        link::{ChangeKind, HubMessage, OriginMessage},
        yjs::{self, SyncMessage, YMessage},
    },
};
use yrs::{Doc, Text, Transact};

const NOW: u64 = 1_000_000;
const KEY: &str = "a.txt";

/// A hub with a link, and one member who has the room and a document open.
struct Place {
    hub: Hub,
    session: SessionId,
    author: Doc,
    changes: Vec<ChangeKind>,
    /// The last change, as the origin got it.
    last: Option<(ChannelId, u64)>,
    heard: Vec<Bytes>,
    closed: Option<(CloseCode, String)>,
}

fn file() -> FileId {
    FileId::parse("f_0123456789abcdef").unwrap()
}

impl Place {
    fn new() -> Self {
        let settings = Settings { name: "demo~weur".to_owned(), durable: true };
        let session = SessionId::from_random(1 << 20);
        let hub = Hub::new(settings, NOW);
        let (changes, heard) = (Vec::new(), Vec::new());
        let mut place = Self { hub, session, author: Doc::new(), changes, last: None, heard, closed: None };
        place.hub.link_up(NOW);
        place.hub.connect(session, Visitor { dialect: Dialect::Hocuspocus, token: None }, NOW);
        for name in [".room", KEY] {
            place.say(name, &ClientMessage::Token { token: "t", version: Some("4.8.0") });
            place.say(name, &ClientMessage::Sync(SyncMessage::Step1(&[0])));
        }
        place
    }

    fn say(&mut self, key: &str, message: &ClientMessage<'_>) {
        self.hub.receive(self.session, Frame::Binary(hocuspocus::write_client(key, message)), NOW);
        self.settle();
    }

    /// The origin says how large the document is.
    fn measured(&mut self, bytes: usize, text_bytes: usize) {
        let (bytes, text_bytes) = (bytes as u64, text_bytes as u64);
        self.hub.link_message(OriginMessage::Size { file: file(), bytes, text_bytes }, NOW);
        self.settle();
    }

    /// The last change is logged, and the document as large as this.
    fn logged(&mut self, size: usize) {
        let (channel, hub_seq) = self.last.unwrap();
        let ack = OriginMessage::Ack { channel, file: file(), hub_seq, seq: hub_seq, size: size as u64 };
        self.hub.link_message(ack, NOW);
        self.settle();
    }

    /// The member types this much, and how that went on to the origin.
    fn types(&mut self, bytes: usize) -> Vec<ChangeKind> {
        let content = self.author.get_or_insert_text(limits::TEXT_ROOT);
        let update = {
            let mut change = self.author.transact_mut();
            content.insert(&mut change, 0, &"x".repeat(bytes));
            change.encode_update_v1()
        };
        self.say(KEY, &ClientMessage::Sync(SyncMessage::Update(&update)));
        std::mem::take(&mut self.changes)
    }

    /// The reasons of the errors that the member was told, and of the closes of the document.
    fn told(&mut self) -> (Vec<String>, Vec<String>) {
        let (mut errors, mut closes) = (Vec::new(), Vec::new());
        for frame in std::mem::take(&mut self.heard) {
            match hocuspocus::read_server(&frame).unwrap() {
                (".room", ServerMessage::Stateless(event)) => {
                    let event: serde_json::Value = serde_json::from_str(event).unwrap();
                    if event["type"] == "error" {
                        assert_eq!(
                            (&event["code"], &event["file"]),
                            (&"file-too-large".into(), &file().as_str().into())
                        );
                        errors.push(event["reason"].as_str().unwrap().to_owned());
                    }
                }
                (KEY, ServerMessage::Close { reason }) => closes.push(reason.to_owned()),
                _ => {}
            }
        }
        (errors, closes)
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
                let member = Member { id: "ann".into(), name: "Ann".into() };
                let grant = Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() };
                self.hub.admitted(channel, Ok(grant), NOW);
            }
            Effect::Link(messages) => {
                for message in messages {
                    match message {
                        HubMessage::Open { channel, name, .. } => {
                            let file = if name == ".room" { FileId::room() } else { file() };
                            let opened = OriginMessage::Opened {
                                channel,
                                file,
                                path: None,
                                size: 0,
                                grant_version: 0,
                            };
                            self.hub.link_message(opened, NOW);
                        }
                        HubMessage::Update { channel, hub_seq, kind, .. } => {
                            self.changes.push(kind);
                            self.last = Some((channel, hub_seq));
                        }
                        _ => {}
                    }
                }
            }
            Effect::Send { frame, .. } => self.heard.push(frame),
            Effect::Close { code, reason, .. } => self.closed = Some((code, reason)),
            _ => {}
        }
    }
}

#[test]
fn what_makes_a_file_too_large_is_refused_with_the_sizes_of_its_text_and_its_history() {
    for (text, word) in [(7_900_000, "text is too large"), (300, "history is too large")] {
        let mut place = Place::new();
        place.measured(limits::FILE_BYTES - 10, text);
        assert_eq!(place.types(100), []);
        let (errors, closes) = place.told();
        let [error] = &errors[..] else { panic!("{errors:?}") };
        let sizes = [limits::FILE_BYTES - 10, limits::FILE_BYTES, text].map(|size| size.to_string());
        assert!(error.contains(word) && sizes.iter().all(|size| error.contains(size)), "{error}");
        assert_eq!(closes, ["file-too-large"]);
    }
    let mut place = Place::new();
    assert_eq!(place.types(limits::FILE_BYTES + 1), []);
    let (errors, _) = place.told();
    assert!(errors[0].contains("the change takes"), "{errors:?}");
}

#[test]
fn what_was_only_counted_refuses_nothing_and_is_shown_to_nobody_before_the_origin_has_decided() {
    let mut place = Place::new();
    const PIECE: usize = limits::AT_ONCE_BYTES / 2;
    // The first of a client is always held.
    assert_eq!(place.types(1), [ChangeKind::Held]);
    place.logged(limits::FILE_BYTES / 2);
    for _ in 0..limits::FILE_BYTES / 2 / PIECE - 1 {
        assert_eq!(place.types(PIECE), [ChangeKind::Update]);
    }
    for _ in 0..5 {
        assert_eq!(place.types(PIECE), [ChangeKind::Held]);
    }
    assert_eq!(place.told(), (vec![], vec![]));
    place.measured(limits::FILE_BYTES, 300);
    assert_eq!(place.types(1), []);
    assert_eq!(place.told().1, ["file-too-large"]);
}

#[test]
fn what_is_as_large_as_a_document_is_for_the_origin_to_decide() {
    let mut place = Place::new();
    place.measured(limits::FILE_BYTES - 10, 300);
    assert_eq!(place.types(5 << 20), [ChangeKind::Held]);
    assert_eq!(place.types(1), [], "what is small is refused by what the origin has told");
}

#[test]
fn text_can_be_deleted_from_a_file_that_takes_no_more() {
    let mut place = Place::new();
    assert_eq!(place.types(100), [ChangeKind::Held]);
    place.measured(limits::FILE_BYTES, 7_900_000);
    let content = place.author.get_or_insert_text(limits::TEXT_ROOT);
    let deletion = {
        let mut change = place.author.transact_mut();
        content.remove_range(&mut change, 0, 50);
        change.encode_update_v1()
    };
    place.say(KEY, &ClientMessage::Sync(SyncMessage::Update(&deletion)));
    assert_eq!(place.changes.len(), 1);
    assert_eq!(place.told(), (vec![], vec![]));
}

#[test]
fn who_types_on_a_closed_document_is_told_each_time() {
    let mut place = Place::new();
    place.measured(limits::FILE_BYTES, 300);
    for _ in 0..3 {
        assert_eq!(place.types(1), []);
        assert_eq!(place.told().1, ["file-too-large"]);
    }
}

#[test]
fn a_y_websocket_is_shown_why_and_comes_back() {
    for bytes in [limits::FILE_BYTES + 1, limits::FRAME_BYTES + 1] {
        let mut place = Place::new();
        let bare = SessionId::from_random(2 << 20);
        let dialect = Dialect::YWebsocket { document: KEY.into() };
        place.hub.connect(bare, Visitor { dialect, token: Some("t".to_owned()) }, NOW);
        place.settle();
        place.heard.clear();
        let frame = yjs::write_y(&YMessage::Sync(SyncMessage::Update(&vec![0; bytes])));
        place.hub.receive(bare, Frame::Binary(frame), NOW);
        place.settle();
        let Some(YMessage::Auth { reason }) = place.heard.last().map(|frame| yjs::read_y(frame).unwrap())
        else {
            panic!("why")
        };
        assert!(reason.contains("takes") && reason.contains("bytes"), "{reason}");
        let (code, reason) = place.closed.unwrap();
        assert_eq!((code.as_u16(), reason.as_str()), (4513, "file-too-large"));
        assert!(code.reconnect());
    }
}

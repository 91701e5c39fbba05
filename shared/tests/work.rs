//! How much work a frame is for a hub, counted in bytes that are allocated: what concerns one session or one document
//! costs the same however many there are.
//!
//! In a binary of its own, since the counters are those of the whole process: one test at a time.

use std::{
    alloc::System,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use shared::{
    grant::{Grant, Member, Role},
    hub::{Dialect, Effect, Frame, Hub, Settings, Visitor},
    id::{FileId, FilePath, SessionId},
    wire::{
        hocuspocus::{self, ClientMessage},
        link::{HubMessage, OriginMessage},
        yjs::{EMPTY_UPDATE, SyncMessage},
    },
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static ALONE: Mutex<()> = Mutex::new(());

const NOW: u64 = 1_000_000;

/// The bytes that were asked for while `run` ran, freed or not.
fn allocated<T>(run: impl FnOnce() -> T) -> usize {
    let region = Region::new(ALLOCATOR);
    std::hint::black_box(run());
    let change = region.change();
    change.bytes_allocated + usize::try_from(change.bytes_reallocated).unwrap_or(0)
}

/// A hub with a link to an origin that opens and logs everything.
struct Place {
    hub: Hub,
}

impl Place {
    fn new() -> Self {
        let mut hub = Hub::new(Settings { name: "demo~weur".to_owned(), durable: true }, NOW);
        hub.link_up(NOW);
        Self { hub }
    }

    fn connect(&mut self, number: u64) -> SessionId {
        let session = SessionId::from_random(number << 20);
        self.hub.connect(session, Visitor { dialect: Dialect::Hocuspocus, token: None }, NOW);
        session
    }

    fn say(&mut self, session: SessionId, key: &str, message: &ClientMessage<'_>) {
        self.hub.receive(session, Frame::Binary(hocuspocus::write_client(key, message)), NOW);
        self.settle();
    }

    /// Opens a document and synchronises.
    fn open(&mut self, session: SessionId, key: &str) {
        self.say(session, key, &ClientMessage::Token { token: "t", version: Some("4.8.0") });
        self.say(session, key, &ClientMessage::Sync(SyncMessage::Step1(&[0])));
        self.say(session, key, &ClientMessage::Sync(SyncMessage::Step2(EMPTY_UPDATE)));
    }

    /// A keystroke, of which its author is told that it is logged.
    fn types(&mut self, session: SessionId, key: &str, clock: u8) {
        let update = [1, 1, 7, clock, 4, 1, 7, b'c', b'o', b'n', b't', b'e', b'n', b't', 1, b'x', 0];
        self.say(session, key, &ClientMessage::Sync(SyncMessage::Update(&update)));
    }

    /// Carries out what the hub asks for until it asks for nothing, and looks when it wants to be called again.
    fn settle(&mut self) {
        loop {
            let effects = self.hub.effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.carry_out(effect);
            }
        }
        std::hint::black_box(self.hub.next_tick());
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Admit { channel, .. } => {
                let member = Member { id: "ann".into(), name: "Ann".into() };
                let grant = Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() };
                self.hub.admitted(channel, Ok(grant), NOW);
            }
            Effect::Link(messages) => {
                let answers: Vec<_> = messages.into_iter().filter_map(answer).collect();
                answers.into_iter().for_each(|answer| self.hub.link_message(answer, NOW));
            }
            Effect::Send { to, .. } => to.iter().for_each(|session| self.hub.backlog(*session, 10, NOW)),
            _ => {}
        }
    }
}

/// What the origin says to a message.
fn answer(message: HubMessage) -> Option<OriginMessage> {
    Some(match message {
        HubMessage::Open { channel, name, .. } => {
            let path = FilePath::parse(&name).ok().filter(|_| name != ".room");
            let file = if name == ".room" { FileId::room() } else { file_of(&name) };
            OriginMessage::Opened { channel, file, path, size: 0, grant_version: 0 }
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
        HubMessage::Update { channel, file, hub_seq, .. } => {
            OriginMessage::Ack { channel, file, hub_seq, seq: hub_seq, size: 9 }
        }
        _ => return None,
    })
}

fn file_of(name: &str) -> FileId {
    FileId::from_random(name.bytes().fold(0, |id, byte| id << 7 ^ u128::from(byte)))
}

/// All names are of one length.
fn name(n: u64) -> String {
    format!("{n:04}.js")
}

/// Fails if something costs more among many than among few, but for what a tree takes for its next step.
fn assert_alike(few: &[(&str, usize)], many: &[(&str, usize)]) {
    for ((what, few), (_, many)) in few.iter().zip(many) {
        assert!(2 * many < 3 * few + 2_048, "{what}: {many} bytes among many, {few} among few");
    }
}

#[test]
fn what_concerns_one_session_costs_the_same_among_a_thousand_as_among_ten() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let [few, many] = [10, 1_000].map(|sessions| {
        let mut place = Place::new();
        let all: Vec<SessionId> = (1..=sessions).map(|number| place.connect(number)).collect();
        for (n, session) in (1_000..).zip(&all) {
            place.open(*session, ".room");
            place.open(*session, &name(n));
        }
        place.types(all[3], &name(1_003), 0);
        let typed = allocated(|| place.types(all[3], &name(1_003), 1));
        let late = allocated(|| place.hub.backlog(all[3], 100_000, NOW));
        let ticked = allocated(|| place.hub.tick(NOW + 1));
        let came = place.connect(7_777);
        let opened = allocated(|| place.open(came, &name(7_777)));
        let gone = allocated(|| {
            place.hub.disconnect(came, NOW);
            place.settle();
        });
        [
            ("a change", typed),
            ("what is unsent", late),
            ("a tick", ticked),
            ("an opening", opened),
            ("an end", gone),
        ]
    });
    assert_alike(&few, &many);
}

#[test]
fn what_concerns_one_document_of_a_session_costs_the_same_among_nine_hundred_as_among_ten() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let [few, many] = [10, 900].map(|documents| {
        let mut place = Place::new();
        let session = place.connect(1);
        place.open(session, ".room");
        // The first ones wait for their synchronisation while the others open.
        for n in 0..documents {
            place.say(session, &name(n), &ClientMessage::Token { token: "t", version: Some("4.8.0") });
        }
        for n in 0..documents {
            place.say(session, &name(n), &ClientMessage::Sync(SyncMessage::Step1(&[0])));
            place.say(session, &name(n), &ClientMessage::Sync(SyncMessage::Step2(EMPTY_UPDATE)));
        }
        place.types(session, &name(3), 0);
        let typed = allocated(|| place.types(session, &name(3), 1));
        let opened = allocated(|| place.open(session, &name(7_777)));
        let left = allocated(|| place.say(session, &name(7_777), &ClientMessage::Close));
        [("a change", typed), ("an opening", opened), ("a leaving", left)]
    });
    assert_alike(&few, &many);
}

#[test]
fn a_thousand_documents_are_opened_with_a_hundred_times_the_work_of_ten() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let [few, many] = [10, 990].map(|documents| {
        let mut place = Place::new();
        let session = place.connect(1);
        allocated(|| {
            let token = ClientMessage::Token { token: "t", version: Some("4.8.0") };
            (0..documents).for_each(|n| place.say(session, &name(n), &token));
            for n in 0..documents {
                place.say(session, &name(n), &ClientMessage::Sync(SyncMessage::Step1(&[0])));
            }
            for n in 0..documents {
                place.say(session, &name(n), &ClientMessage::Sync(SyncMessage::Step2(EMPTY_UPDATE)));
            }
        })
    });
    // What is saved of a session is at most 12 KB, which is written while some of them are at work.
    let saved = 2 * 990 * (12 << 10);
    assert!(many < 150 * few + saved, "{many} bytes for 990, {few} for ten");
}

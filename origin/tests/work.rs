//! How much work things are, counted in bytes that are allocated: what concerns one file costs the same however many
//! there are, and a log of four times the length four times as much.
//!
//! In a binary of its own, since the counters are those of the whole process: one test at a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    alloc::System,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use origin::flush::{FlushSettings, embedded::Jobs};
use room::{
    Effect, LinkId, Room, Settings,
    log::{FileLog, LogEntry, Logged, Source},
    store::{Published, empty_base},
    text::{Merged, TextError},
};
use shared::{
    grant::{Grant, Member, Role},
    id::{ChannelId, FileId, FilePath, RoomId, SessionId},
    limits,
    position::{Epoch, Position},
    wire::link::{ChangeKind, HubMessage},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use yrs::{ClientID, Doc, Options, Text, Transact};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static ALONE: Mutex<()> = Mutex::new(());

const EPOCH: Epoch = Epoch(3);

/// The bytes that were asked for while `run` ran, freed or not.
fn allocated<T>(run: impl FnOnce() -> T) -> usize {
    let region = Region::new(ALLOCATOR);
    std::hint::black_box(run());
    let change = region.change();
    change.bytes_allocated + usize::try_from(change.bytes_reallocated).unwrap_or(0)
}

/// Every keystroke of somebody who types so many letters, each an update.
fn strokes(count: usize) -> Vec<Bytes> {
    let doc = Doc::with_options(Options::with_client_id(ClientID::new(7)));
    let text = doc.get_or_insert_text(limits::TEXT_ROOT);
    let strokes = (0..count).map(|_| {
        let mut change = doc.transact_mut();
        text.push(&mut change, "x");
        Bytes::from(change.encode_update_v1())
    });
    strokes.collect()
}

#[test]
fn a_log_that_is_four_times_as_long_is_merged_with_four_times_the_work() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let merge = |strokes: &[Bytes]| -> Result<String, TextError> {
        let merged = Merged::of(strokes.iter().map(|update| &**update))?;
        Ok(merged.text())
    };
    let strokes = strokes(16_000);
    let (short, long) = (allocated(|| merge(&strokes[..4_000])), allocated(|| merge(&strokes)));
    assert_eq!(merge(&strokes).unwrap().len(), strokes.len());
    assert!(long < 5 * short, "{long} bytes to {short}");
}

fn file(n: usize) -> FileId {
    FileId::from_random(n as u128)
}

fn path(n: usize) -> FilePath {
    FilePath::parse(&format!("src/{n}.js")).unwrap()
}

/// A room with so many files, all of them open on one session and in memory; each has a change that is not stored.
struct World {
    room: Room,
    seq: u64,
}

const LINK: LinkId = LinkId(1);

fn channel(n: usize) -> ChannelId {
    SessionId::from_random(9 << 20).channel(u16::try_from(n).unwrap() + 1)
}

impl World {
    fn of(files: usize) -> Self {
        let settings = Settings {
            origin: "o".to_owned(),
            create_on_open: true,
            shared: true,
            owned: true,
            confirm: false,
            behind: 600_000,
        };
        let mut world = Self { room: Room::new(settings), seq: 0 };
        let names = (0..files).map(|n| (file(n), path(n))).collect();
        world.room.begin(Position { epoch: EPOCH, seq: 0, ts: 1 }, names, 0, String::new());
        world.room.attach(LINK);
        world.says(HubMessage::Hello { hub: "room~here".to_owned(), position: None });
        for n in 0..files {
            world.opens(n);
        }
        for n in 0..files {
            world.logs_elsewhere(n);
        }
        world.settle();
        world
    }

    fn says(&mut self, message: HubMessage) {
        self.room.hub_message(LINK, message, 1_000);
        self.settle();
    }

    fn opens(&mut self, n: usize) {
        let member = Member { id: "ada".into(), name: "Ada".into() };
        let grant =
            Grant { member, role: Role::Editor, rules: Default::default(), expires: None, version: 0 };
        self.says(HubMessage::Open { channel: channel(n), name: path(n).to_string(), grant });
    }

    fn types(&mut self, n: usize, hub_seq: u64, bytes: &Bytes) {
        self.says(HubMessage::Update {
            channel: channel(n),
            file: file(n),
            hub_seq,
            kind: ChangeKind::Update,
            grant_version: 0,
            may_edit: true,
            author: "".into(),
            bytes: bytes.clone(),
        });
    }

    /// Another origin has logged a change.
    fn logs_elsewhere(&mut self, n: usize) {
        self.seq += 1;
        let bytes = room::text::state_of("a", 5);
        let entry =
            LogEntry { file: file(n), seq: self.seq, ts: self.seq + 1, source: Source::default(), bytes };
        self.room.published(Published::Changes(EPOCH, vec![entry]), 1_000);
    }

    /// The room store answers what it is asked, and time passes.
    fn settle(&mut self) {
        loop {
            let effects = self.room.effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                match effect {
                    Effect::Read(file) => {
                        let position = self.room.position();
                        let log = FileLog {
                            position,
                            path: path(0),
                            base_ts: 1,
                            base_seq: 0,
                            stored_seq: 0,
                            base: empty_base(),
                            updates: Vec::new(),
                        };
                        self.room.file_read(&file, Ok(log), 1_000);
                    }
                    Effect::Append(batch) => {
                        let logged = batch.entries.iter().map(|_| {
                            self.seq += 1;
                            Logged { seq: self.seq, ts: self.seq + 1, duplicate: false }
                        });
                        let logged = logged.collect();
                        self.room.appended(Ok(logged), 1_000);
                    }
                    _ => {}
                }
            }
        }
        std::hint::black_box(self.room.next_tick());
    }
}

#[test]
fn what_concerns_one_file_of_a_room_costs_the_same_among_a_thousand_as_among_ten() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let strokes = strokes(3);
    let measured = [10, 1_000].map(|files| {
        let mut world = World::of(files);
        world.types(3, 1, &strokes[0]);
        let typed = allocated(|| world.types(3, 2, &strokes[1]));
        let left = allocated(|| world.says(HubMessage::Close { channel: channel(5) }));
        let opened = allocated(|| world.opens(5));
        [("a change", typed), ("a close", left), ("an open", opened)]
    });
    let [few, many] = measured;
    for ((what, few), (_, many)) in few.into_iter().zip(many) {
        // Half as much again: what is kept in a tree, or grows, may take its next step.
        assert!(2 * many < 3 * few + 2_048, "{what}: {many} bytes among many, {few} among few");
    }
}

#[test]
fn a_job_that_becomes_due_costs_the_same_among_ten_thousand_that_wait_as_among_ten() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let room = |n: usize| RoomId::parse(&format!("room-{n}")).unwrap();
    let measured = [10, 10_000].map(|count| {
        let mut jobs = Jobs::new(FlushSettings { concurrency: 1, ..FlushSettings::default() });
        (0..count).for_each(|n| jobs.request_now(&room(n), 0));
        assert_eq!(jobs.take_due(0).len(), 1);
        jobs.finished(&room(0), Ok(()), 1);
        allocated(|| (jobs.take_due(1), jobs.next_due(1)))
    });
    assert!(measured[1] <= measured[0] + 256, "{measured:?}");
}

//! Histories: who comes, types, flushes, sweeps and leaves, in which process, and when one of these dies.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use origin::flush::runner::FlushRoom;
use shared::id::RoomId;
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

use super::{
    ground::{Ground, Stores},
    ledger::{Ledger, nothing_is_skipped},
    member::Member,
    mortal::Death,
    process::Process,
};
use crate::{room_store_contract::setup::any_room, support::PATIENCE};

/// The processes of a history.
const NAMES: [&str; 2] = ["first", "second"];

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member comes to a process.
    Come(usize, usize),
    Open(usize, &'static str),
    Type(usize, &'static str),
    /// A member waits until everything typed is logged.
    Saved(usize),
    Leave(usize),
    /// A process flushes the room.
    Flush(usize),
    /// The same, while one of its members types.
    FlushWhile(usize, usize, &'static str),
    /// A process sweeps.
    Sweep(usize),
    /// All have left: the room ends by itself.
    Gone,
}

/// Lets the history happen, the first process dying as it is said, then checks. Whether it died.
pub(super) fn live(ground: &Ground, history: &[Step], death: Option<Death>) -> bool {
    let (room, ledger) = (any_room(), Arc::new(Ledger::default()));
    let died = runtime().block_on(async {
        let stores = ground.open().await;
        let mut world = World::new(&stores, room.clone(), ledger.clone(), death);
        for step in history {
            let happened = timeout(PATIENCE, world.happens(*step)).await;
            happened.unwrap_or_else(|_| panic!("{step:?} of {history:?} does not end"));
        }
        world.processes[0].line.is_dead()
    });
    // With that runtime everything is gone that only lived in memory.
    runtime().block_on(async {
        let stores = ground.open().await;
        nothing_is_skipped(&stores, &room).await;
        recover(&stores, &room).await;
        ledger.is_in_the_archive(&stores, &room).await;
    });
    died
}

/// Another process looks after what was left, until nothing of the room is.
async fn recover(stores: &Stores, room: &RoomId) {
    let other = Process::start(stores, "other", None);
    if is_there(stores, room).await {
        // The leases of the dead end sooner than they would.
        for name in NAMES {
            stores.rooms.join(room, name, Duration::from_millis(1)).await.unwrap();
        }
    }
    let gone = async {
        while is_there(stores, room).await {
            sleep(Duration::from_millis(2)).await;
            other.sweeper.sweep().await.unwrap();
            other.flusher.flush(room).await.unwrap();
        }
    };
    timeout(PATIENCE, gone).await.expect("the room ends");
}

async fn is_there(stores: &Stores, room: &RoomId) -> bool {
    stores.rooms.rooms().await.unwrap().contains(room)
}

struct World<'a> {
    stores: &'a Stores,
    room: RoomId,
    ledger: Arc<Ledger>,
    processes: Vec<Process>,
    /// Each with the number of the process it is at.
    members: BTreeMap<usize, (usize, Member)>,
    /// So many have come: whoever comes again is another client.
    come: usize,
}

impl<'a> World<'a> {
    fn new(stores: &'a Stores, room: RoomId, ledger: Arc<Ledger>, death: Option<Death>) -> Self {
        // Where stores are not shared there is no second process.
        let names = if stores.rooms.is_shared() { &NAMES[..] } else { &NAMES[..1] };
        let start =
            |(number, name): (usize, &&str)| Process::start(stores, name, death.filter(|_| number == 0));
        let processes = names.iter().enumerate().map(start).collect();
        Self { stores, room, ledger, processes, members: BTreeMap::new(), come: 0 }
    }

    /// What the dead would have done does not happen.
    async fn happens(&mut self, step: Step) {
        match step {
            Step::Come(member, at) => {
                self.come += 1;
                let process = &self.processes[at];
                let coming = Member::come(process, &self.room, self.come, &self.ledger);
                let come = process.line.lives_through(coming).await;
                self.members.extend(come.map(|come| (member, (at, come))));
            }
            Step::Open(member, path) => self.does(member, async |member| member.open(path).await).await,
            Step::Type(member, path) => self.does(member, async |member| member.types(path).await).await,
            Step::Saved(member) => self.does(member, Member::saved).await,
            Step::Leave(member) => drop(self.members.remove(&member)),
            Step::Flush(at) => {
                let Process { line, flusher, .. } = &self.processes[at];
                let flushed = line.lives_through(flusher.flush(&self.room)).await;
                flushed.transpose().unwrap();
            }
            Step::FlushWhile(at, member, path) => {
                let Process { line, flusher, .. } = &self.processes[at];
                let Some((_, member)) = self.members.get_mut(&member) else { return };
                let types = async {
                    member.types(path).await;
                    member.saved().await;
                    Ok(())
                };
                let both = async { tokio::try_join!(flusher.flush(&self.room), types) };
                line.lives_through(both).await.transpose().unwrap();
            }
            Step::Sweep(at) => {
                let Process { line, sweeper, .. } = &self.processes[at];
                line.lives_through(sweeper.sweep()).await.transpose().unwrap();
            }
            Step::Gone => {
                // The lease of a process that died keeps the room.
                while is_there(self.stores, &self.room).await && self.all_live() {
                    sleep(Duration::from_millis(2)).await;
                }
            }
        }
        // The members at a dead process are gone with it.
        self.members.retain(|_, (at, _)| !self.processes[*at].line.is_dead());
    }

    async fn does(&mut self, member: usize, what: impl AsyncFnOnce(&mut Member)) {
        if let Some((at, member)) = self.members.get_mut(&member) {
            self.processes[*at].line.lives_through(what(member)).await;
        }
    }

    fn all_live(&self) -> bool {
        self.processes.iter().all(|process| !process.line.is_dead())
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

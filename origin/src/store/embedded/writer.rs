//! The one thread that changes rooms: what waits at the same time for different rooms shares one commit.
//!
//! A room has at most one change in a commit, so every decision sees what the one before it left.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use shared::id::RoomId;
use tokio::sync::mpsc;

use super::{
    change::Change,
    disk::Disk,
    room::{Now, Room},
    subscribers::Subscribers,
};
use crate::store::StoreError;

/// Commands that wait for the writer; more wait at their callers.
pub(super) const QUEUE: usize = 1024;

pub(super) type Decide = Box<dyn FnOnce(&mut Room, Now) -> (Change, Settle) + Send>;
pub(super) type Settle = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Something to be decided about a room, on the writer's thread.
pub(super) struct Command {
    pub(super) room: RoomId,
    pub(super) decide: Decide,
}

/// What the writer's thread and the readers share.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: Mutex<HashMap<RoomId, Arc<Mutex<Room>>>>,
    pub(super) subscribers: Subscribers,
    pub(super) commits: AtomicU64,
}

impl Rooms {
    pub(super) fn new(rooms: HashMap<RoomId, Room>) -> Self {
        let rooms = rooms.into_iter().map(|(id, room)| (id, Arc::new(Mutex::new(room)))).collect();
        Self { rooms: Mutex::new(rooms), ..Self::default() }
    }

    pub(super) fn get(&self, id: &RoomId) -> Option<Arc<Mutex<Room>>> {
        lock(&self.rooms).get(id).cloned()
    }

    pub(super) fn populated(&self) -> Vec<RoomId> {
        let all: Vec<_> = lock(&self.rooms).iter().map(|(id, room)| (id.clone(), room.clone())).collect();
        all.into_iter().filter(|(_, room)| lock(room).is_populated()).map(|(id, _)| id).collect()
    }

    fn enter(&self, id: &RoomId) -> Arc<Mutex<Room>> {
        lock(&self.rooms).entry(id.clone()).or_default().clone()
    }

    fn forget_if_vacant(&self, id: &RoomId) {
        let mut rooms = lock(&self.rooms);
        if rooms.get(id).is_some_and(|room| lock(room).is_vacant()) {
            rooms.remove(id);
        }
    }
}

/// The writer: runs until every sender of commands is gone.
pub(super) struct Writer {
    pub(super) disk: Disk,
    pub(super) rooms: Arc<Rooms>,
    pub(super) last_epoch: u64,
    pub(super) now_us: fn() -> u64,
}

struct Decided {
    room: RoomId,
    cell: Arc<Mutex<Room>>,
    change: Change,
    settle: Settle,
}

impl Writer {
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut waiting = VecDeque::new();
        while let Some(first) = waiting.pop_front().or_else(|| commands.blocking_recv()) {
            waiting.push_front(first);
            while waiting.len() < QUEUE
                && let Ok(next) = commands.try_recv()
            {
                waiting.push_back(next);
            }
            self.commit(take_one_per_room(&mut waiting));
        }
    }

    fn commit(&mut self, commands: Vec<Command>) {
        let decided: Vec<Decided> = commands.into_iter().map(|command| self.decide(command)).collect();
        let mut lasting = decided
            .iter()
            .filter(|one| !matches!(one.change, Change::None))
            .map(|one| (&one.room, &one.change))
            .peekable();
        let written = if lasting.peek().is_some() {
            self.rooms.commits.fetch_add(1, Ordering::Relaxed);
            self.disk.write(lasting)
        } else {
            Ok(())
        };
        for Decided { room, cell, change, settle } in decided {
            match &written {
                Err(failure) if !matches!(change, Change::None) => settle(Err(failure.answer())),
                _ => {
                    if let Change::Opened { position, .. } = &change {
                        self.last_epoch = self.last_epoch.max(position.epoch.0);
                    }
                    let news = lock(&cell).apply(change);
                    if let Some(news) = news {
                        self.rooms.subscribers.publish(&room, &news);
                    }
                    settle(Ok(()));
                }
            }
            self.rooms.forget_if_vacant(&room);
        }
    }

    fn decide(&self, command: Command) -> Decided {
        let cell = self.rooms.enter(&command.room);
        let now = Now { us: (self.now_us)(), last_epoch: self.last_epoch };
        let (change, settle) = (command.decide)(&mut lock(&cell), now);
        Decided { room: command.room, cell, change, settle }
    }
}

fn take_one_per_room(waiting: &mut VecDeque<Command>) -> Vec<Command> {
    let mut rooms = HashSet::new();
    let (group, rest): (Vec<_>, Vec<_>) =
        waiting.drain(..).partition(|command| rooms.insert(command.room.clone()));
    waiting.extend(rest);
    group
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The room store of a single process: rooms in memory, every lasting change first committed to a SQLite file.
//!
//! Promise: what was answered is in the file (WAL, synchronous FULL) and comes back when it is opened again,
//! whatever ended the process. A failed write is answered as such and changes nothing in memory.
//! The file must belong to this process alone.

mod open;
mod change;
mod room;
mod disk;
mod subscribers;
mod writer;
mod log;
mod leases;
mod catalog;
mod subscriptions;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
};

use shared::id::RoomId;
use tokio::sync::{mpsc, oneshot};

use self::{
    change::Change,
    disk::{Disk, Failure},
    room::{Now, Room},
    writer::{Command, Rooms, Writer, lock},
};
use super::{RoomStore, StoreError};
use crate::clock;

/// The embedded room store. Dropping it ends its thread after the commit that is under way.
pub struct EmbeddedStore {
    rooms: Arc<Rooms>,
    commands: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<()>>,
    secret: String,
}

impl EmbeddedStore {
    /// Opens or makes the file at `path` and reads its rooms back.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_at(path, clock::now_us)
    }

    /// [`Self::open`] with another clock, in microseconds.
    pub fn open_at(path: &Path, now_us: fn() -> u64) -> Result<Self, StoreError> {
        let open = || -> Result<_, Failure> {
            let disk = Disk::open(path)?;
            let (rooms, last_epoch, secret) = (disk.rooms()?, disk.last_epoch()?, disk.secret()?);
            Ok((disk, rooms, last_epoch, secret))
        };
        let (disk, rooms, last_epoch, secret) = open().map_err(|failure| failure.answer())?;
        let rooms = Arc::new(Rooms::new(rooms));
        let (commands, waiting) = mpsc::channel(writer::QUEUE);
        let writer = Writer { disk, rooms: rooms.clone(), last_epoch, now_us };
        let writer = thread::Builder::new()
            .name("room-store".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(|error| StoreError::Failed(format!("starting the writer: {error}")))?;
        Ok(Self { rooms, commands: Some(commands), writer: Some(writer), secret })
    }

    /// How many commits were begun since it was opened.
    pub fn commits(&self) -> u64 {
        self.rooms.commits.load(Ordering::Relaxed)
    }

    async fn decide<T: Send + 'static>(
        &self,
        room: &RoomId,
        decision: impl FnOnce(&mut Room, Now) -> Result<(Change, T), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Failed("the writer has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let decide: writer::Decide = Box::new(move |room, now| match decision(room, now) {
            // A caller that no longer waits needs no answer.
            Ok((change, reply)) => {
                (change, Box::new(move |written| drop(answer.send(written.map(|()| reply)))))
            }
            Err(error) => (Change::None, Box::new(move |_| drop(answer.send(Err(error))))),
        });
        let commands = self.commands.as_ref().ok_or_else(gone)?;
        commands.send(Command { room: room.clone(), decide }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    fn look<T>(
        &self,
        room: &RoomId,
        view: impl FnOnce(&Room) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let room = self.rooms.get(room).ok_or(StoreError::Cold)?;
        view(&lock(&room))
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to finish.
            drop(writer.join());
        }
    }
}

impl RoomStore for EmbeddedStore {
    fn is_shared(&self) -> bool {
        false
    }
}

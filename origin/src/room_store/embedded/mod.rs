//! The room store of a single process: rooms in memory, every lasting change first committed to a SQLite file.
//!
//! Promise: what was answered is in the file (WAL, synchronous FULL) and comes back when it is opened again,
//! whatever ended the process. A failed write is answered as such and changes nothing in memory.
//! The file must belong to this process alone.

mod disk;
mod open;
mod change;
mod room;
mod subscribers;
mod writer;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use shared::{
    id::{FileId, FilePath, RoomId},
    position::{Epoch, Position},
};
use tokio::sync::{mpsc, oneshot};

use self::{
    change::Change,
    disk::{Disk, Failure},
    room::{Now, Room},
    writer::{Command, Rooms, Writer, lock},
};
use super::{
    Backfill, Base, Batch, Claimed, Dirty, FileLog, FlushAck, Joined, Left, Listed, ListedMember,
    LoaderToken, Logged, Outcome, Published, RoomStore, StoreError, Survey,
};
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

#[async_trait]
impl RoomStore for EmbeddedStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn join(&self, room: &RoomId, origin: &str, lease: Duration) -> Result<Joined, StoreError> {
        let origin = origin.to_owned();
        self.decide(room, move |room, now| Ok((Change::None, room.join(now, &origin, lease)?))).await
    }

    async fn commit(
        &self,
        room: &RoomId,
        loader: &LoaderToken,
        bases: Vec<Base>,
        not_before: u64,
    ) -> Result<Position, StoreError> {
        let loader = loader.clone();
        self.decide(room, move |room, now| room.commit(now, &loader, bases, not_before)).await
    }

    async fn append(&self, room: &RoomId, epoch: Epoch, batch: Batch) -> Result<Vec<Logged>, StoreError> {
        self.decide(room, move |room, now| room.append(now, epoch, batch)).await
    }

    async fn read(&self, room: &RoomId, file: &FileId) -> Result<FileLog, StoreError> {
        self.look(room, |room| room.read(file))
    }

    async fn backfill(&self, room: &RoomId, from: Position) -> Result<Backfill, StoreError> {
        self.look(room, |room| room.backfill(from))
    }

    async fn claim(
        &self,
        room: &RoomId,
        epoch: Epoch,
        path: &FilePath,
        id: &FileId,
    ) -> Result<Claimed, StoreError> {
        let (path, id) = (path.clone(), id.clone());
        self.decide(room, move |room, now| room.claim(now, epoch, path, id)).await
    }

    async fn secret(&self, room: &RoomId) -> Result<String, StoreError> {
        self.look(room, |room| room.names().map(|_| self.secret.clone()))
    }

    async fn names(&self, room: &RoomId) -> Result<Vec<(FileId, FilePath)>, StoreError> {
        self.look(room, Room::names)
    }

    async fn dirty(&self, room: &RoomId) -> Result<Dirty, StoreError> {
        self.look(room, Room::dirty)
    }

    async fn ack(&self, room: &RoomId, epoch: Epoch, ack: FlushAck) -> Result<(), StoreError> {
        self.decide(room, move |room, _| room.ack(epoch, ack)).await
    }

    async fn compact(&self, room: &RoomId, epoch: Epoch, merged: FlushAck) -> Result<(), StoreError> {
        self.decide(room, move |room, _| room.compact(epoch, merged)).await
    }

    async fn list(&self, room: &RoomId, origin: &str, members: Vec<ListedMember>) -> Result<(), StoreError> {
        let origin = origin.to_owned();
        self.decide(room, move |room, now| Ok((Change::None, room.list(now, &origin, members)?))).await
    }

    async fn listed(&self, room: &RoomId) -> Result<Vec<Listed>, StoreError> {
        self.decide(room, |room, now| Ok((Change::None, room.listed(now)?))).await
    }

    async fn leave(&self, room: &RoomId, origin: &str, epoch: Epoch) -> Result<Left, StoreError> {
        let origin = origin.to_owned();
        self.decide(room, move |room, now| Ok(room.leave(now, &origin, epoch))).await
    }

    async fn tell(&self, room: &RoomId, outcome: Outcome) -> Result<(), StoreError> {
        self.decide(room, move |room, _| Ok((Change::None, room.tell(outcome)?))).await
    }

    async fn survey(&self, room: &RoomId, files: &[FileId]) -> Result<Survey, StoreError> {
        let files = files.to_vec();
        self.decide(room, move |room, now| Ok((Change::None, room.survey(now, &files)?))).await
    }

    async fn seal(&self, room: &RoomId, at_most: Duration) -> Result<(), StoreError> {
        self.decide(room, move |room, now| Ok((room.seal(now, at_most), ()))).await
    }

    async fn erase(&self, room: &RoomId) -> Result<(), StoreError> {
        self.decide(room, |_, _| Ok((Change::Erased, ()))).await
    }

    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        Ok(self.rooms.populated())
    }

    async fn announce(&self, room: &RoomId, note: Bytes) -> Result<(), StoreError> {
        self.rooms.subscribers.publish(room, &Published::Note(note));
        Ok(())
    }

    async fn subscribe(&self, room: &RoomId) -> Result<mpsc::Receiver<Published>, StoreError> {
        Ok(self.rooms.subscribers.add(room))
    }
}

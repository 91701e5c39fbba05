//! The sweep: what nobody else looks after. A dirty room without a job gets one, a clean room that nobody has open
//! is depopulated, a deletion that was left half done is ended, and while the queue takes nothing the rooms are flushed
//! without it.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use shared::id::RoomId;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{flusher::Flusher, queue::FlushQueue, runner::FlushRunner};
use crate::store::{Dirty, Left, StoreError, Survey};

/// How soon the next sweep comes after one that had to do without the queue.
const SOON: Duration = Duration::from_secs(2);

/// Looks after the rooms of all processes.
pub struct Sweeper {
    /// Who depopulates.
    pub flusher: Arc<Flusher>,
    /// Who flushes.
    pub queue: Arc<dyn FlushQueue>,
    /// What flushes while the queue does not.
    pub runner: Arc<FlushRunner>,
    /// Rooms that are flushed at once without the queue.
    pub at_once: usize,
    /// Told of every sweep.
    pub observe: Box<dyn Fn(&Swept) + Send + Sync>,
}

/// What a sweep has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rooms with dirty files.
    pub dirty: usize,
    /// Those of them that were flushed without the queue, well or not.
    pub without_queue: usize,
    /// Rooms that could not be looked at; the other figures lack them.
    pub missed: usize,
    /// Files that wait for their own time, as far as this process knows.
    pub parked: usize,
    /// The timestamp of the oldest unflushed change of all.
    pub oldest: Option<u64>,
    /// About how many bytes the logs of all rooms take in the room store.
    pub log_bytes: u64,
    /// The rooms with the largest logs, and how large they are; at most [`crate::limits::LARGEST_ROOMS`].
    pub largest: Vec<(RoomId, u64)>,
}

impl Swept {
    fn measured(&mut self, room: &RoomId, log_bytes: u64) {
        self.log_bytes += log_bytes;
        let place = self.largest.partition_point(|(_, others)| *others >= log_bytes);
        self.largest.insert(place, (room.clone(), log_bytes));
        self.largest.truncate(crate::limits::LARGEST_ROOMS);
    }
}

impl Sweeper {
    /// Sweeps at once, then every `every`, and soon while the queue takes nothing.
    pub async fn run(&self, every: Duration, stop: &CancellationToken) {
        loop {
            let pause = match self.sweep().await {
                Ok(swept) if swept.without_queue > 0 => every.min(SOON),
                Ok(_) => every,
                Err(error) => {
                    tracing::warn!(%error, "sweeping for dirty rooms");
                    every
                }
            };
            let refused = async {
                // Not more often than that, however much is refused.
                time::sleep(pause.min(SOON)).await;
                self.queue.refused().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = time::sleep(pause.max(Duration::from_millis(1))) => {}
                () = refused => {}
            }
        }
    }

    /// Sweeps once.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let mut left = Vec::new();
        let rooms = self.flusher.store.rooms().await?;
        self.flusher.parking.only(&rooms);
        for room in rooms {
            match self.look_at(&room).await {
                Ok(None) => self.flusher.parking.forget(&room),
                Ok(Some((dirty, survey))) => {
                    swept.measured(&room, survey.log_bytes);
                    if dirty.files.is_empty() {
                        continue;
                    }
                    swept.dirty += 1;
                    let first = dirty.files.iter().map(|(_, first)| *first).min();
                    swept.oldest = swept.oldest.into_iter().chain(first).min();
                    if !self.is_due(&room, &dirty) {
                        continue;
                    }
                    // One refusal is enough: the next would only take its time as well.
                    if !left.is_empty() || !self.has_job(&room).await {
                        left.push(room);
                    }
                }
                Err(error) => {
                    swept.missed += 1;
                    tracing::warn!(room.id = %room, %error, "sweeping a room");
                }
            }
        }
        swept.without_queue = left.len();
        swept.parked = self.flusher.parking.count();
        (self.observe)(&swept);
        // How each of them went is seen by the observer of the runner.
        stream::iter(left)
            .for_each_concurrent(self.at_once, async |room| drop(self.runner.run(&room).await))
            .await;
        Ok(swept)
    }

    /// What of a room is dirty, and what else is known; `None` if it is gone. One that is clean is depopulated if
    /// nobody has it open.
    async fn look_at(&self, room: &RoomId) -> Result<Option<(Dirty, Survey)>, StoreError> {
        let store = &self.flusher.store;
        let dirty = match store.dirty(room).await {
            Err(StoreError::Cold) => return Ok(None),
            dirty => dirty?,
        };
        if dirty.files.is_empty() && self.flusher.depopulate(room, dirty.epoch).await? == Left::Gone {
            return Ok(None);
        }
        let files: Vec<_> = dirty.files.iter().map(|(file, _)| file.clone()).collect();
        self.flusher.parking.dirty(room, &files);
        match store.survey(room, &files).await {
            Ok(survey) if survey.deletion_left && self.end_deletion(room).await => Ok(None),
            Ok(survey) => Ok(Some((dirty, survey))),
            Err(StoreError::Cold) => Ok(None),
            Err(error) => {
                // What is dirty is flushed all the same.
                tracing::warn!(room.id = %room, %error, "surveying a room");
                Ok(Some((dirty, Survey::default())))
            }
        }
    }

    /// Whether the room is gone with it.
    async fn end_deletion(&self, room: &RoomId) -> bool {
        let ended = self.flusher.end_deletion(room).await;
        if let Err(error) = &ended {
            tracing::warn!(room.id = %room, %error, "ending a deletion");
        }
        ended.unwrap_or(false)
    }

    /// Whether there is more in it than files that wait for their own time.
    fn is_due(&self, room: &RoomId, dirty: &Dirty) -> bool {
        let now = (self.flusher.now_us)();
        dirty.files.iter().any(|(file, _)| self.flusher.parking.reason(room, file, now).is_none())
    }

    async fn has_job(&self, room: &RoomId) -> bool {
        let ensured = self.queue.ensure(room).await;
        if let Err(error) = &ensured {
            tracing::warn!(room.id = %room, %error, "rooms are flushed without the queue");
        }
        ensured.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_rooms_are_named_and_all_are_counted() {
        let room = |n: u64| RoomId::parse(&format!("room-{n}")).unwrap();
        let mut swept = Swept::default();
        let sizes = [3, 14, 1, 5, 9, 2, 6, 11, 12, 13, 8, 7, 10, 4];
        sizes.iter().for_each(|n| swept.measured(&room(*n), *n));
        assert_eq!(swept.log_bytes, 105);
        let largest: Vec<_> = (5..=14).rev().map(|n| (room(n), n)).collect();
        assert_eq!(swept.largest, largest);
    }
}

//! Flushing a room as a whole: its files, and then the room itself if nobody needs it any more.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use shared::{id::RoomId, position::Epoch};

use super::{
    job::flush_room,
    parking::Parking,
    report::{FlushError, FlushFailure, FlushReport},
    runner::FlushRoom,
};
use crate::{
    archive::Archive,
    store::{DELETION, Left, Outcome, RoomStore, StoreError},
};

/// The name of no origin: leaving under it removes a room only if nobody else is in it.
const NOBODY: &str = "flush";

/// What flushing needs.
pub struct Flusher {
    /// Where the changes are.
    pub store: Arc<dyn RoomStore>,
    /// Where they go.
    pub archive: Arc<dyn Archive>,
    /// What cannot be flushed for now.
    pub parking: Parking,
    /// The time in microseconds.
    pub now_us: fn() -> u64,
}

#[async_trait]
impl FlushRoom for Flusher {
    /// Flushes a room, and depopulates it if it is clean and its last member left while it was not.
    async fn flush(&self, room: &RoomId) -> Result<FlushReport, FlushError> {
        let now = (self.now_us)();
        let outcome = flush_room(&*self.store, &*self.archive, &self.parking, room, now).await;
        if let Some(report) = outcome.as_ref().map_or_else(FlushError::report, Some) {
            let parked = report.parked.iter().map(|file| (file.id.clone(), file.reason.clone()));
            self.record(room, Outcome::ended(outcome.is_ok().then_some(now), parked)).await;
        }
        let report = outcome?;
        if let Some(epoch) = report.epoch.filter(|_| report.clean)
            && let Err(cause) = self.depopulate(room, epoch).await
        {
            return Err(FlushError::Left { report: Box::new(report), cause });
        }
        Ok(report)
    }

    async fn record_failure(&self, room: &RoomId, failure: &FlushFailure) {
        self.record(room, Outcome::failed((self.now_us)(), &failure.to_string())).await;
    }
}

impl Flusher {
    /// Keeps with the room how a flush ended. Only operators miss it if it is lost.
    async fn record(&self, room: &RoomId, outcome: Outcome) {
        match self.store.record_flush_outcome(room, outcome).await {
            Ok(()) | Err(StoreError::Cold) => {}
            Err(error) => tracing::debug!(room.id = %room, %error, "how a flush ended is not kept"),
        }
    }

    /// Removes a room that is clean, if nobody has it open.
    pub(super) async fn depopulate(&self, room: &RoomId, epoch: Epoch) -> Result<Left, StoreError> {
        self.store.leave(room, NOBODY, epoch).await
    }

    /// Ends a deletion that was begun and left: erases the room if its shard is gone, else lets it live on. Whether it
    /// was erased. Without a deletion nothing of a room is dropped, whatever the archive has.
    pub(super) async fn end_deletion(&self, room: &RoomId) -> Result<bool, FlushError> {
        if self.archive.making(room).await?.is_some() {
            self.store.seal(room, Duration::ZERO).await?;
            return Ok(false);
        }
        // Under the seal nobody makes a shard of that id, so what is looked up now holds until the room is gone.
        self.store.seal(room, DELETION).await?;
        if self.archive.making(room).await?.is_some() {
            self.store.seal(room, Duration::ZERO).await?;
            return Ok(false);
        }
        self.store.erase(room).await?;
        self.parking.forget(room);
        tracing::info!(room.id = %room, "a deletion that was left half done is ended");
        Ok(true)
    }
}

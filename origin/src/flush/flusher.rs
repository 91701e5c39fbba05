//! Flushing a room as a whole: its files, and then the room itself if nobody needs it any more.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use shared::{id::RoomId, position::Epoch};

use super::{
    Work,
    job::{FlushError, FlushReport, flush_room},
    parking::Parking,
    told,
};
use crate::{
    archive::Archive,
    room_store::{DELETION, Left, Outcome, RoomStore, StoreError},
};

/// The name of no origin: leaving under it removes a room only if nobody else is in it.
const NOBODY: &str = "flush";

/// Told of every flush that ended by itself.
pub type Observer = dyn Fn(&RoomId, &Result<FlushReport, FlushError>) + Send + Sync;

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
    /// Told of every flush that ended by itself.
    pub observe: Box<Observer>,
}

impl Flusher {
    /// Flushes a room, and depopulates it if it is clean and its last member left while it was not.
    pub async fn flush(&self, room: &RoomId) -> Result<FlushReport, FlushError> {
        let now = (self.now_us)();
        let outcome = flush_room(&*self.store, &*self.archive, &self.parking, room, now).await;
        (self.observe)(room, &outcome);
        if let Some(report) = done(&outcome) {
            let parked = report.parked.iter().map(|file| (file.id.clone(), file.reason.clone()));
            let ended = Outcome::ended(outcome.is_ok().then_some(now), parked);
            told::keep(&*self.store, room, ended).await;
        }
        let report = outcome?;
        if let Some(epoch) = report.epoch.filter(|_| report.clean) {
            self.depopulate(room, epoch).await?;
        }
        Ok(report)
    }

    /// [`Self::flush`] as the work of a job.
    pub fn work(self: &Arc<Self>) -> Arc<Work> {
        let flusher = self.clone();
        Arc::new(move |room: RoomId| {
            let flusher = flusher.clone();
            Box::pin(async move {
                let report = flusher.flush(&room).await;
                report.map(|report| summary(&report)).map_err(|error| error.to_string())
            })
        })
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

/// What a flush has done, also if not all of it.
pub fn done(outcome: &Result<FlushReport, FlushError>) -> Option<&FlushReport> {
    match outcome {
        Ok(report) => Some(report),
        Err(FlushError::Unfinished { report, .. } | FlushError::Unsettled { report, .. }) => Some(report),
        Err(_) => None,
    }
}

/// What an operator sees of a job that is done.
fn summary(report: &FlushReport) -> Value {
    let parked = report.parked.iter().map(|file| json!({ "file": file.id, "reason": file.reason }));
    json!({
        "written": report.written.len(),
        "unchanged": report.unchanged.len(),
        "parked": parked.collect::<Vec<_>>(),
        "bytes": report.bytes,
        "clean": report.clean,
    })
}

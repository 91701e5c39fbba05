//! Which rooms there are, and what is known of each beside its text.

use async_trait::async_trait;
use shared::id::{FileId, RoomId};

use super::{
    EmbeddedStore,
    change::Change,
    open::{BEGUN, File},
};
use crate::store::{Catalog, LogEntry, Outcome, StoreError, Survey};

#[async_trait]
impl Catalog for EmbeddedStore {
    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        Ok(self.rooms.populated())
    }

    async fn survey(&self, room: &RoomId, files: &[FileId]) -> Result<Survey, StoreError> {
        let files = files.to_vec();
        self.decide(room, move |room, now| {
            room.expire(now);
            let open = room.populated()?;
            let of_file = |file| open.files.get(file).map_or(0, |file: &File| bytes_of(&file.updates));
            let file_bytes: Vec<u64> = files.iter().map(of_file).collect();
            let survey = Survey {
                log_bytes: file_bytes.iter().sum::<u64>() + bytes_of(&open.events),
                file_bytes,
                deletion_left: open.marks.contains_key(BEGUN) && room.sealed_until == 0,
                outcome: open.outcome.clone(),
            };
            Ok((Change::None, survey))
        })
        .await
    }

    async fn record_flush_outcome(&self, room: &RoomId, outcome: Outcome) -> Result<(), StoreError> {
        self.decide(room, move |room, _| {
            let open = room.open.as_mut().ok_or(StoreError::Cold)?;
            open.outcome = std::mem::take(&mut open.outcome).and(outcome);
            Ok((Change::None, ()))
        })
        .await
    }
}

fn bytes_of<'a>(entries: impl IntoIterator<Item = &'a LogEntry>) -> u64 {
    entries.into_iter().map(|entry| entry.bytes.len() as u64).sum()
}

//! Files that the archive does not take: their logs are kept short in the room store, so that neither its memory nor
//! what reading a file takes grows with all that was typed meanwhile.
//!
//! Promise: nothing is lost by it, wherever it dies. A merged state takes the place of the base that it began with and
//! of exactly the updates in it, in one step, or of nothing; the file stays as dirty as it was, so the next flush that
//! the archive takes writes it. A log is merged again only when as much was typed since.

use shared::{
    id::{FileId, RoomId},
    position::Epoch,
};

use super::{merge::merged, pace::paced, parking::Parking};
use crate::{
    project::text::TextError,
    store::{FlushAck, RoomStore, StoreError},
};

/// Compacts the long logs among those of these files. What cannot be done now is done after the next attempt to flush; a
/// file that cannot be merged is parked, since no flush can store it either.
pub(super) async fn compact_long(
    store: &dyn RoomStore,
    parking: &Parking,
    room: &RoomId,
    epoch: Epoch,
    files: &[FileId],
    now_us: u64,
) {
    if files.is_empty() {
        return;
    }
    let survey = match store.survey(room, files).await {
        Ok(survey) => survey,
        Err(error) => return tracing::warn!(room.id = %room, %error, "logs cannot be measured"),
    };
    for (file, _) in files.iter().zip(survey.file_bytes).filter(|(_, bytes)| *bytes > LOG_BYTES) {
        match compact(store, room, epoch, file).await {
            Ok(updates) => {
                tracing::info!(room.id = %room, file.id = %file, updates, "a log was compacted; it is not stored yet");
            }
            // Another flush was first.
            Err(CompactError::Store(StoreError::Conflict)) => {}
            Err(CompactError::Store(error)) => {
                tracing::warn!(room.id = %room, file.id = %file, %error, "a log cannot be compacted");
            }
            Err(CompactError::Text(error)) => parking.park(room, file, &error.to_string(), now_us),
        }
    }
}

const LOG_BYTES: u64 = room::limits::LOG_BYTES as u64;

#[derive(Debug, thiserror::Error)]
enum CompactError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Text(#[from] TextError),
}

/// How many updates were merged.
async fn compact(
    store: &dyn RoomStore,
    room: &RoomId,
    epoch: Epoch,
    file: &FileId,
) -> Result<usize, CompactError> {
    let log = paced(store, store.read(room, file)).await?;
    let Some(last) = log.updates.last() else { return Ok(0) };
    let (merged_ts, merged_seq) = (last.ts, last.seq);
    let (read_base_ts, updates) = (log.base_ts, log.updates.len());
    let state = merged(log).await?;
    let ack = FlushAck { file: file.clone(), read_base_ts, merged_ts, merged_seq, state };
    paced(store, store.compact(room, epoch, ack)).await?;
    Ok(updates)
}

//! Merging the text of a file, on threads for what takes long: the threads that flush are to wait for stores only.

use std::{future::pending, panic::resume_unwind};

use bytes::Bytes;
use shared::update::{Ahead, Extension, History};
use tokio::task::{JoinError, spawn_blocking};

use crate::{
    archive::StoredFile,
    project::text::{Merged, TextError, text_of},
    store::FileLog,
};

/// What is to be done with a file.
pub(super) struct Plan {
    /// What the archive has and the room lacks.
    pub(super) lacked: Option<Lacked>,
    /// The merged state.
    pub(super) state: Bytes,
    /// The text to write; `None` if the archive has it all.
    pub(super) text: Option<String>,
}

/// An update that the room lacks, and how far it moves its clocks.
pub(super) struct Lacked {
    pub(super) update: Bytes,
    pub(super) extensions: Vec<Extension>,
}

/// What is to be done with a file that the room and the archive have so.
pub(super) async fn plan(
    log: FileLog,
    stored: Option<StoredFile>,
) -> Result<(FileLog, Option<StoredFile>, Plan), TextError> {
    merging(move || plan_of(&log, stored.as_ref()).map(|plan| (log, stored, plan))).await
}

/// Work on a thread for what takes long.
async fn merging<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => resume_unwind(panic),
        // The threads end, and who waits here with them.
        Err(Err(_)) => pending().await,
    }
}

fn plan_of(log: &FileLog, stored: Option<&StoredFile>) -> Result<Plan, TextError> {
    let mut ours = Merged::of([&*log.base])?;
    let inserted = ours.add(log.updates.iter().map(|entry| &*entry.bytes))?;
    let (lacked, same) = match stored {
        None => (None, false),
        // Nobody else has written it.
        Some(stored) if stored.state == log.base => {
            (None, !inserted && ours.equals(&Merged::of([&*log.base])?))
        }
        Some(stored) => {
            let mut history = history_of(log)?;
            // What both have must be the same, or one of them would be lost.
            history.compare(&Ahead::default(), &stored.state).map_err(TextError::Contradicts)?;
            let theirs = Merged::of([&*stored.state])?;
            let lacked = ours.absorb(&theirs)?.map(|update| {
                let advance = history.admit(&Ahead::default(), &update).map_err(TextError::Contradicts)?;
                Ok(Lacked { update, extensions: advance.iter().collect() })
            });
            (lacked.transpose()?, ours.equals(&theirs))
        }
    };
    let same = same && stored.is_some_and(|stored| stored.path == log.path);
    let (text, state) = checked_state(&ours)?;
    Ok(Plan { lacked, state, text: (!same).then_some(text) })
}

fn history_of(log: &FileLog) -> Result<History, TextError> {
    let mut history = History::default();
    history
        .absorb(&log.base)
        .and_then(|_| log.updates.iter().try_for_each(|entry| history.absorb(&entry.bytes).map(drop)))
        .map_err(TextError::Contradicts)?;
    Ok(history)
}

/// A file's base and log as one state.
pub(super) async fn merged(log: FileLog) -> Result<Bytes, TextError> {
    merging(move || {
        let updates = log.updates.iter().map(|entry| &*entry.bytes);
        checked_state(&Merged::of(std::iter::once(&*log.base).chain(updates))?).map(|(_, state)| state)
    })
    .await
}

/// Text and state of a document; a reader of the state finds this text in it.
fn checked_state(merged: &Merged) -> Result<(String, Bytes), TextError> {
    let (text, state) = (merged.text(), merged.state()?);
    if text_of(&state)? == text { Ok((text, state)) } else { Err(TextError::Differs) }
}

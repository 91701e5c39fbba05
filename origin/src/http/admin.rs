//! `/api/v1/admin/rooms`: what operators see of all rooms, whichever origin they ask, and a flush when they want one.

use std::collections::{BTreeSet, HashMap};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::id::{FileId, FilePath, RoomId};

use super::iso8601::Time;
use crate::{
    app::App,
    clock,
    error::Refusal,
    store::{FailedFlush, Listed, Outcome, RoomStore, SetAside, StoreError},
};

/// Rooms that are looked at at the same time.
const AT_ONCE: usize = 16;

/// Which rooms.
#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// Some rooms, by id.
#[derive(Serialize)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    /// What `after` must be for more; `None` if these were the last.
    next: Option<RoomId>,
}

#[derive(Serialize)]
struct Room {
    id: RoomId,
    members: usize,
    origins: Vec<Origin>,
    log_bytes: u64,
    dirty: usize,
    dirty_files: Vec<DirtyFile>,
    oldest_unstored: Option<Since>,
    last_flush: Option<Time>,
    last_error: Option<LastError>,
    parked: Vec<ParkedFile>,
}

/// `members`: `None` if the origin has only just come.
#[derive(Serialize)]
struct Origin {
    origin: String,
    members: Option<usize>,
}

#[derive(Serialize)]
struct DirtyFile {
    id: FileId,
    path: Option<FilePath>,
    unstored: Since,
}

#[derive(Clone, Copy, Serialize)]
struct Since {
    since: Option<Time>,
    seconds: u64,
}

#[derive(Serialize)]
struct LastError {
    at: Option<Time>,
    reason: String,
}

#[derive(Serialize)]
struct ParkedFile {
    id: FileId,
    path: Option<FilePath>,
    reason: String,
}

/// `?after=&limit=`: the rooms that the room store has, by id.
pub(super) async fn list(
    State(app): State<App>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<Rooms>, Refusal> {
    app.access.operator(&headers)?;
    let page = page.map(|Query(Page { after, limit })| {
        (after.unwrap_or_default(), limit.unwrap_or(crate::limits::ADMIN_ROOMS))
    });
    let (after, limit) = match page {
        Ok((after, limit)) if (1..=crate::limits::ADMIN_ROOMS_MAX).contains(&limit) => (after, limit),
        _ => return Err(Refusal::Invalid(format!("limit must be 1 to {}", crate::limits::ADMIN_ROOMS_MAX))),
    };
    let all = app.store.rooms().await.map_err(Refusal::of_store)?;
    let mut ids: BTreeSet<RoomId> = all.into_iter().filter(|id| id.as_str() > after.as_str()).collect();
    let more = ids.iter().nth(limit).cloned();
    if let Some(more) = &more {
        ids.split_off(more);
    }
    let next = more.and_then(|_| ids.last().cloned());
    let looked_at = stream::iter(ids).map(|id| room(&*app.store, id)).buffered(AT_ONCE);
    let rooms: Vec<Option<Room>> = looked_at.try_collect().await.map_err(Refusal::of_store)?;
    Ok(Json(Rooms { rooms: rooms.into_iter().flatten().collect(), next }))
}

/// Flushes a room now, in this process, and says what was done; 404 if the room store does not have it.
pub(super) async fn flush(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    app.access.operator(&headers)?;
    let id = RoomId::parse(&id).map_err(|error| Refusal::BadName { text: id, error })?;
    if app.lifecycle.is_draining() {
        return Err(Refusal::Draining);
    }
    match app.store.dirty(&id).await {
        Err(StoreError::Cold) => return Err(Refusal::NotOpen(id.to_string())),
        looked_at => looked_at.map_err(Refusal::of_store)?,
    };
    let flushed = app.runner.run(&id).await;
    flushed.map(|report| Json(report.summary())).map_err(|failure| Refusal::NotFlushed(failure.to_string()))
}

/// `None` if the room has gone meanwhile.
async fn room(store: &dyn RoomStore, id: RoomId) -> Result<Option<Room>, StoreError> {
    match described(store, &id).await {
        Err(StoreError::Cold) => Ok(None),
        room => room.map(Some),
    }
}

async fn described(store: &dyn RoomStore, id: &RoomId) -> Result<Room, StoreError> {
    let mut dirty = store.dirty(id).await?.files;
    dirty.sort_by_key(|(_, since)| *since);
    let files: Vec<FileId> = dirty.iter().map(|(file, _)| file.clone()).collect();
    let survey = store.survey(id, &files).await?;
    let listed = store.listed(id).await?;
    let paths: HashMap<FileId, FilePath> = match dirty.is_empty() {
        true => HashMap::new(),
        false => store.names(id).await?.into_iter().collect(),
    };
    let now = clock::now_us();
    let since = |ts: u64| Since { since: Time::of(ts), seconds: now.saturating_sub(ts) / 1_000_000 };
    let Outcome { flushed_at, failed, parked } = survey.outcome;
    // What was flushed since, by whomever, is not parked any more.
    let mut parked = parked.unwrap_or_default();
    parked.retain(|SetAside { file, .. }| files.contains(file));
    let origins = listed
        .into_iter()
        .map(|Listed { origin, members }| Origin { origin, members: members.map(|members| members.len()) });
    let origins: Vec<Origin> = origins.collect();
    Ok(Room {
        id: id.clone(),
        members: origins.iter().filter_map(|origin| origin.members).sum(),
        origins,
        log_bytes: survey.log_bytes,
        dirty: dirty.len(),
        oldest_unstored: dirty.first().map(|(_, ts)| since(*ts)),
        dirty_files: dirty
            .into_iter()
            .take(crate::limits::ADMIN_FILES)
            .map(|(file, ts)| DirtyFile { path: paths.get(&file).cloned(), id: file, unstored: since(ts) })
            .collect(),
        last_flush: flushed_at.and_then(Time::of),
        last_error: failed.map(|FailedFlush { at, reason }| LastError { at: Time::of(at), reason }),
        parked: parked
            .into_iter()
            .map(|SetAside { file, reason }| ParkedFile { path: paths.get(&file).cloned(), id: file, reason })
            .collect(),
    })
}

//! `/api/v1/shards`: stored projects are made, described and deleted.

use std::collections::HashSet;

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use shared::id::{FileId, FilePath, RoomId};

use super::{body::JsonBody, iso8601::Time};
use crate::{
    app::App,
    archive::Shard,
    auth::Action,
    clock,
    error::Refusal,
    project::{shards, shards::Draft},
};

/// What a shard is made from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    id: Option<String>,
    title: Option<String>,
    template: Option<String>,
    #[serde(default)]
    files: Vec<FileText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    path: String,
    text: String,
}

#[derive(Serialize)]
struct Created {
    id: RoomId,
    files: Vec<CreatedFile>,
}

#[derive(Serialize)]
struct CreatedFile {
    id: FileId,
    path: FilePath,
}

/// A shard as REST shows it.
#[derive(Serialize)]
pub(super) struct Description {
    id: RoomId,
    title: String,
    files: Vec<FileDescription>,
    last_sync_timestamp: Option<Time>,
}

#[derive(Serialize)]
struct FileDescription {
    id: FileId,
    path: FilePath,
    updated_at: Option<Time>,
    stored_at: Option<Time>,
}

/// Leave to make shards: asked for before the body is read.
pub(super) struct MayCreate;

impl FromRequestParts<App> for MayCreate {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        app.access.allow(&parts.headers, Action::Create).map(|()| Self)
    }
}

/// 201 with the ids of shard and files; 409 if the id is taken, also by an open room that is not stored yet.
pub(super) async fn create(
    State(app): State<App>,
    MayCreate: MayCreate,
    JsonBody(request): JsonBody<Request>,
) -> Result<Response, Refusal> {
    if app.lifecycle.is_draining() {
        return Err(Refusal::Draining);
    }
    let files = request.files.into_iter().map(|file| (file.path, file.text)).collect();
    let draft = Draft { id: request.id, title: request.title, template: request.template, files };
    let shard = shards::draw_up(draft, clock::now_us())?;
    let id = shard.id.clone();
    if app.rooms.names(&id).await.map_err(|error| Refusal::of_room(&id, "", error))?.is_some() {
        return Err(Refusal::Taken(id.to_string()));
    }
    let mut files: Vec<CreatedFile> =
        shard.files.iter().map(|file| CreatedFile { id: file.id.clone(), path: file.path.clone() }).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    app.archive.create(shard).await.map_err(|error| Refusal::of_archive(&id, &error))?;
    let location = format!("/api/v1/shards/{id}");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(Created { id, files })).into_response())
}

/// The shard without the texts: what is stored of it, and the files of its open room that are not stored yet.
pub(super) async fn describe(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Description>, Refusal> {
    let id = RoomId::parse(&id).map_err(|error| Refusal::BadName { text: id, error })?;
    app.access.allow(&headers, Action::Read(&id))?;
    // The names first: a file that is flushed meanwhile, with its room gone, is then at least in the archive.
    let names = app.rooms.names(&id).await.map_err(|error| Refusal::of_room(&id, "", error))?;
    let shard = app.archive.find_by_id(&id).await.map_err(|error| Refusal::of_archive(&id, &error))?;
    let mut description: Description = shard.ok_or_else(|| Refusal::NoShard(id.to_string()))?.into();
    description.add_unflushed(names.unwrap_or_default());
    Ok(Json(description))
}

/// 204: whoever has it open is closed with 4410, the room store and the archive hold nothing of it any more.
pub(super) async fn delete(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let id = RoomId::parse(&id).map_err(|error| Refusal::BadName { text: id, error })?;
    app.access.allow(&headers, Action::Delete(&id))?;
    let of_room = |error| Refusal::of_room(&id, "", error);
    let was_open = app.rooms.names(&id).await.map_err(of_room)?.is_some();
    // Nobody may join between the two steps: whoever came then would bring back what is deleted.
    app.rooms.seal(&id, true).await.map_err(of_room)?;
    let was_stored = match app.archive.delete(&id).await {
        Ok(was_stored) => was_stored,
        Err(error) => {
            // The seal ends by itself if this fails too.
            let _ = app.rooms.seal(&id, false).await;
            return Err(Refusal::of_archive(&id, &error));
        }
    };
    app.rooms.delete(&id).await.map_err(of_room)?;
    if was_open || was_stored { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::NoShard(id.to_string())) }
}

impl Description {
    fn add_unflushed(&mut self, names: Vec<(FileId, FilePath)>) {
        let stored: HashSet<FileId> = self.files.iter().map(|file| file.id.clone()).collect();
        let unflushed = names.into_iter().filter(|(id, _)| !stored.contains(id));
        let described = |(id, path)| FileDescription { id, path, updated_at: None, stored_at: None };
        self.files.extend(unflushed.map(described));
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
    }
}

impl From<Shard> for Description {
    fn from(shard: Shard) -> Self {
        // Before its first flush a shard is as it was made, and all of that is stored.
        let made = || shard.files.iter().map(|entry| entry.stored_at).min().unwrap_or(0);
        let synced = if shard.last_sync_timestamp > 0 { shard.last_sync_timestamp } else { made() };
        let files = shard.files.into_iter().map(|entry| FileDescription {
            id: entry.id,
            path: entry.path,
            updated_at: Time::of(entry.ts),
            stored_at: Time::of(entry.stored_at),
        });
        Self {
            id: shard.id,
            title: shard.title,
            files: files.collect(),
            last_sync_timestamp: Time::of(synced),
        }
    }
}

//! `GET /api/v1/shards/{id}/files/{path}`: the text of a file.
//!
//! The latest text: what the open room has logged, else what the archive has (`?from=archive` asks for that).
//! Lines end in LF as inside; `?eol=original` gives the file's own line ends back.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use shared::id::{FileId, FileName, RoomId};

use crate::{
    app::App,
    archive::{Eol, FileEntry, Shard, StoredFile},
    auth::Action,
    error::Refusal,
    project::lines,
};

/// How the text is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadQuery {
    #[serde(default)]
    from: Source,
    #[serde(default)]
    eol: LineEnds,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    #[default]
    Latest,
    Archive,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LineEnds {
    #[default]
    Lf,
    Original,
}

struct Version {
    text: String,
    etag: String,
    eol: Eol,
}

/// The text as `text/plain`, or 304 if the client has it.
pub(super) async fn read(
    State(app): State<App>,
    Path((id, file)): Path<(String, String)>,
    query: Result<Query<ReadQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(query) =
        query.map_err(|_| Refusal::Invalid("unknown query: from=archive or eol=original".into()))?;
    let room = RoomId::parse(&id).map_err(|error| Refusal::BadName { text: id, error })?;
    app.access.allow(&headers, Action::Read(&room))?;
    let file = FileName::parse(&file).map_err(|_| Refusal::NoFile(file))?;
    let live = match query.from {
        Source::Latest => live(&app, &room, &file).await?,
        Source::Archive => None,
    };
    let version = match live {
        Some(version) => version,
        None => stored(&app, &room, &file).await?,
    };
    let (body, suffix) = match query.eol {
        LineEnds::Lf => (version.text, ""),
        LineEnds::Original => (lines::export(&version.text, version.eol), "-o"),
    };
    let etag = HeaderValue::from_str(&format!("\"{}{suffix}\"", version.etag))
        .map_err(|error| Refusal::Failed(format!("the etag of {file} in {room}: {error}")))?;
    let fresh = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag), fresh]).into_response());
    }
    let plain = (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // The text is a member's: no browser may take it for a page or a script.
    let no_sniff = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(([plain, (header::ETAG, etag), fresh, no_sniff], body).into_response())
}

async fn live(app: &App, room: &RoomId, file: &FileName) -> Result<Option<Version>, Refusal> {
    let of_room = |error| Refusal::of_room(room, &file.to_string(), error);
    let live = app.rooms.text(room, file).await.map_err(of_room)?;
    Ok(live.map(|live| Version { text: live.text, etag: live.etag, eol: live.eol }))
}

async fn stored(app: &App, room: &RoomId, file: &FileName) -> Result<Version, Refusal> {
    let of_archive = |error| Refusal::of_archive(room, &error);
    let shard = app.archive.find_by_id(room).await.map_err(of_archive)?;
    let shard = shard.ok_or_else(|| Refusal::NoShard(room.to_string()))?;
    let no_file = || Refusal::NoFile(file.to_string());
    let id = named(&shard, file).ok_or_else(no_file)?;
    let StoredFile { text, version, write_id, eol, .. } =
        app.archive.file(room, &id).await.map_err(of_archive)?.ok_or_else(no_file)?;
    // A shard that was deleted and made again counts from 1 again: the write's id tells the two apart.
    Ok(Version { text, etag: format!("s{version}-{write_id}"), eol })
}

fn named(shard: &Shard, name: &FileName) -> Option<FileId> {
    let id = |fits: &dyn Fn(&FileEntry) -> bool| {
        shard.files.iter().find(|entry| fits(entry)).map(|entry| entry.id.clone())
    };
    name.find(|asked| id(&|entry| entry.id == *asked), |asked| id(&|entry| entry.path == *asked))
}

/// Whether `If-None-Match` names this version (RFC 9110: weakly compared, `*` for any).
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH);
    let mut tags = known.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
    })
}

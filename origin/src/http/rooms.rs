//! `GET /api/v1/rooms/{id}`: who and what is in an open room.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
};
use shared::id::RoomId;

use crate::{app::App, auth::Action, error::Refusal, rooms::RoomReport};

/// The room as it stands; 404 while nobody has it open.
pub(super) async fn report(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<RoomReport>, Refusal> {
    let room = RoomId::parse(&id).map_err(|error| Refusal::BadName { text: id, error })?;
    app.access.allow(&headers, Action::Read(&room))?;
    let report = app.rooms.report(&room).await.map_err(|error| Refusal::of_room(&room, "", error))?;
    report.map(Json).ok_or_else(|| Refusal::NotOpen(room.to_string()))
}

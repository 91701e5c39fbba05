//! `POST /dial/{room}/{region}`: an edge's hub asks for a link.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
};
use serde::Deserialize;

use super::body::JsonBody;
use crate::{app::App, error::Refusal, link::Call};

/// What the hub says beside its name.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    /// The base address under which the edge is reached.
    edge: String,
}

/// 202: the origin dials. 401 without a signature, 403 for an edge that is not its own, 404 for what cannot be
/// a room, 503 while draining.
pub(super) async fn ask(
    State(app): State<App>,
    Path((room, region)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<JsonBody<Request>, Refusal>,
) -> Result<StatusCode, Refusal> {
    let signature = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let signature = signature.ok_or(Refusal::BadSignature)?;
    let request = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let JsonBody(Request { edge }) = body?;
    app.dialler.ask(Call { signature, edge: &edge, room: &room, region: &region, request })?;
    Ok(StatusCode::ACCEPTED)
}

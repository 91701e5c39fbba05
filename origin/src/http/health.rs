//! What operators ask: alive, ready, counted.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::id::RoomId;

use crate::{
    app::App,
    clock,
    connections::{ConnectionState, Purpose},
    shutdown::Phase,
};

/// How long a store may take to answer before it counts as away.
const STORE_DEADLINE: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Readiness {
    status: Phase,
    rooms: usize,
    room_store: Store,
    archive: Store,
    connections: Vec<ConnectionState>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Store {
    Ok,
    Degraded,
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

/// `GET /readyz`: 503 only while starting or draining. A store that is away is told, but takes no traffic away:
/// another origin would not have it either.
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let status = app.lifecycle.phase();
    let probe = RoomId::parse("readyz").ok();
    let archive = async {
        match &probe {
            Some(probe) => app.archive.find_by_id(probe).await.is_ok(),
            None => false,
        }
    };
    let connections = app.connections.states();
    let up = connections.iter().all(|state| state.up || state.purpose == Purpose::Archive);
    let room_store = async { up && (app.store.is_shared() || app.store.rooms().await.is_ok()) };
    let (room_store, archive) = tokio::join!(in_time(room_store), in_time(archive));
    let code = if status == Phase::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { status, rooms: app.rooms.count(), room_store, archive, connections }))
        .into_response()
}

async fn in_time(probe: impl Future<Output = bool>) -> Store {
    match tokio::time::timeout(STORE_DEADLINE, probe).await {
        Ok(true) => Store::Ok,
        Ok(false) | Err(_) => Store::Degraded,
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    app.metrics.connections(&app.connections.states());
    app.metrics.oldest_unflushed(app.rooms.unflushed_since(), clock::now_us());
    // A queue that is away keeps its last figures.
    if let Ok(Ok(depth)) = tokio::time::timeout(STORE_DEADLINE, app.queue.depth()).await {
        app.metrics.queue(depth);
    }
    ([(header::CONTENT_TYPE, media_type)], app.metrics.render())
}

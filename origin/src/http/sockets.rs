//! The sockets of clients: `/rooms/{room}` and `/yjs/{room}/{file}`.
//!
//! The upgrade is accepted, then closed with the reason: a browser sees a refused upgrade as 1006 only. A page
//! of a foreign origin is the exception, it has no right to a reason.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection, ws::WebSocketUpgrade},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use shared::{
    hub::{Dialect, Visitor},
    id::RoomId,
};

use super::access::Credentials;
use crate::{app::App, direct, error::Refusal};

/// The subprotocol that a client names beside `bearer.TOKEN`.
const SUBPROTOCOL: &str = "edgeroom.v1";

/// Many documents on one socket, in the Hocuspocus envelope.
pub(super) async fn room(
    State(app): State<App>,
    Path(room): Path<String>,
    query: Result<Query<Credentials>, QueryRejection>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    accept(app, &room, Dialect::Hocuspocus, query, &headers, upgrade)
}

/// One document, in the y-websocket protocol.
pub(super) async fn file(
    State(app): State<App>,
    Path((room, document)): Path<(String, String)>,
    query: Result<Query<Credentials>, QueryRejection>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    accept(app, &room, Dialect::YWebsocket { document }, query, &headers, upgrade)
}

fn accept(
    app: App,
    room: &str,
    dialect: Dialect,
    query: Result<Query<Credentials>, QueryRejection>,
    headers: &HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Err(refusal) = app.pages.admit(headers) {
        return refusal.into_response();
    }
    let credentials = query.map(|Query(credentials)| credentials).unwrap_or_default();
    let token = credentials.token.clone().or_else(|| bearer_of(headers));
    let member = app.access.introduce(&credentials);
    let visitor = Visitor { dialect, token };
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(direct::READ_BYTES)
        .max_message_size(direct::MESSAGE_BYTES)
        .max_frame_size(direct::MESSAGE_BYTES);
    let tracker = app.lifecycle.tracker().clone();
    match room_of(&app, room) {
        Ok(room) => upgrade.on_upgrade(move |socket| {
            tracker.track_future(async move { app.direct.receive(room, visitor, member, socket).await })
        }),
        Err(refusal) => upgrade.on_upgrade(move |socket| {
            tracker.track_future(async move {
                direct::turn_away(socket, refusal.close_code(), refusal.code()).await;
            })
        }),
    }
}

fn room_of(app: &App, room: &str) -> Result<RoomId, Refusal> {
    if app.lifecycle.is_draining() {
        return Err(Refusal::Draining);
    }
    RoomId::parse(room).map_err(|_| Refusal::NoSuchRoom(room.to_owned()))
}

/// The token among the subprotocols: `edgeroom.v1, bearer.TOKEN`.
fn bearer_of(headers: &HeaderMap) -> Option<String> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offers.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    offered.find_map(|protocol| protocol.trim().strip_prefix("bearer.").map(str::to_owned))
}

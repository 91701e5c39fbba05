//! The sockets of clients: `/rooms/{room}` and `/yjs/{room}/{file}`.
//!
//! The upgrade is accepted, then closed with the reason: a browser sees a refused upgrade as 1006 only. A page
//! of a foreign origin is the exception, it has no right to a reason.

use axum::{
    extract::{
        FromRequestParts, Query, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use shared::{
    address::SocketAddress,
    grant::Member,
    hub::{Dialect, Visitor},
    subprotocol,
};

use crate::{app::App, direct, error::Refusal};

/// What a socket's address says of its member.
#[derive(Default, serde::Deserialize)]
struct Credentials {
    token: Option<String>,
    /// The name that others see, where no token says it.
    name: Option<String>,
}

/// An upgrade to a socket, under whatever address.
pub(super) struct SocketRequest {
    upgrade: WebSocketUpgrade,
    path: String,
    credentials: Credentials,
    headers: HeaderMap,
}

impl<S: Send + Sync> FromRequestParts<S> for SocketRequest {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await?;
        let credentials = Query::try_from_uri(&parts.uri).map(|Query(credentials)| credentials);
        Ok(Self {
            upgrade,
            path: parts.uri.path().to_owned(),
            credentials: credentials.unwrap_or_default(),
            headers: parts.headers.clone(),
        })
    }
}

/// Takes a socket.
pub(super) async fn accept(State(app): State<App>, request: SocketRequest) -> Response {
    let SocketRequest { upgrade, path, credentials, headers } = request;
    if let Err(refusal) = app.pages.admit(&headers) {
        return refusal.into_response();
    }
    let Credentials { token, name } = credentials;
    let token = token.or_else(|| subprotocol::token(offered(&headers)).map(str::to_owned));
    let guest = Member::guest(name.as_deref(), rand::random());
    let upgrade = upgrade
        .protocols([subprotocol::NAME])
        .read_buffer_size(direct::READ_BYTES)
        .max_message_size(direct::MESSAGE_BYTES)
        .max_frame_size(direct::MESSAGE_BYTES);
    let tracker = app.lifecycle.tracker().clone();
    let (room, dialect) = match address_of(&app, &path) {
        Ok(SocketAddress::Room(room)) => (room, Dialect::Hocuspocus),
        Ok(SocketAddress::File(room, document)) => (room, Dialect::YWebsocket { document }),
        Err(refusal) => {
            return upgrade.on_upgrade(move |socket| {
                tracker.track_future(async move {
                    direct::turn_away(socket, refusal.close_code(), refusal.code()).await;
                })
            });
        }
    };
    let visitor = Visitor { dialect, token };
    upgrade.on_upgrade(move |socket| {
        tracker.track_future(async move { app.direct.receive(room, visitor, guest, socket).await })
    })
}

fn address_of(app: &App, path: &str) -> Result<SocketAddress, Refusal> {
    if app.lifecycle.is_draining() {
        return Err(Refusal::Draining);
    }
    SocketAddress::parse(path).map_err(|_| Refusal::NoRoute)
}

fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok())
}

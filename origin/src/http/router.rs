//! The routes and the layers that every request passes.

use std::time::Duration;

use axum::{
    Router,
    error_handling::HandleErrorLayer,
    extract::{Request, State, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderValue, Method},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use shared::limits;
use tower::{
    ServiceBuilder, ServiceExt, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer,
    timeout::TimeoutLayer,
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    services::ServeDir,
    trace::TraceLayer,
};

use super::{admin, dial, files, health, problem, rooms, shards, sockets, sockets::SocketRequest, templates};
use crate::{app::App, error::Refusal};

/// How long a request may take. A socket counts until it is accepted.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Requests in work at once; more are told to come back.
const REQUESTS: usize = 512;

/// Everything that an origin with rooms serves.
pub fn router(app: App) -> Router {
    let page_dir = &app.settings.service.page_dir;
    let page = page_dir.is_dir().then(|| ServeDir::new(page_dir));
    let mut router = health().route("/dial/{room}/{region}", post(dial::ask)).nest("/api/v1", rest());
    for address in ["/rooms", "/rooms/", "/rooms/{*rest}", "/yjs", "/yjs/", "/yjs/{*rest}"] {
        router = router.route(address, any(sockets::accept));
    }
    let elsewhere = async move |app, socket: Result<SocketRequest, _>, request: Request| match page {
        Some(page) if socket.is_err() => page.oneshot(request).await.into_response(),
        _ => nothing_here(app, socket, request.method().clone()).await,
    };
    in_layers(router.fallback(elsewhere), app)
}

/// What a process without rooms serves: how it is.
pub fn health_only(app: App) -> Router {
    in_layers(health().fallback(nothing_here), app)
}

fn health() -> Router<App> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
}

fn in_layers(router: Router<App>, app: App) -> Router {
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(NewRequestId))
        .layer(TraceLayer::new_for_http().make_span_with(span_of))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(app.pages.cors())
        .layer(map_response(problem::complete))
        .layer(CatchPanicLayer::custom(problem::of_panic))
        .layer(HandleErrorLayer::new(problem::of_layer))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(REQUESTS))
        .layer(TimeoutLayer::new(TIMEOUT))
        .layer(RequestBodyLimitLayer::new(limits::BODY_BYTES));
    // The layer for bodies is the one limit; axum's own is smaller.
    router.layer(axum::extract::DefaultBodyLimit::disable()).layer(layers).with_state(app)
}

fn rest() -> Router<App> {
    Router::new()
        .route("/shards", post(shards::create))
        .route("/shards/{id}", get(shards::describe).delete(shards::delete))
        .route("/shards/{id}/files/{*path}", get(files::read))
        .route("/rooms/{id}", get(rooms::report))
        .route("/templates", get(templates::list))
        .route("/admin/rooms", get(admin::list))
        .route("/admin/rooms/{id}/flush", post(admin::flush))
        .fallback(nothing_here)
}

/// A socket is told so as at any other odd address.
async fn nothing_here(
    app: State<App>,
    socket: Result<SocketRequest, WebSocketUpgradeRejection>,
    method: Method,
) -> Response {
    if let Ok(socket) = socket {
        return sockets::accept(app, socket).await;
    }
    tracing::debug!(%method, "no such address");
    Refusal::NoRoute.into_response()
}

/// The address without its query, which may hold a token.
fn span_of<B>(request: &Request<B>) -> tracing::Span {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    tracing::info_span!(
        "request",
        request.id = id,
        request.method = %request.method(),
        request.path = request.uri().path()
    )
}

#[derive(Clone)]
struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&format!("{:032x}", rand::random::<u128>())).ok().map(RequestId::new)
    }
}

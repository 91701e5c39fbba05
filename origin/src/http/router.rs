//! The routes and the layers that every request passes.

use std::time::Duration;

use axum::{
    Router,
    error_handling::HandleErrorLayer,
    extract::Request,
    http::{HeaderValue, Method},
    middleware::map_response,
    routing::{any, get, post},
};
use shared::limits;
use tower::{
    ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer, timeout::TimeoutLayer,
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    services::ServeDir,
    trace::TraceLayer,
};

use super::{admin, dial, files, health, problem, rooms, shards, sockets, templates};
use crate::{app::App, error::Refusal};

/// How long a request may take. A socket counts until it is accepted.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Requests in work at once; more are told to come back.
const REQUESTS: usize = 512;

/// Everything that an origin with rooms serves.
pub fn router(app: App) -> Router {
    let page = ServeDir::new(&app.settings.service.page_dir);
    let router = health()
        .route("/rooms/{room}", any(sockets::room))
        .route("/yjs/{room}/{*file}", any(sockets::file))
        .route("/dial/{room}/{region}", post(dial::ask))
        .nest("/api/v1", rest());
    let router = match app.settings.service.page_dir.is_dir() {
        true => router.fallback_service(page),
        false => router.fallback(nothing_here),
    };
    in_layers(router, app)
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

async fn nothing_here(method: Method) -> Refusal {
    tracing::debug!(%method, "no such address");
    Refusal::NoRoute
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

//! The edge of Edgeroom: a Worker that lets people in and picks the region, and a Durable Object per room and region
//! in which they meet.
//!
//! Promise: the Worker holds no state and no protocol; what is said on the sockets is [`shared::hub`]'s, and what it
//! needs (sockets, link, rows, alarm) is all that is here.

mod admit;
mod verify;
mod alarm;
mod answer;
mod api;
mod config;
mod dial;
mod error;
mod health;
mod link;
mod platform;
mod rate_limit;
mod region;
mod request;
mod room_object;
mod route;
mod rows;
mod sockets;
mod turn;

use std::{cell::RefCell, rc::Rc};

use shared::{address::NoAddress, id::RoomId};
use worker::{
    Context, Env, Request, Response, Result as WorkerResult, console_error, console_log, console_warn, event,
};

pub use crate::room_object::Room;
use crate::{
    config::{Auth, Config, ConfigError},
    error::{Refusal, Upgrade},
    region::{Place, Region},
    request::{REQUEST_ID, base, query, request_id, signed_nonce},
    route::{NoRoute, Route},
};

const OBJECTS: &str = "ROOM";
const PAGE: &str = "ASSETS";

thread_local! {
    /// The configuration of this isolate: a new one comes with a new isolate.
    static CONFIG: RefCell<Option<Result<Rc<Config>, ConfigError>>> = const { RefCell::new(None) };
}

#[event(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| console_error!("{panic}")));
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> WorkerResult<Response> {
    let upgrade = Upgrade::of(request.headers())?;
    let id = request_id(request.headers())?;
    let line = format!("{} {}", request.method(), request.path());
    let answer = match answer(request, &env, upgrade.as_ref(), &id).await {
        Ok(answer) => answer,
        Err(refusal) => {
            console_log!("request.refused: {line}: {} (request.id {id})", refusal.code());
            refusal.answer(upgrade.as_ref())?
        }
    };
    console_log!("request: {line}: {} (request.id {id})", answer.status_code());
    let headers = answer.headers().clone();
    headers.set(REQUEST_ID, &id)?;
    Ok(answer.with_headers(headers))
}

async fn answer(
    request: Request,
    env: &Env,
    upgrade: Option<&Upgrade>,
    id: &str,
) -> Result<Response, Refusal> {
    let url = request.url()?;
    let route = Route::parse(url.path());
    if route == Ok(Route::Health) {
        return health::answer(env).await;
    }
    // Origins dial for all their rooms from one address, and sign.
    if !matches!(route, Ok(Route::Internal { .. })) {
        rate_limit::check_address(env, &request).await?;
    }
    let config = config(env)?;
    admit::check_host(&config, url.host_str().unwrap_or_default())?;
    let route = route?;
    let is_file = matches!(route, Route::File { .. });
    match (route, upgrade) {
        (Route::Room { room } | Route::File { room, .. }, Some(upgrade)) => {
            let page = request.headers().get("origin")?;
            if !config.allows_page(page.as_deref(), &base(&url)) {
                return Err(Refusal::Page);
            }
            let token = admit::token(&url, upgrade);
            admit::pre_authenticate(env, &config, &room, token, is_file).await.map_err(Refusal::Denied)?;
            let region = config.region(query(&url, "region").as_deref(), || place(&request));
            to_object(env, &room, region, request).await
        }
        (Route::Internal { room, region, .. }, _) => {
            signed_nonce(&config, request.headers(), &url, &room, region)?;
            to_object(env, &room, region, request).await
        }
        (Route::Api, None) => api::pass(&config, &request, &url, id).await,
        (Route::Api | Route::Page, Some(_)) => Err(NoRoute::Socket(NoAddress::Socket).into()),
        (Route::Page, None) | (Route::Health, _) => Ok(env.assets(PAGE)?.fetch_request(request).await?),
        (Route::Room { .. } | Route::File { .. }, None) => Err(Refusal::NotAnUpgrade),
    }
}

/// The request goes on as it came: the object reads the same URL.
async fn to_object(env: &Env, room: &RoomId, region: Region, request: Request) -> Result<Response, Refusal> {
    let objects = env.durable_object(OBJECTS)?;
    let object = objects.get_by_name_with_location_hint(&format!("{room}~{region}"), region.as_str())?;
    Ok(object.fetch_with_request(request).await?)
}

fn place(request: &Request) -> Place {
    request
        .cf()
        .map(|cf| Place { continent: cf.continent(), coordinates: cf.coordinates() })
        .unwrap_or_default()
}

/// The configuration, read and announced once per isolate.
pub(crate) fn config(env: &Env) -> Result<Rc<Config>, ConfigError> {
    let known = CONFIG.with_borrow(Clone::clone);
    known.unwrap_or_else(|| {
        let config = Config::read(|name| env.var(name).ok().map(|value| value.to_string())).map(Rc::new);
        announce(&config);
        CONFIG.set(Some(config.clone()));
        config
    })
}

fn announce(config: &Result<Rc<Config>, ConfigError>) {
    match config {
        Ok(config) if config.auth == Auth::Open => {
            console_warn!(
                "AUTH=open: ANYBODY who reaches this Worker may read and edit every room. For local use only."
            );
        }
        Ok(_) => {}
        Err(error) => console_error!("the Worker is not configured: {error}"),
    }
}

//! `GET /healthz`: that this Worker answers, its version, and which origins take traffic.

use std::{cell::RefCell, pin::pin, time::Duration};

use futures_util::future::{Either, join_all, select};
use serde::Serialize;
use shared::Millis;
use worker::{AbortController, Delay, Env, Fetch, Method, Request, Response};

use crate::{error::Refusal, platform};

/// How long an origin may take to answer.
const HEALTH_WAIT_MS: Millis = 2_000;
/// How long what the origins have answered is repeated.
const HEALTH_FRESH_MS: Millis = 5_000;

thread_local! {
    /// The last answer of the origins, and when it was: whoever asks often does not reach them each time.
    static KNOWN: RefCell<Option<(Millis, Vec<Origin>)>> = const { RefCell::new(None) };
}

#[derive(Serialize)]
struct Health {
    ok: bool,
    version: &'static str,
    origins: Vec<Origin>,
}

/// One of `ORIGIN_URLS`, in their order. Its address is nobody else's business.
#[derive(Clone, Copy, Debug, Serialize)]
struct Origin {
    ready: bool,
}

/// 200 whatever the origins say: people in a region go on working without one.
pub(crate) async fn answer(env: &Env) -> Result<Response, Refusal> {
    let origins = match crate::config(env) {
        Ok(config) => ready(&config.origins).await,
        Err(_) => Vec::new(),
    };
    let health = Health { ok: true, version: env!("CARGO_PKG_VERSION"), origins };
    let answer = Response::from_json(&health)?;
    answer.headers().set("cache-control", "no-store")?;
    Ok(answer)
}

async fn ready(urls: &[String]) -> Vec<Origin> {
    let now = platform::now();
    let known = KNOWN.with_borrow(|known| {
        known.as_ref().filter(|(at, _)| now < at + HEALTH_FRESH_MS).map(|(_, origins)| origins.clone())
    });
    if let Some(origins) = known {
        return origins;
    }
    let origins: Vec<Origin> = join_all(urls.iter().map(|url| probe(url))).await;
    KNOWN.set(Some((platform::now(), origins.clone())));
    origins
}

async fn probe(url: &str) -> Origin {
    let Ok(request) = Request::new(&format!("{url}/readyz"), Method::Get) else {
        return Origin { ready: false };
    };
    let controller = AbortController::default();
    let signal = controller.signal();
    let request = Fetch::Request(request);
    let patience = Delay::from(Duration::from_millis(HEALTH_WAIT_MS));
    match select(pin!(request.send_with_signal(&signal)), patience).await {
        Either::Left((answer, _)) => Origin { ready: answer.is_ok_and(|answer| answer.status_code() == 200) },
        Either::Right(_) => {
            controller.abort();
            Origin { ready: false }
        }
    }
}

//! Asking an origin to dial: one signed request, one origin at a time, the next one when it fails.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use futures_util::future::{Either, select};
use serde_json::json;
use shared::{
    Millis, limits,
    signature::{Subject, Verb},
};
use wasm_bindgen::JsValue;
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, Response, console_error,
    console_log, console_warn, wasm_bindgen_futures::spawn_local,
};

use crate::{platform, request::REQUEST_ID, room_object::Shared};

/// What is known about dials of one object.
#[derive(Debug, Default)]
pub(crate) struct Dial {
    /// The base URL under which the Worker was reached, where a request has told it.
    base: RefCell<Option<String>>,
    /// Which origin is asked.
    origin: Cell<usize>,
    /// Since when an origin is being asked, or has promised to dial.
    waiting: Cell<Option<Millis>>,
}

impl Dial {
    /// A request has reached the Worker under this base URL.
    pub(crate) fn reached_under(&self, base: String) {
        self.base.replace(Some(base));
    }

    /// There is a link: nothing is waited for any more.
    pub(crate) fn answered(&self) {
        self.waiting.set(None);
    }

    /// Whoever was asked is of no use: the next one is asked.
    pub(crate) fn next_origin(&self) {
        self.waiting.set(None);
        self.origin.set(self.origin.get().wrapping_add(1));
    }

    /// Asks, unless an answer is still to be expected. That no link comes of it the hub sees by itself.
    pub(crate) fn ask(shared: &Rc<Shared>, now: Millis) {
        let dial = &shared.dial;
        if let Some(since) = dial.waiting.get() {
            if now < since + limits::DIAL_WAIT_MS {
                return;
            }
            dial.next_origin();
        }
        let nonce = platform::random_hex();
        match dial.remember(shared, &nonce, now) {
            Ok(Some(base)) => {
                dial.waiting.set(Some(now));
                let shared = Rc::clone(shared);
                spawn_local(async move {
                    if let Err(error) = send(&shared, &base, &nonce).await {
                        console_warn!("link.dial: {error}");
                        shared.dial.next_origin();
                    }
                });
            }
            Ok(None) => console_error!("link.dial: this object was never reached by a request"),
            Err(error) => console_error!("link.dial: {error}"),
        }
    }

    /// Keeps nonce and base: the link may come when the memory of the dial is gone.
    fn remember(&self, shared: &Shared, nonce: &str, now: Millis) -> worker::Result<Option<String>> {
        let kept = shared.rows.base()?;
        let reached = self.base.borrow().clone();
        if let Some(base) = reached.as_deref().filter(|base| kept.as_deref() != Some(*base)) {
            shared.rows.keep_base(base)?;
        }
        let base = reached.or(kept);
        if base.is_some() {
            shared.rows.ask_dial(nonce, now)?;
        }
        Ok(base)
    }
}

async fn send(shared: &Shared, base: &str, nonce: &str) -> worker::Result<()> {
    let origins = &shared.config.origins;
    let origin = &origins[shared.dial.origin.get() % origins.len()];
    let (room, region) = (shared.room.as_str(), shared.region.as_str());
    let subject = Subject { verb: Verb::Dial, edge: base, room, region };
    let signed = shared.config.link_keys.sign(subject, platform::now(), nonce);
    let headers = Headers::new();
    headers.set("authorization", &signed)?;
    headers.set("content-type", "application/json")?;
    let id = platform::random_hex();
    headers.set(REQUEST_ID, &id)?;
    console_log!("link.dial: {room}~{region} asks {origin} (request.id {id})");
    let body = json!({ "edge": base }).to_string();
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_headers(headers).with_body(Some(JsValue::from_str(&body)));
    let request = Request::new_with_init(&format!("{origin}/dial/{room}/{region}"), &init)?;
    let answer = within(limits::DIAL_WAIT_MS, request).await?;
    match answer.status_code() {
        200..=299 => Ok(()),
        status => Err(format!("{origin} answers {status} (request.id {id})").into()),
    }
}

/// A timer that outlives the answer would keep the object in memory; this one goes with it.
async fn within(patience_ms: Millis, request: Request) -> worker::Result<Response> {
    let controller = AbortController::default();
    let signal = controller.signal();
    let request = Fetch::Request(request);
    let patience = Delay::from(Duration::from_millis(patience_ms));
    match select(pin!(request.send_with_signal(&signal)), patience).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => {
            controller.abort();
            Err(format!("no answer within {patience_ms} ms").into())
        }
    }
}

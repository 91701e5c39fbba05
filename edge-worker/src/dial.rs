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
    Millis,
    id::RoomId,
    limits,
    signature::{Subject, Verb},
};
use wasm_bindgen::JsValue;
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, Response, console_error,
    console_log, console_warn, wasm_bindgen_futures::spawn_local,
};

use crate::{config::Config, platform, region::Region, request::REQUEST_ID, rows::Rows};

/// The dials of one object. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Dial(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Rc<Config>,
    room: RoomId,
    region: Region,
    /// The base URL under which the Worker was reached, where a request has told it.
    base: RefCell<Option<String>>,
    /// Which origin is asked.
    origin: Cell<usize>,
    /// Since when an origin is being asked, or has promised to dial.
    waiting: Cell<Option<Millis>>,
}

impl Dial {
    /// No origin was asked yet.
    pub(crate) fn new(config: Rc<Config>, room: RoomId, region: Region) -> Self {
        let (base, origin, waiting) = (RefCell::default(), Cell::default(), Cell::default());
        Self(Rc::new(Inner { config, room, region, base, origin, waiting }))
    }

    /// A request has reached the Worker under this base URL.
    pub(crate) fn reached_under(&self, base: String) {
        self.0.base.replace(Some(base));
    }

    /// There is a link: nothing is waited for any more.
    pub(crate) fn answered(&self) {
        self.0.waiting.set(None);
    }

    /// The origin that was asked is of no use: the next one is asked.
    pub(crate) fn next_origin(&self) {
        self.0.waiting.set(None);
        self.0.origin.set(self.0.origin.get().wrapping_add(1));
    }

    /// Asks, unless an answer is still to be expected. That no link comes of it the hub sees by itself.
    pub(crate) fn ask(&self, rows: &Rows, now: Millis) {
        if let Some(since) = self.0.waiting.get() {
            if now < since + limits::DIAL_WAIT_MS {
                return;
            }
            self.next_origin();
        }
        let nonce = platform::random_hex();
        match self.remember(rows, &nonce, now) {
            Ok(Some(base)) => {
                self.0.waiting.set(Some(now));
                let dial = self.clone();
                spawn_local(async move {
                    if let Err(error) = dial.0.send(&base, &nonce).await {
                        console_warn!("link.dial: {error}");
                        dial.next_origin();
                    }
                });
            }
            Ok(None) => console_error!("link.dial: this object was never reached by a request"),
            Err(error) => console_error!("link.dial: {error}"),
        }
    }

    /// Keeps nonce and base: the link may come when the memory of the dial is gone.
    fn remember(&self, rows: &Rows, nonce: &str, now: Millis) -> worker::Result<Option<String>> {
        let kept = rows.base()?;
        let reached = self.0.base.borrow().clone();
        if let Some(base) = reached.as_deref().filter(|base| kept.as_deref() != Some(*base)) {
            rows.keep_base(base)?;
        }
        let base = reached.or(kept);
        if base.is_some() {
            rows.ask_dial(nonce, now)?;
        }
        Ok(base)
    }
}

impl Inner {
    async fn send(&self, base: &str, nonce: &str) -> worker::Result<()> {
        let origins = &self.config.origins;
        let origin = &origins[self.origin.get() % origins.len()];
        let (room, region) = (self.room.as_str(), self.region.as_str());
        let subject = Subject { verb: Verb::Dial, edge: base, room, region };
        let signed = self.config.link_keys.sign(subject, platform::now(), nonce);
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

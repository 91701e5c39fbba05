//! What the object answers to a request that the Worker has let through: a session, a link, its status.

use std::rc::Rc;

use serde::Serialize;
use shared::{
    grant::Member,
    hub::{Dialect, Stats, Visitor},
    id::SessionId,
};
use worker::{Headers, Request, Response, Result as WorkerResult, Url, WebSocket};

use crate::{
    admit,
    error::{Refusal, Upgrade},
    platform,
    request::{base, query, signed_nonce},
    room_object::Shared,
    route::{Ask, Route},
    rows::Counts,
};

/// The header that names the region of a session's hub.
const REGION_HEADER: &str = "x-edgeroom-region";

/// The status of an object.
#[derive(Debug, Serialize)]
struct Status<'a> {
    room: &'a str,
    region: &'a str,
    hub: Stats,
    rows: Counts,
    sockets: usize,
    link: bool,
    /// Whether an alarm was set since then.
    alarm: bool,
    /// Which object of its isolate it is: another number means that its memory was lost.
    made: u32,
    memory_pages: u32,
}

impl Shared {
    /// Answers a request, in one turn of the hub.
    pub(crate) fn answer(
        self: &Rc<Self>,
        request: &Request,
        upgrade: Option<&Upgrade>,
    ) -> Result<Response, Refusal> {
        let url = request.url()?;
        self.dial.reached_under(base(&url));
        match (Route::parse(url.path())?, upgrade) {
            (Route::Room { .. }, Some(upgrade)) => self.meet(Dialect::Hocuspocus, &url, upgrade),
            (Route::File { document, .. }, Some(upgrade)) => {
                self.meet(Dialect::YWebsocket { document }, &url, upgrade)
            }
            (Route::Internal { ask: Ask::Link, .. }, Some(_)) => self.take_link(&url, request.headers()),
            (Route::Internal { ask: Ask::Stats, .. }, _) => self.status(),
            #[cfg(feature = "fault-injection")]
            (Route::Internal { ask: Ask::Panic, .. }, _) => self.panic(&url),
            _ => Err(Refusal::NotAnUpgrade),
        }
    }

    fn meet(self: &Rc<Self>, dialect: Dialect, url: &Url, upgrade: &Upgrade) -> Result<Response, Refusal> {
        let token = admit::token(url, upgrade);
        let guest = Member::guest(query(url, "name").as_deref(), platform::random_bits());
        let client = self.turn(|hub, now| -> WorkerResult<WebSocket> {
            let mut sockets = self.sockets.borrow_mut();
            let mut drawn = std::iter::repeat_with(|| SessionId::from_random(platform::random_bits()));
            let session = drawn.find(|session| !sockets.has(*session)).ok_or("no session id is left")?;
            let client = sockets.accept(&self.state, session, guest)?;
            hub.connect(session, Visitor { dialect, token }, now);
            Ok(client)
        })??;
        let headers = upgrade.headers()?;
        headers.set(REGION_HEADER, self.region.as_str())?;
        Ok(Response::from_websocket(client)?.with_headers(headers))
    }

    fn take_link(self: &Rc<Self>, url: &Url, headers: &Headers) -> Result<Response, Refusal> {
        let nonce = signed_nonce(&self.config, headers, url, &self.room, self.region)?;
        if !self.rows.dial_is_open(&nonce, platform::now())? {
            return Err(Refusal::Uninvited);
        }
        let client = self.turn(|hub, now| -> WorkerResult<WebSocket> {
            let client = self.link.borrow_mut().accept(&self.state, now)?;
            self.dial.answered();
            hub.link_up(now);
            Ok(client)
        })??;
        self.rows.answer_dial(&nonce)?;
        Ok(Response::from_websocket(client)?)
    }

    fn status(self: &Rc<Self>) -> Result<Response, Refusal> {
        let hub = self.turn(|hub, _| hub.stats())?;
        let status = Status {
            room: self.room.as_str(),
            region: self.region.as_str(),
            hub,
            rows: self.rows.counts()?,
            sockets: self.sockets.borrow().len(),
            link: self.link.borrow().is_up(),
            alarm: self.alarm.is_set(),
            made: self.made,
            memory_pages: platform::memory_pages(),
        };
        Ok(Response::from_json(&status)?)
    }

    #[cfg(feature = "fault-injection")]
    #[expect(clippy::panic, reason = "it is what the feature is for")]
    fn panic(self: &Rc<Self>, url: &Url) -> Result<Response, Refusal> {
        if query(url, "at").as_deref() == Some("message") {
            self.panics_next.set(true);
            return Ok(Response::empty()?);
        }
        self.turn(|_, _| panic!("a panic in the turn of a request"))?
    }
}

//! The Durable Object: one hub, `room~region`, with its sockets, its link, its rows and its alarm.
//!
//! A thin shell: every event is one synchronous turn of [`shared::hub::Hub`], and nothing is borrowed over an await.
//! The hub is rebuilt from what was saved whenever it is not in memory: after a sleep, and after a turn that
//! panicked, so that a half-done turn is never continued.

#![expect(missing_docs, reason = "the methods that the platform calls are made by a macro")]

use std::{
    cell::{Cell, RefCell},
    panic::AssertUnwindSafe,
    rc::Rc,
};

use shared::{
    hub::{Frame, Hub},
    id::{RoomId, SessionId},
    wire::link::decode_origin,
};
use worker::{
    DurableObject, Env, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage, console_error,
    console_log, durable_object,
};

use crate::{
    alarm::Alarm,
    config::Config,
    dial::Dial,
    error::Upgrade,
    link::Link,
    region::Region,
    rows::Rows,
    sockets::{Sockets, shut, tagged_session},
};

thread_local! {
    /// Objects made in this isolate since the module was loaded.
    static MADE: Cell<u32> = const { Cell::new(0) };
}

/// The object as the platform sees it.
#[durable_object]
pub struct Room {
    shared: AssertUnwindSafe<Option<Rc<Shared>>>,
}

/// The object as its tasks see it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: State,
    pub(crate) env: Env,
    pub(crate) config: Rc<Config>,
    pub(crate) room: RoomId,
    pub(crate) region: Region,
    pub(crate) rows: Rows,
    pub(crate) hub: RefCell<Option<Hub>>,
    pub(crate) sockets: RefCell<Sockets>,
    pub(crate) link: RefCell<Link>,
    pub(crate) dial: Dial,
    pub(crate) alarm: Alarm,
    /// Which object of this isolate it is.
    pub(crate) made: u32,
    #[cfg(feature = "fault-injection")]
    pub(crate) panics_next: Cell<bool>,
}

impl DurableObject for Room {
    fn new(state: State, env: Env) -> Self {
        let shared = Shared::new(state, env).inspect_err(|error| console_error!("object.made: {error}"));
        Self { shared: AssertUnwindSafe(shared.ok().map(Rc::new)) }
    }

    async fn fetch(&self, req: Request) -> Result<Response> {
        let shared = self.shared()?;
        let upgrade = Upgrade::of(req.headers())?;
        shared.answer(&req, upgrade.as_ref()).or_else(|refusal| refusal.answer(upgrade.as_ref()))
    }

    async fn websocket_message(&self, ws: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        let shared = self.shared()?;
        match (shared.session_of(&ws)?, message) {
            (Some(session), WebSocketIncomingMessage::Binary(bytes)) => {
                shared.received(session, Frame::Binary(bytes.into()))
            }
            (Some(session), WebSocketIncomingMessage::String(text)) => {
                shared.received(session, Frame::Text(text))
            }
            (None, WebSocketIncomingMessage::Binary(bytes)) => shared.heard(&ws, bytes),
            (None, WebSocketIncomingMessage::String(_)) => Ok(()),
        }
    }

    async fn websocket_close(&self, ws: WebSocket, code: usize, reason: String, _clean: bool) -> Result<()> {
        reply_to_close(&ws, code, &reason);
        let shared = self.shared()?;
        if shared.link.borrow().is(&ws) {
            console_log!("link.ended: {code} {reason}");
        }
        shared.gone(&ws)
    }

    async fn websocket_error(&self, ws: WebSocket, _error: worker::Error) -> Result<()> {
        self.shared()?.gone(&ws)
    }

    async fn alarm(&self) -> Result<Response> {
        let shared = self.shared()?;
        shared.alarm.rang();
        shared.tick();
        Response::empty()
    }
}

impl Room {
    fn shared(&self) -> Result<Rc<Shared>> {
        self.shared.0.clone().ok_or_else(|| "this object could not be made".into())
    }
}

impl Shared {
    fn new(state: State, env: Env) -> Result<Self> {
        let config = crate::config(&env).map_err(|error| error.to_string())?;
        let name = state.as_raw().id()?.name().unwrap_or_default();
        let (room, region) = name.split_once('~').unwrap_or_default();
        let room = RoomId::parse(room).map_err(|error| error.to_string())?;
        let region = Region::parse(region).ok_or_else(|| format!("no region in the name {name:?}"))?;
        Ok(Self {
            dial: Dial::new(config.clone(), room.clone(), region),
            rows: Rows::new(state.storage().sql())?,
            state,
            env,
            config,
            room,
            region,
            hub: RefCell::default(),
            sockets: RefCell::default(),
            link: RefCell::default(),
            alarm: Alarm::default(),
            made: MADE.replace(MADE.get() + 1) + 1,
            #[cfg(feature = "fault-injection")]
            panics_next: Cell::new(false),
        })
    }

    /// Calls the hub because something is due.
    pub(crate) fn tick(self: &Rc<Self>) {
        let ticked = self.turn(|hub, now| {
            for (session, bytes) in self.sockets.borrow_mut().look_at_laggards() {
                hub.backlog(session, bytes, now);
            }
            hub.tick(now);
        });
        if let Err(error) = ticked {
            console_error!("hub.tick: {error}");
        }
    }

    fn session_of(&self, socket: &WebSocket) -> Result<Option<SessionId>> {
        Ok(tagged_session(&self.state.as_raw().get_tags(socket.as_ref())?))
    }

    fn received(self: &Rc<Self>, session: SessionId, frame: Frame) -> Result<()> {
        self.turn(|hub, now| {
            self.panic_if_asked();
            hub.receive(session, frame, now);
        })
    }

    /// A frame of the link, or of a socket that was one.
    fn heard(self: &Rc<Self>, socket: &WebSocket, bytes: Vec<u8>) -> Result<()> {
        self.turn(|hub, now| {
            if !self.link.borrow().is(socket) {
                return;
            }
            match decode_origin(&bytes.into()) {
                Ok(messages) => {
                    self.link.borrow_mut().hears();
                    messages.into_iter().for_each(|message| hub.link_message(message, now));
                }
                Err(error) => {
                    self.link.borrow_mut().break_off(&error);
                    self.dial.next_origin();
                    hub.link_down(now);
                }
            }
        })
    }

    fn gone(self: &Rc<Self>, socket: &WebSocket) -> Result<()> {
        let session = self.session_of(socket)?;
        if session.is_some() {
            self.wake_for(socket)?;
        }
        self.turn(|hub, now| match session {
            Some(session) => {
                self.sockets.borrow_mut().forget(session);
                hub.disconnect(session, now);
            }
            None if self.link.borrow().is(socket) => {
                self.link.borrow_mut().forget();
                if !self.link.borrow().has_heard() {
                    self.dial.next_origin();
                }
                hub.link_down(now);
            }
            None => {}
        })
    }

    #[cfg(feature = "fault-injection")]
    #[expect(clippy::panic, reason = "it is what the feature is for")]
    pub(crate) fn panic_if_asked(&self) {
        if self.panics_next.take() {
            panic!("a panic in the turn of a message");
        }
    }

    #[cfg(not(feature = "fault-injection"))]
    pub(crate) fn panic_if_asked(&self) {}
}

/// The runtime answers no close of a socket that may sleep, and without an answer the client waits. Codes that are never
/// on the wire cannot be repeated. After a close of our own this does nothing: the runtime ends the connection when the
/// client has answered, if a message has ever come from it, else when the object sleeps.
fn reply_to_close(socket: &WebSocket, code: usize, reason: &str) {
    match u16::try_from(code) {
        Ok(code) if !matches!(code, 1004..=1006 | 1015) => shut(socket, code, reason),
        _ => shut(socket, 1000, ""),
    }
}

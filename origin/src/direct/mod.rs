//! The origin's own sockets: the same hub as at the edge, with a link inside the process.
//!
//! One task per room hosts the hub, one per socket reads and writes. Promise: every queue between them is
//! bounded; a client that reads too slowly is closed with 4508 and comes back by state vector.

mod outgoing;
mod socket;
mod hub;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use shared::{
    close::CloseCode,
    grant::Member,
    hub::{Frame, Visitor},
    id::{RoomId, SessionId},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use self::outgoing::Outgoing;
pub(crate) use self::socket::turn_away;
use crate::{auth::Access, error::Refusal, metrics::Metrics, rooms::Rooms, shutdown::Lifecycle};

/// Largest WebSocket message that is read at all; the hub refuses smaller ones with a reason.
pub const MESSAGE_BYTES: usize = 32 << 20;
/// What is read from a socket at a time. The library clears as much before every look, of which there is one for
/// each frame that is sent, and a change that is kept holds on to what it was read into: its 128 KiB are too much.
pub const READ_BYTES: usize = 8 << 10;
/// Inputs that wait on one hub.
const INBOX: usize = 1024;

/// The hubs of this origin, by room. Cheap to clone.
#[derive(Clone)]
pub struct DirectHubs(Arc<Inner>);

struct Inner {
    parts: Parts,
    hubs: Mutex<HashMap<RoomId, mpsc::Sender<Input>>>,
}

/// What the hubs are made of.
pub struct Parts {
    /// The rooms that they attach to.
    pub rooms: Rooms,
    /// Who is let in.
    pub access: Access,
    /// When to end, and the tracker of their tasks.
    pub lifecycle: Lifecycle,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// This origin's id, part of the hubs' name.
    pub origin_id: String,
}

/// What a hub's task takes in from sockets.
enum Input {
    /// A socket was accepted.
    Arrived(Arrival),
    /// A frame of a socket. The permit is its share of what may wait on the hub.
    Frame(SessionId, Frame, OwnedSemaphorePermit),
    /// A socket is gone.
    Gone(SessionId),
}

struct Arrival {
    session: SessionId,
    visitor: Visitor,
    member: Member,
    outgoing: Arc<Outgoing>,
}

impl DirectHubs {
    /// No hubs yet.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, hubs: Mutex::default() }))
    }

    /// Lives through a socket, from its acceptance to its end.
    pub async fn receive(&self, room: RoomId, visitor: Visitor, member: Member, socket: WebSocket) {
        let session = SessionId::from_random(rand::random());
        let outgoing = Arc::new(Outgoing::default());
        let arrival = Arrival { session, visitor, member, outgoing: outgoing.clone() };
        let metrics = &self.0.parts.metrics;
        metrics.session_opened();
        match self.0.arrive(&room, arrival) {
            Ok(hub) => {
                socket::run(socket, session, &hub, outgoing, self.0.parts.lifecycle.tracker()).await;
            }
            Err(refusal) => turn_away(socket, refusal.close_code(), refusal.code()).await,
        }
        metrics.session_closed();
    }
}

impl Inner {
    /// Hands the socket to the room's hub, which is made if there is none.
    fn arrive(self: &Arc<Self>, room: &RoomId, arrival: Arrival) -> Result<mpsc::Sender<Input>, Refusal> {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if self.parts.lifecycle.is_draining() {
            return Err(Refusal::Draining);
        }
        // A hub that panicked leaves its entry behind.
        let known = hubs.get(room).filter(|hub| !hub.is_closed()).cloned();
        let hub = known.unwrap_or_else(|| {
            let (hub, inbox) = mpsc::channel(INBOX);
            self.parts.lifecycle.tracker().spawn(hub::run(self.clone(), room.clone(), inbox));
            hubs.insert(room.clone(), hub.clone());
            hub
        });
        hub.try_send(Input::Arrived(arrival)).map_err(|_| Refusal::Overloaded)?;
        Ok(hub)
    }

    /// Ends the hub's entry, unless somebody has arrived meanwhile: arrivals happen under the same lock.
    fn retire(&self, room: &RoomId, inbox: &mpsc::Receiver<Input>) -> bool {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = inbox.is_empty();
        if unused {
            hubs.remove(room);
        }
        unused
    }
}

/// The reason that a socket is closed with when its hub has gone without one.
const HUB_GONE: (CloseCode, &str) = (CloseCode::Failed, "hub-failed");

fn bytes_of(frame: &Frame) -> usize {
    match frame {
        Frame::Binary(bytes) => Bytes::len(bytes),
        Frame::Text(text) => text.len(),
    }
}

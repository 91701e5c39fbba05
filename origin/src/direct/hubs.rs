//! The hubs of an origin: one task per room, which begins with the first socket and ends after the last.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::extract::ws::WebSocket;
use shared::{
    grant::Member,
    hub::Visitor,
    id::{RoomId, SessionId},
};
use tokio::sync::mpsc;

use super::{
    Parts,
    hub::HubTask,
    input::{Arrival, Input},
    outgoing::Outgoing,
    socket::{self, turn_away},
};
use crate::error::Refusal;

/// Inputs that wait on one hub.
const INBOX: usize = 1024;

/// The hubs of this origin, by room. Cheap to clone.
#[derive(Clone)]
pub struct DirectHubs(Arc<Inner>);

struct Inner {
    parts: Arc<Parts>,
    hubs: Mutex<HashMap<RoomId, mpsc::Sender<Input>>>,
}

impl DirectHubs {
    /// No hubs yet.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts: Arc::new(parts), hubs: Mutex::default() }))
    }

    /// Lives through a socket, from its acceptance to its end.
    pub async fn receive(&self, room: RoomId, visitor: Visitor, guest: Member, socket: WebSocket) {
        let session = SessionId::from_random(rand::random());
        let outgoing = Arc::new(Outgoing::default());
        let arrival = Arrival { session, visitor, guest, outgoing: outgoing.clone() };
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
            self.parts.lifecycle.tracker().spawn(self.clone().run(room.clone(), inbox));
            hubs.insert(room.clone(), hub.clone());
            hub
        });
        hub.try_send(Input::Arrived(arrival)).map_err(|_| Refusal::Overloaded)?;
        Ok(hub)
    }

    /// Runs the hub of a room until nobody is left.
    async fn run(self: Arc<Self>, room: RoomId, mut inbox: mpsc::Receiver<Input>) {
        let mut hub = HubTask::new(self.parts.clone(), room.clone());
        while hub.run_until_empty(&mut inbox).await && !self.retire(&room, &inbox) {}
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

//! The rooms that are open in this process, as their drivers and the registry share them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use room::LinkId;
use shared::{
    Millis,
    id::RoomId,
    wire::link::{HubMessage, OriginMessage},
};
use tokio::sync::{mpsc, oneshot};

use super::parts::Parts;
use crate::store::ListedMember;

/// The open rooms.
pub(super) struct OpenRooms {
    pub(super) parts: Parts,
    inboxes: Mutex<HashMap<RoomId, mpsc::Sender<Inbound>>>,
    /// Since when a change of a room waits for the archive (ms).
    unflushed: Mutex<HashMap<RoomId, Millis>>,
}

/// What a room's driver receives.
pub(super) enum Inbound {
    Attach(LinkId, mpsc::Sender<Vec<OriginMessage>>),
    Detach(LinkId),
    Hub(LinkId, Vec<HubMessage>),
    Members(oneshot::Sender<Option<Vec<ListedMember>>>),
    Drain,
}

impl OpenRooms {
    /// None yet.
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts, inboxes: Mutex::default(), unflushed: Mutex::default() }
    }

    /// The way to every open room.
    pub(super) fn inboxes(&self) -> MutexGuard<'_, HashMap<RoomId, mpsc::Sender<Inbound>>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unflushed(&self) -> MutexGuard<'_, HashMap<RoomId, Millis>> {
        self.unflushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the oldest change of all open rooms waits for the archive.
    pub(super) fn unflushed_since(&self) -> Option<Millis> {
        self.unflushed().values().min().copied()
    }

    /// Since when a change of this room waits for the archive.
    pub(super) fn set_unflushed(&self, room: &RoomId, since: Option<Millis>) {
        let mut unflushed = self.unflushed();
        match since {
            Some(since) => drop(unflushed.insert(room.clone(), since)),
            None => drop(unflushed.remove(room)),
        }
    }

    /// Ends a room's entry if no sender can reach its driver any more; then the driver may end too.
    pub(super) fn close_if_unused(&self, room: &RoomId, inbox: &mpsc::Receiver<Inbound>) -> bool {
        let mut inboxes = self.inboxes();
        let unused = inbox.is_empty() && inbox.sender_strong_count() <= 1;
        if unused {
            inboxes.remove(room);
            self.closed(room);
        }
        unused
    }

    /// Ends a room's entry, whether or not it is in use.
    pub(super) fn close(&self, room: &RoomId) {
        if self.inboxes().remove(room).is_some() {
            self.closed(room);
        }
    }

    fn closed(&self, room: &RoomId) {
        self.set_unflushed(room, None);
        self.parts.metrics.room_closed();
    }
}

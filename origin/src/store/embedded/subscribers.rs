//! Who is told what is logged and announced. A subscriber that falls behind is dropped, never waited for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use shared::id::RoomId;
use tokio::sync::mpsc;

use crate::store::{Published, SUBSCRIBER_QUEUE};

#[derive(Default)]
pub(super) struct Subscribers(Mutex<HashMap<RoomId, Vec<mpsc::Sender<Published>>>>);

impl Subscribers {
    pub(super) fn add(&self, room: &RoomId) -> mpsc::Receiver<Published> {
        let (to, from) = mpsc::channel(SUBSCRIBER_QUEUE);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, of_room| {
            of_room.retain(|one| !one.is_closed());
            !of_room.is_empty()
        });
        all.entry(room.clone()).or_default().push(to);
        from
    }

    pub(super) fn publish(&self, room: &RoomId, what: &Published) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_room) = all.get_mut(room) {
            of_room.retain(|one| one.try_send(what.clone()).is_ok());
            if of_room.is_empty() {
                all.remove(room);
            }
        }
    }
}

//! What other origins log and announce in a room.
//!
//! Promise: a receiver hears everything from the moment it was given out, in order, or it is closed. A slow
//! receiver, a lost connection or message, a store that went back and a silence in which the room has moved on all
//! close it; its owner subscribes again and reads the log. One slow room does not hold up the others.

use std::time::Duration;

use shared::id::RoomId;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;

use super::{
    keys::Keys,
    listener::{Listener, status},
};
use crate::{
    redis::{PubSub, RedisConnection},
    room_store::{Published, SUBSCRIBER_QUEUE},
};

/// Decoded messages that wait on a receiver, besides those that wait to be decoded.
const DECODED: usize = 16;

/// The subscriber.
pub(super) struct Subscriber {
    pub(super) pubsub: PubSub,
    pub(super) commands: RedisConnection,
    pub(super) bulk: RedisConnection,
    /// How long a subscription may take to begin.
    pub(super) deadline: Duration,
    /// How long a room may be quiet before the room store is asked for it.
    pub(super) silence: Duration,
    pub(super) tracker: TaskTracker,
}

impl Subscriber {
    /// Hears a room from now on. If that cannot be had in time, the receiver is closed as soon as it can.
    pub(super) async fn subscribe(&self, room: &RoomId) -> mpsc::Receiver<Published> {
        let (out, receiver) = mpsc::channel(DECODED);
        let (to, messages) = mpsc::channel(SUBSCRIBER_QUEUE);
        match timeout(self.deadline, self.pubsub.subscribe(Keys::new(room).channel(), to)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(room.id = %room, %error, "a room is not heard yet"),
            Err(_) => tracing::debug!(room.id = %room, "a room is not heard yet"),
        }
        // Without an answer nothing is known, and the first look finds that the room has moved on.
        let known = status(&self.commands, room).await.unwrap_or(None);
        let listener = Listener {
            room: room.clone(),
            messages,
            out,
            commands: self.commands.clone(),
            bulk: self.bulk.clone(),
            known,
            silence: self.silence,
        };
        self.tracker.spawn(listener.run());
        receiver
    }
}

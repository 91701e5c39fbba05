//! What other origins log and announce in a room.
//!
//! Promise: a receiver hears everything from the moment it was given out, in order, or it is closed. A slow
//! receiver, a lost connection or message, a store that went back and a silence in which the room has moved on all
//! close it; its owner subscribes again and reads the log. One slow room does not hold up the others.

use async_trait::async_trait;
use bytes::Bytes;
use shared::id::RoomId;
use tokio::{sync::mpsc, time::timeout};

use super::{
    RedisStore,
    keys::Keys,
    listener::{Listener, status},
    record::write_note,
};
use crate::store::{Published, SUBSCRIBER_QUEUE, StoreError, Subscriptions};

/// Decoded messages that wait on a receiver, besides those that wait to be decoded.
const DECODED: usize = 16;

#[async_trait]
impl Subscriptions for RedisStore {
    async fn announce(&self, room: &RoomId, note: Bytes) -> Result<(), StoreError> {
        let mut publish = redis::cmd(self.publish);
        publish.arg(Keys::new(room).channel()).arg(write_note(&note));
        Ok(self.commands.command(&publish).await?)
    }

    /// If it cannot be had in time, the receiver is closed as soon as it can.
    async fn subscribe(&self, room: &RoomId) -> Result<mpsc::Receiver<Published>, StoreError> {
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
        Ok(receiver)
    }
}

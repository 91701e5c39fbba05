//! What is logged and announced, for those in this process.

use async_trait::async_trait;
use bytes::Bytes;
use shared::id::RoomId;
use tokio::sync::mpsc;

use super::EmbeddedStore;
use crate::store::{Published, StoreError, Subscriptions};

#[async_trait]
impl Subscriptions for EmbeddedStore {
    async fn announce(&self, room: &RoomId, note: Bytes) -> Result<(), StoreError> {
        self.rooms.subscribers.publish(room, &Published::Note(note));
        Ok(())
    }

    async fn subscribe(&self, room: &RoomId) -> Result<mpsc::Receiver<Published>, StoreError> {
        Ok(self.rooms.subscribers.add(room))
    }
}

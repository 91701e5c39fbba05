//! Subscriptions: what is logged and announced in a room, as it happens.

use async_trait::async_trait;
use bytes::Bytes;
use room::store::{Published, StoreError};
use shared::id::RoomId;
use tokio::sync::mpsc;

/// Changes and notes that wait on one subscriber before it is dropped.
pub const SUBSCRIBER_QUEUE: usize = 1024;

/// What the origins that have a room open say to each other.
#[async_trait]
pub trait Subscriptions: Send + Sync + 'static {
    /// Tells every origin that has the room open, unlogged.
    async fn announce(&self, room: &RoomId, note: Bytes) -> Result<(), StoreError>;

    /// What is logged and announced from now on. Subscribe first, then [`super::Leases::join`], then drop what you have.
    /// A receiver that falls behind finds the channel closed and must subscribe and backfill again.
    async fn subscribe(&self, room: &RoomId) -> Result<mpsc::Receiver<Published>, StoreError>;
}

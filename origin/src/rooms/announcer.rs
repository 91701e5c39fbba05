//! Notes to the other origins, one after the other: what a room announces keeps its order and holds up nothing.

use std::sync::Arc;

use bytes::Bytes;
use shared::id::RoomId;
use tokio::sync::mpsc;

use super::open_rooms::OpenRooms;

/// Notes that wait; more are dropped, since none of them is durable and presence is renewed.
const WAITING: usize = 1024;

/// Starts the announcer of a room; it ends when the sender is dropped.
pub(super) fn start(rooms: &Arc<OpenRooms>, room: &RoomId) -> mpsc::Sender<Bytes> {
    let (notes, mut waiting) = mpsc::channel::<Bytes>(WAITING);
    let (store, room) = (rooms.parts.store.clone(), room.clone());
    rooms.parts.tracker.spawn(async move {
        while let Some(note) = waiting.recv().await {
            if let Err(error) = store.announce(&room, note).await {
                tracing::debug!(room.id = %room, %error, "a note was not announced");
            }
        }
    });
    notes
}

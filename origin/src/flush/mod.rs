//! Writing the dirty files of rooms to the archive, on threads of its own.
//!
//! Promise: a change that is logged is either in the archive or still dirty in the room store. A flush may
//! die or fail at any point; the next one finishes what it left.

pub mod embedded;
pub mod job;
pub mod worker;

use async_trait::async_trait;
use shared::id::RoomId;

/// Which rooms are to be flushed, when, and how many at once.
#[async_trait]
pub trait FlushQueue: Send + Sync + 'static {
    /// Asks for a flush of the room after the flush delay. One job per room: asked again while it waits,
    /// nothing changes; asked again while it runs, it runs once more afterwards.
    async fn request(&self, room: &RoomId);

    /// Asks for a flush of the room now.
    async fn request_now(&self, room: &RoomId);
}

//! The catalog: which rooms there are, and what is known of each beside its text.

use async_trait::async_trait;
use room::store::StoreError;
use shared::id::{FileId, RoomId};

use super::outcome::{Outcome, Survey};

/// What is known of all rooms, for sweeps and operators.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// Every populated room, for the sweeper.
    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError>;

    /// What is known of the populated room; of its logs, those of `files` and of the events are measured.
    async fn survey(&self, room: &RoomId, files: &[FileId]) -> Result<Survey, StoreError>;

    /// Keeps with the populated room how a flush ended, for as long as it is populated: what is `None` stays as it was.
    async fn record_flush_outcome(&self, room: &RoomId, outcome: Outcome) -> Result<(), StoreError>;
}

//! Keeps with a room how the last attempt to flush it failed, where operators find it whichever process they ask.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use shared::id::RoomId;

use super::Work;
use crate::room_store::{Outcome, RoomStore, StoreError};

/// The work, with the reason of an attempt that failed kept in the room store. It goes around the guard, so that a
/// panic and an attempt that took too long are known too.
pub fn told(work: Arc<Work>, store: Arc<dyn RoomStore>, now_us: fn() -> u64) -> Arc<Work> {
    Arc::new(move |room: RoomId| {
        let (work, store) = (work.clone(), store.clone());
        Box::pin(async move {
            let outcome = work(room.clone()).await;
            if let Err(reason) = &outcome {
                keep(&*store, &room, Outcome::failed(now_us(), reason)).await;
            }
            outcome
        }) as BoxFuture<'static, _>
    })
}

/// Keeps how a flush ended. Only operators miss it if it is lost.
pub(super) async fn keep(store: &dyn RoomStore, room: &RoomId, outcome: Outcome) {
    match store.tell(room, outcome).await {
        Ok(()) | Err(StoreError::Cold) => {}
        Err(error) => tracing::debug!(room.id = %room, %error, "how a flush ended is not kept"),
    }
}

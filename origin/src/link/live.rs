//! Which links are up: one per room and region.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use shared::id::RoomId;
use tokio_util::sync::CancellationToken;

/// The hub at the other end of a link.
pub(super) type HubKey = (RoomId, String);

/// The live links. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveLinks {
    links: Arc<Mutex<HashMap<HubKey, (u64, CancellationToken)>>>,
    next: Arc<AtomicU64>,
}

/// A link's place among the live ones. Dropping it gives the place up.
#[derive(Debug)]
pub(super) struct Place {
    links: LiveLinks,
    key: HubKey,
    number: u64,
    replaced: CancellationToken,
}

impl LiveLinks {
    /// Takes the place of the hub's link; whoever had it is told.
    pub(super) fn take(&self, key: HubKey) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let replaced = CancellationToken::new();
        if let Some((_, old)) = self.lock().insert(key.clone(), (number, replaced.clone())) {
            old.cancel();
        }
        Place { links: self.clone(), key, number, replaced }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HubKey, (u64, CancellationToken)>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Ends when another link of the same hub has taken the place.
    pub(super) async fn replaced(&self) {
        self.replaced.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut links = self.links.lock();
        if links.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            links.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_link_of_a_hub_replaces_the_old_one() {
        let links = LiveLinks::default();
        let key = (RoomId::parse("a").unwrap(), "weur".to_owned());
        let first = links.take(key.clone());
        let second = links.take(key.clone());
        first.replaced().await;
        drop(first);
        assert!(!second.replaced.is_cancelled());
        let third = links.take(key);
        second.replaced().await;
        drop((second, third));
        assert!(links.lock().is_empty());
    }
}

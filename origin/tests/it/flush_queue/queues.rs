//! The queues that the suite runs against.

use std::{sync::Arc, time::Duration};

use origin::{
    connections::Connections,
    flush::{
        FlushQueue, FlushSettings,
        bullmq::{BullQueue, BullSettings},
        embedded::EmbeddedQueue,
    },
    metrics::Metrics,
};

use crate::support::redis::{SOON, cluster_url, shared_url};

/// Where queues are opened.
pub(super) enum Queues {
    /// In memory.
    Embedded,
    /// In a Redis or a cluster, as a user that may do only what the documentation says.
    Bull(String),
}

impl Queues {
    pub(super) async fn embedded() -> Self {
        Self::Embedded
    }

    pub(super) async fn redis() -> Self {
        Self::Bull(shared_url().await)
    }

    pub(super) async fn cluster() -> Self {
        Self::Bull(cluster_url().await)
    }

    /// A queue that nobody else has.
    pub(super) async fn open(&self, flush: FlushSettings) -> Arc<dyn FlushQueue> {
        match self {
            Self::Embedded => Arc::new(EmbeddedQueue::new(flush)),
            Self::Bull(url) => bull(settings(url, flush)).0,
        }
    }
}

/// A queue of its own, with short intervals.
pub(super) fn settings(url: &str, flush: FlushSettings) -> BullSettings {
    BullSettings {
        url: url.into(),
        prefix: "bull".to_owned(),
        name: format!("flush-{:016x}", rand::random::<u64>()),
        flush,
        // Only the test of a worker that dies has one that runs out.
        lock: Duration::from_secs(60),
        stalled: Duration::from_millis(500),
        deadline: SOON,
        probe: Duration::from_millis(200),
        worker: "w1".to_owned(),
    }
}

/// A queue and the connections that it was made with.
pub(super) fn bull(settings: BullSettings) -> (Arc<BullQueue>, Connections) {
    let connections = Connections::new();
    (BullQueue::connect(settings, Arc::new(Metrics::new()), &connections).unwrap(), connections)
}

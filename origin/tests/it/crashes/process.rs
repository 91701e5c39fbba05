//! A process: its rooms, its flushes and its sweeps, on stores that it dies at.

use std::{sync::Arc, time::Duration};

use origin::{
    archive::Archive,
    clock,
    flush::{
        FlushQueue, FlushSettings, embedded::EmbeddedQueue, flusher::Flusher, parking::Parking,
        runner::FlushRunner, sweep::Sweeper,
    },
    metrics::Metrics,
    rooms::{Parts, Rooms},
    store::RoomStore,
};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ground::Stores,
    mortal::{Death, Lifeline, Mortal},
};
use crate::room_store_contract::setup::LEASE;

pub(super) struct Process {
    pub(super) line: Arc<Lifeline>,
    pub(super) rooms: Rooms,
    pub(super) flusher: Arc<Flusher>,
    pub(super) sweeper: Sweeper,
}

impl Process {
    /// Starts one; by itself it flushes only what the last leave asks for.
    pub(super) fn start(stores: &Stores, name: &str, death: Option<Death>) -> Self {
        let line = Lifeline::new(death);
        let store: Arc<dyn RoomStore> = Arc::new(Mortal { inner: stores.rooms.clone(), line: line.clone() });
        let archive: Arc<dyn Archive> =
            Arc::new(Mortal { inner: stores.archive.clone(), line: line.clone() });
        let settings = FlushSettings { delay_ms: 600_000, limit: 1000, ..FlushSettings::default() };
        let queue = Arc::new(EmbeddedQueue::new(settings));
        let flusher = Arc::new(Flusher {
            store: store.clone(),
            archive: archive.clone(),
            parking: Parking::default(),
            now_us: clock::now_us,
        });
        // A dead process does not end its flushes.
        let runner = Arc::new(FlushRunner {
            flusher: flusher.clone(),
            threads: Handle::current(),
            timeout: Duration::MAX,
            observe: Box::new(|_, _, _| {}),
        });
        let sweeper = Sweeper {
            flusher: flusher.clone(),
            queue: queue.clone(),
            runner: runner.clone(),
            at_once: 1,
            observe: Box::new(|_| {}),
        };
        let tracker = TaskTracker::new();
        tracker.spawn(queue.clone().run(runner, CancellationToken::new()));
        let rooms = Rooms::new(Parts {
            store,
            archive,
            queue,
            tracker,
            origin_id: name.to_owned(),
            create_on_open: true,
            owned_clients: true,
            lease: LEASE,
            behind: Duration::from_secs(600),
            metrics: Arc::new(Metrics::new()),
        });
        Self { line, rooms, flusher, sweeper }
    }
}

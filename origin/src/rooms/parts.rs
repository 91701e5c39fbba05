//! What the live rooms of a process are made of.

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use crate::{archive::Archive, flush::FlushQueue, metrics::Metrics, store::RoomStore};

/// What rooms are made of.
pub struct Parts {
    /// Where rooms live.
    pub store: Arc<dyn RoomStore>,
    /// Where shards are kept.
    pub archive: Arc<dyn Archive>,
    /// What has them flushed.
    pub queue: Arc<dyn FlushQueue>,
    /// The tasks that shutdown waits for.
    pub tracker: TaskTracker,
    /// This origin's id.
    pub origin_id: String,
    /// Whether a room or file that is opened and does not exist is created.
    pub create_on_open: bool,
    /// Whether the text of a Yjs client belongs to the member who has extended it.
    pub owned_clients: bool,
    /// How long this origin's hold on a room lasts when it is not renewed.
    pub lease: Duration,
    /// How long a change may wait for the archive until members are told.
    pub behind: Duration,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

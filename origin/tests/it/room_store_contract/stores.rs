//! The stores that the suite runs against, each with what keeps it alive.

use std::sync::Arc;

use origin::{
    connections::Connections,
    store::{RoomStore, embedded::EmbeddedStore},
};
use tempfile::TempDir;

use crate::support::redis::{cluster_store, shared_store};

/// The embedded one.
pub(super) async fn embedded() -> (Arc<dyn RoomStore>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap();
    (Arc::new(store), dir)
}

/// Redis, as a user that may do only what the documentation says.
pub(super) async fn redis() -> (Arc<dyn RoomStore>, Connections) {
    let opened = shared_store().await;
    (opened.store, opened.connections)
}

/// A cluster of three nodes, likewise.
pub(super) async fn cluster() -> (Arc<dyn RoomStore>, Connections) {
    let opened = cluster_store().await;
    (opened.store, opened.connections)
}

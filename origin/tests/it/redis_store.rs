//! What the Redis room store promises when Redis, the network or a part of it fails.

mod failing;
mod subscription;
mod racing;
mod alike;
mod replica;

use std::time::Duration;

use origin::store::{Backfill, Published, RoomStore};
use shared::{id::RoomId, position::Position};
use tokio::{sync::mpsc, time::timeout};

use crate::support::PATIENCE;

/// What is heard next; `None` when the subscription has ended.
async fn next(heard: &mut mpsc::Receiver<Published>) -> Option<Published> {
    timeout(PATIENCE, heard.recv()).await.expect("nothing is heard")
}

/// Hears on until the subscription ends.
async fn until_it_ends(heard: &mut mpsc::Receiver<Published>) {
    while next(heard).await.is_some() {}
}

/// What the log has after a position.
async fn after(store: &dyn RoomStore, room: &RoomId, from: Position) -> Vec<String> {
    let Backfill::Changes(_, entries) = store.backfill(room, from).await.unwrap() else { panic!("reset") };
    entries.into_iter().map(|entry| String::from_utf8(entry.bytes.to_vec()).unwrap()).collect()
}

/// Long enough for what is not to happen.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

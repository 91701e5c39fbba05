//! Whether MongoDB is there, seen by asking it; and the end of the connections to it.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use super::MongoArchive;
use crate::connections::{Connections, NameTaken, Purpose};

/// Under which name the connections are listed.
const NAME: &str = "mongodb";

impl MongoArchive {
    /// Lists the connections as `mongodb`, up while a server answers, and closes them together with all
    /// others.
    pub fn watch(self: &Arc<Self>, connections: &Connections) -> Result<(), NameTaken> {
        let place = connections.enter(NAME, Purpose::Archive)?;
        let (archive, closing) = (self.clone(), connections.closing().clone());
        connections.tracker().spawn(async move {
            let mut ticks = interval(archive.connection.deadlines.ping);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let watching = async {
                loop {
                    ticks.tick().await;
                    place.set_up(archive.ping().await.is_ok());
                }
            };
            tokio::select! {
                () = closing.cancelled() => {}
                () = watching => {}
            }
            archive.close().await;
        });
        Ok(())
    }
}

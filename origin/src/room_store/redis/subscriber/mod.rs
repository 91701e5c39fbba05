//! What other origins log and announce, from one supervised connection per process (per node in a cluster).
//!
//! Promise: a receiver hears everything from the moment it was given out, in order, or it is closed. A slow
//! receiver, a lost connection or message, a store that went back and a silence in which the room has moved on all
//! close it; its owner subscribes again and reads the log. One slow room does not hold up the others.

mod feed;
mod cluster;
mod listener;

use std::{sync::Arc, time::Duration};

use futures_util::future::FutureExt;
use shared::id::RoomId;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

pub use self::feed::Fault;
use self::{
    cluster::Cluster,
    feed::{Ear, Feed, Wanted},
    listener::{Listener, standing},
};
use super::{address::Address, keys, keys::Keys, lane::Lane};
use crate::{
    connections::{Connections, Purpose},
    room_store::{Published, SUBSCRIBER_QUEUE, StoreError},
};

/// Decoded messages that wait on a receiver, besides those that wait to be decoded.
const DECODED: usize = 16;

/// How to listen.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) address: Address,
    pub(super) deadline: Duration,
    pub(super) probe: Duration,
    /// How long a room may be quiet before it is asked for.
    pub(super) silence: Duration,
    pub(super) fault: Option<Fault>,
}

/// The subscriber.
pub(super) struct Subscriber {
    settings: Settings,
    commands: Lane,
    bulk: Lane,
    feeds: Feeds,
    connections: Connections,
}

enum Feeds {
    Single(Feed),
    Cluster(Box<Cluster>),
}

impl Subscriber {
    pub(super) fn start(
        settings: Settings,
        commands: Lane,
        bulk: Lane,
        connections: &Connections,
    ) -> Result<Self, StoreError> {
        let feeds = match &settings.address {
            Address::Cluster(..) => {
                let cluster = Cluster::new(settings.clone(), commands.clone(), connections.clone());
                Feeds::Cluster(Box::new(cluster))
            }
            Address::Single(info) => {
                let parts = feed::Parts {
                    info: (**info).clone(),
                    sharded: false,
                    deadline: settings.deadline,
                    probe: settings.probe,
                    fault: settings.fault.clone(),
                    serves: Arc::new(|| std::future::ready(Wanted::All).boxed()),
                };
                let entered = connections.enter("redis-subscriber", Purpose::Subscriber);
                let connection = entered.map_err(|error| StoreError::Failed(error.to_string()))?;
                Feeds::Single(Feed::start(parts, connection, connections))
            }
        };
        Ok(Self { settings, commands, bulk, feeds, connections: connections.clone() })
    }

    /// Hears a room from now on. If that cannot be had in time, the receiver is closed as soon as it can.
    pub(super) async fn subscribe(&self, room: &RoomId) -> mpsc::Receiver<Published> {
        let (out, receiver) = mpsc::channel(DECODED);
        let (to, messages) = mpsc::channel(SUBSCRIBER_QUEUE);
        let begins = self.begin(Keys::new(room).channel(), to);
        match timeout(self.settings.deadline, begins).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(room.id = %room, %error, "a room is not heard yet"),
            Err(_) => tracing::debug!(room.id = %room, "a room is not heard yet"),
        }
        // Without an answer nothing is known, and the first look finds that the room has moved on.
        let known = standing(&self.commands, room).await.unwrap_or(None);
        let listener = Listener {
            room: room.clone(),
            messages,
            out,
            commands: self.commands.clone(),
            bulk: self.bulk.clone(),
            known,
            silence: self.settings.silence,
        };
        self.connections.tracker().spawn(listener.run());
        receiver
    }

    async fn begin(&self, channel: String, to: mpsc::Sender<bytes::Bytes>) -> Result<(), StoreError> {
        let feed = match &self.feeds {
            Feeds::Single(feed) => feed.clone(),
            Feeds::Cluster(cluster) => cluster.feed(keys::slot(&channel)).await?,
        };
        let (begun, begins) = oneshot::channel();
        feed.listen(Ear { channel, to, begun }).await;
        begins.await.map_err(|_| StoreError::Failed("the feed has ended".to_owned()))
    }
}

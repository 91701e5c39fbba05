//! A room's subscription to what others log and announce, or the wait for one. However long that takes, the room goes
//! on.

use std::{future::pending, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use shared::id::RoomId;
use tokio::{sync::mpsc, time::timeout};

use crate::store::{Published, RoomStore, StoreError};

/// How long joining a room waits for its subscription.
const HEAD_START: Duration = Duration::from_secs(1);

type Receiver = mpsc::Receiver<Published>;

/// The subscription of a room.
pub(super) enum Subscription {
    /// None is needed.
    Off,
    /// It was requested.
    Requested(BoxFuture<'static, Result<Receiver, StoreError>>),
    /// It has everything from some moment on.
    Begun(Receiver),
}

/// What comes next.
pub(super) enum Incoming {
    /// Something was logged or announced.
    Published(Published),
    /// The subscription has fallen behind or was lost.
    Lost,
    /// A subscription has begun: what came before it is in the log.
    Begun,
    /// It could not begin.
    Failed(StoreError),
}

impl Subscription {
    /// Requests a subscription.
    pub(super) fn request(store: &Arc<dyn RoomStore>, room: &RoomId) -> Self {
        let (store, room) = (store.clone(), room.clone());
        Self::Requested(Box::pin(async move { store.subscribe(&room).await }))
    }

    /// Requests a subscription before the room is joined. If it does not begin soon, it will be found when it
    /// does that the log is to be read.
    pub(super) async fn begin(store: &Arc<dyn RoomStore>, room: &RoomId) -> Self {
        let mut subscription = Self::request(store, room);
        match timeout(HEAD_START, subscription.next()).await {
            Ok(Incoming::Failed(_)) => Self::request(store, room),
            _ => subscription,
        }
    }

    /// Waits for what comes next; dropping the wait loses nothing.
    pub(super) async fn next(&mut self) -> Incoming {
        match self {
            Self::Off => pending().await,
            Self::Requested(answer) => match answer.await {
                Ok(receiver) => {
                    *self = Self::Begun(receiver);
                    Incoming::Begun
                }
                Err(error) => {
                    *self = Self::Off;
                    Incoming::Failed(error)
                }
            },
            Self::Begun(receiver) => match receiver.recv().await {
                Some(published) => Incoming::Published(published),
                None => {
                    *self = Self::Off;
                    Incoming::Lost
                }
            },
        }
    }
}

//! What a room hears of others: a subscription, or the wait for one. Whatever that takes, the room goes on.

use std::{future::pending, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use shared::id::RoomId;
use tokio::{sync::mpsc, time::timeout};

use crate::store::{Published, RoomStore, StoreError};

/// How long joining a room waits for its subscription.
const HEAD_START: Duration = Duration::from_secs(1);

type Subscription = mpsc::Receiver<Published>;

/// How a room hears.
pub(super) enum Hearing {
    /// It needs to hear nothing.
    Nothing,
    /// A subscription was asked for.
    Asked(BoxFuture<'static, Result<Subscription, StoreError>>),
    /// It hears everything from some moment on.
    Begun(Subscription),
}

/// What comes next.
pub(super) enum Heard {
    /// Something was logged or announced.
    Published(Published),
    /// The subscription has fallen behind or was lost.
    Lost,
    /// A subscription has begun: what came before it is in the log.
    Begun,
    /// There is none to be had.
    Failed(StoreError),
}

impl Hearing {
    /// Asks for a subscription.
    pub(super) fn ask(store: &Arc<dyn RoomStore>, room: &RoomId) -> Self {
        let (store, room) = (store.clone(), room.clone());
        Self::Asked(Box::pin(async move { store.subscribe(&room).await }))
    }

    /// Asks for a subscription before the room is joined. If it does not begin soon, it will be found when it
    /// does that the log is to be read.
    pub(super) async fn begin(store: &Arc<dyn RoomStore>, room: &RoomId) -> Self {
        let mut hearing = Self::ask(store, room);
        match timeout(HEAD_START, hearing.next()).await {
            Ok(Heard::Failed(_)) => Self::ask(store, room),
            _ => hearing,
        }
    }

    /// Waits for what comes next; dropping the wait loses nothing.
    pub(super) async fn next(&mut self) -> Heard {
        match self {
            Self::Nothing => pending().await,
            Self::Asked(answer) => match answer.await {
                Ok(subscription) => {
                    *self = Self::Begun(subscription);
                    Heard::Begun
                }
                Err(error) => {
                    *self = Self::Nothing;
                    Heard::Failed(error)
                }
            },
            Self::Begun(subscription) => match subscription.recv().await {
                Some(published) => Heard::Published(published),
                None => {
                    *self = Self::Nothing;
                    Heard::Lost
                }
            },
        }
    }
}

//! From those who change rooms to the queue: requests are noted in no time and handed on by one task. What the queue
//! does not take is offered again until it does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream};
use shared::id::RoomId;
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{connection::QueueCalls, job::add, throttle::Throttle};
use crate::flush::settings::FlushSettings;

/// Requests under way at the same time.
const AT_ONCE: usize = 16;
/// How long the last requests may take when the process ends.
const LAST: Duration = Duration::from_secs(2);

/// What was asked for and not handed on yet.
pub(super) struct Requests {
    throttle: Mutex<Throttle>,
    began: Instant,
    more: Notify,
}

impl Requests {
    /// Nothing, for jobs that begin so long after they are asked for.
    pub(super) fn new(delay_ms: u64) -> Self {
        Self { throttle: Mutex::new(Throttle::new(delay_ms)), began: Instant::now(), more: Notify::new() }
    }

    pub(super) fn request(&self, room: &RoomId) {
        self.throttle().request(room, self.now());
        self.more.notify_one();
    }

    pub(super) fn request_now(&self, room: &RoomId) {
        self.throttle().request_now(room, self.now());
        self.more.notify_one();
    }

    /// Ends when something is due.
    async fn is_due(&self) {
        loop {
            let (now, next) = (self.now(), self.throttle().next_due());
            match next {
                Some(due) if due <= now => return,
                Some(due) => {
                    tokio::select! {
                        () = self.more.notified() => {}
                        () = sleep_until(self.began + Duration::from_millis(due)) => return,
                    }
                }
                None => self.more.notified().await,
            }
        }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Hands on what was asked for.
pub(super) struct Producer {
    pub(super) requests: Arc<Requests>,
    pub(super) calls: QueueCalls,
    pub(super) flush: FlushSettings,
    pub(super) refused: Arc<Notify>,
}

impl Producer {
    /// Hands on until `closing`, and then what is left.
    pub(super) async fn run(&self, closing: &CancellationToken) {
        loop {
            let ready = async {
                self.requests.is_due().await;
                self.calls.until_up().await;
            };
            tokio::select! {
                () = closing.cancelled() => break,
                () = ready => {}
            }
            let due = self.requests.throttle().take_due(self.requests.now());
            stream::iter(due)
                .for_each_concurrent(AT_ONCE, |(room, at_once)| self.hand_on(room, at_once))
                .await;
        }
        self.hand_on_the_rest().await;
    }

    async fn hand_on(&self, room: RoomId, at_once: bool) {
        let added = self.calls.call(async |queue| add(queue, &room, self.flush, at_once).await).await;
        if let Err(error) = added {
            tracing::debug!(room.id = %room, %error, "a flush could not be asked for yet");
            self.requests.throttle().refused(&room, at_once, self.requests.now());
            self.refused.notify_one();
        }
    }

    /// What is due only later would be found by somebody's sweep; so it is found at once.
    async fn hand_on_the_rest(&self) {
        let Some(queue) = self.calls.current() else { return };
        let rest = self.requests.throttle().take_due(u64::MAX / 2);
        let all = stream::iter(rest).for_each_concurrent(AT_ONCE, async |(room, at_once)| {
            // If it fails, the sweep is left.
            let _ = add(&queue, &room, self.flush, at_once).await;
        });
        let _ = timeout(LAST, all).await;
    }
}

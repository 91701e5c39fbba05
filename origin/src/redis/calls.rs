//! Calls over a supervised connection. Every call has a deadline. One that is not answered by then has an unknown
//! outcome, and its connection is given up: no client of Redis notices by itself that a connection leads nowhere.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    sync::watch,
    time::{interval, timeout},
};

use super::supervisor::{Lost, Supervised, in_time, supervise};
use crate::connections::Connection;

/// How a client is connected and tried out.
pub(crate) trait Dial: Send + Sync + 'static {
    /// What calls are made with.
    type Client: Clone + Send + Sync + 'static;

    /// See [`Supervised::WARNS_ONCE`].
    const WARNS_ONCE: bool = false;

    /// Connects. The second part ends when the client says that its connection was closed.
    fn connect(&self) -> impl Future<Output = Result<(Self::Client, BoxFuture<'static, ()>), String>> + Send;

    /// Asks the server something.
    fn probe(&self, client: &Self::Client) -> impl Future<Output = Result<(), String>> + Send;
}

/// The way to call a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Calls<C> {
    live: watch::Receiver<Option<Live<C>>>,
    broken: Arc<watch::Sender<u64>>,
    deadline: Duration,
}

/// A client that is up, and the number of its connection, from 1.
#[derive(Clone)]
struct Live<C> {
    client: C,
    generation: u64,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError<E> {
    /// The server or the client says why.
    #[error(transparent)]
    Answered(E),
    /// There was no answer by this deadline.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// The process ends.
    #[error("the connections are closed")]
    Closed,
}

/// An error that may mean that its connection is of no use any more.
pub(crate) trait Breaks {
    /// Whether it does.
    fn breaks(&self) -> bool;
}

impl<C: Clone + Send + Sync + 'static> Calls<C> {
    /// The way to call, and what keeps its connection, tried out every `probe`: to be run until calls are to end.
    pub(crate) fn over<D: Dial<Client = C>>(
        dial: D,
        deadline: Duration,
        probe: Duration,
        connection: Connection,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (live, shown) = watch::channel(None);
        let (broken, reported) = watch::channel(0);
        let mut keeper = Keeper { dial, deadline, probe, live, broken: reported, generation: 0 };
        let calls = Self { live: shown, broken: Arc::new(broken), deadline };
        (calls, async move { supervise(&mut keeper, &connection).await })
    }

    /// Makes a call as soon as the connection is up.
    pub(crate) async fn call<T, E: Breaks>(
        &self,
        call: impl AsyncFnOnce(&mut C) -> Result<T, E>,
    ) -> Result<T, CallError<E>> {
        let mut generation = 0;
        let answered = timeout(self.deadline, async {
            let mut shown = self.live.clone();
            let live = shown.wait_for(Option::is_some).await.ok().and_then(|live| live.clone());
            let mut live = live.ok_or(CallError::Closed)?;
            generation = live.generation;
            let answer = call(&mut live.client).await;
            if answer.as_ref().is_err_and(Breaks::breaks) {
                self.broken.send_replace(live.generation);
            }
            answer.map_err(CallError::Answered)
        });
        answered.await.unwrap_or_else(|_| {
            // Without a connection there is none that is broken, and the next is not to be taken for it.
            if generation > 0 {
                self.broken.send_replace(generation);
            }
            Err(CallError::Late(self.deadline))
        })
    }

    /// Ends when the connection is up; never, if it is closed.
    pub(crate) async fn until_up(&self) {
        if self.live.clone().wait_for(Option::is_some).await.is_err() {
            std::future::pending().await
        }
    }

    /// Ends when a connection that is up is lost or closed.
    pub(crate) async fn until_lost(&self) {
        self.until_up().await;
        let _ = self.live.clone().wait_for(Option::is_none).await;
    }

    /// The client, if its connection is up now.
    pub(crate) fn current(&self) -> Option<C> {
        self.live.borrow().as_ref().map(|live| live.client.clone())
    }
}

/// Keeps the connection of [`Calls`].
struct Keeper<D: Dial> {
    dial: D,
    deadline: Duration,
    probe: Duration,
    live: watch::Sender<Option<Live<D::Client>>>,
    broken: watch::Receiver<u64>,
    generation: u64,
}

impl<D: Dial> Supervised for Keeper<D> {
    type Live = (D::Client, BoxFuture<'static, ()>);

    const WARNS_ONCE: bool = D::WARNS_ONCE;

    /// Until nobody can call any more.
    async fn is_needed(&mut self) -> bool {
        self.broken.has_changed().is_ok()
    }

    async fn connect(&mut self) -> Result<Self::Live, String> {
        in_time(self.deadline, self.dial.connect()).await
    }

    async fn serve(&mut self, (client, mut closed): Self::Live, connection: &Connection) -> Option<Lost> {
        self.generation += 1;
        let generation = self.generation;
        self.live.send_replace(Some(Live { client: client.clone(), generation }));
        if D::WARNS_ONCE {
            // Each outage is warned of, however soon it follows the last one.
            connection.health().works();
        }
        let mut probes = interval(self.probe);
        probes.tick().await;
        let lost = loop {
            let reported = async { self.broken.wait_for(|broken| *broken >= generation).await.is_ok() };
            tokio::select! {
                is_called = reported => {
                    break is_called.then(|| ("serving calls", "one was not answered".to_owned()));
                }
                () = &mut closed => break Some(("serving calls", "it was closed".to_owned())),
                _ = probes.tick() => match in_time(self.deadline, self.dial.probe(&client)).await {
                    Ok(()) => connection.health().works(),
                    Err(why) => break Some(("trying it out", why)),
                },
            }
        };
        self.live.send_replace(None);
        lost
    }
}

impl<D: Dial> Drop for Keeper<D> {
    fn drop(&mut self) {
        // Callers that are left must not keep the connection.
        self.live.send_replace(None);
    }
}

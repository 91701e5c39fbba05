//! A TCP proxy that harms the connections through it: all of them, or one, or one at a request that it waits for.

mod trap;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{oneshot, watch},
    time::sleep,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub(crate) use self::trap::Held;
use self::trap::{Fate, Loss, Trap};

/// What happens to what comes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Nothing.
    None,
    /// Nothing goes through, and nobody is told.
    BlackHole,
    /// Everything goes through this much later.
    Delay(Duration),
    /// Requests go through, answers do not.
    SwallowAnswers,
    /// The client's side is told that the server has ended its half; requests still go through.
    HalfClose,
    /// So many bytes of answers go through, then the client's side is ended.
    CutAfter(usize),
    /// The connection is closed, also one that comes.
    Cut,
    /// The connection is closed, and nobody listens for others.
    Refuse,
}

/// A proxy in front of a server. Dropping it cuts everything.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    _accepting: AbortOnDropHandle<()>,
}

struct State {
    server: Mutex<SocketAddr>,
    /// What happens to connections that come.
    harm: watch::Sender<Harm>,
    connections: Mutex<Vec<watch::Sender<Harm>>>,
    /// What was asked, connection by connection, from when it was wanted.
    requests: Mutex<Option<Vec<Vec<u8>>>>,
    trap: Mutex<Option<Trap>>,
    /// The connection whose next answer is to be lost.
    loss: Mutex<Option<(usize, Loss)>>,
}

impl Proxy {
    /// Starts one in front of a server.
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server: Mutex::new(server),
            harm: watch::Sender::new(Harm::None),
            connections: Mutex::default(),
            requests: Mutex::default(),
            trap: Mutex::default(),
            loss: Mutex::default(),
        });
        let accepting = TaskTracker::new().spawn(accept(listener, state.clone()));
        Self { address, state, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Keeps what is asked from now on, on the connections that come.
    pub(crate) fn record(&self) {
        let known = self.connections();
        *lock(&self.state.requests) = Some(vec![Vec::new(); known]);
    }

    /// What was asked since then, connection by connection.
    pub(crate) fn recorded(&self) -> Vec<Vec<u8>> {
        lock(&self.state.requests).clone().unwrap_or_default()
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads the connections that come to another server.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        *lock(&self.state.server) = server;
    }

    /// How many connections were made so far; they are numbered in this order.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.state.connections).len()
    }

    /// Harms every connection there is, and those that come.
    pub(crate) fn harm_all(&self, harm: Harm) {
        self.state.harm.send_replace(harm);
        self.harm_those_here(harm);
    }

    /// Harms every connection there is; those that come are left alone.
    pub(crate) fn harm_those_here(&self, harm: Harm) {
        self.state.harm_those_here(harm);
    }

    /// Holds the next request with these bytes.
    pub(crate) fn hold(&self, request: Vec<u8>) -> Held {
        let (here, is_here) = oneshot::channel();
        let (let_go, is_let_go) = oneshot::channel();
        let fate = Fate::Held { here, let_go: is_let_go };
        *lock(&self.state.trap) = Some(Trap { request, fate });
        Held { here: is_here, let_go }
    }

    /// The server gets the next request with these bytes, but when it answers, every connection is cut instead, and
    /// `then` happens to those that come. Ends when that has happened.
    pub(crate) fn lose_answer(&self, request: Vec<u8>, then: Harm) -> impl Future<Output = ()> + use<> {
        let (lost, is_lost) = oneshot::channel();
        let fate = Fate::Unanswered(Loss { lost, then });
        *lock(&self.state.trap) = Some(Trap { request, fate });
        async { is_lost.await.unwrap() }
    }

    /// Harms one connection.
    pub(crate) fn harm(&self, connection: usize, harm: Harm) {
        lock(&self.state.connections)[connection].send_replace(harm);
    }
}

async fn accept(mut listener: TcpListener, state: Arc<State>) {
    let (tasks, mut harm_all) = (TaskTracker::new(), state.harm.subscribe());
    let mut running = Vec::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = harm_all.wait_for(|harm| *harm == Harm::Refuse) => None,
            accepted = listener.accept() => Some(accepted.unwrap().0),
        };
        let Some(client) = accepted else {
            let address = listener.local_addr().unwrap();
            drop(listener);
            let _ = harm_all.wait_for(|harm| *harm != Harm::Refuse).await;
            listener = TcpListener::bind(address).await.unwrap();
            continue;
        };
        let (harm, harmed) = watch::channel(*state.harm.borrow());
        let number = state.add(harm);
        let server = *lock(&state.server);
        let carrying = carry(client, server, harmed, (state.clone(), number));
        running.push(AbortOnDropHandle::new(tasks.spawn(carrying)));
    }
}

impl State {
    fn add(&self, harm: watch::Sender<Harm>) -> usize {
        let mut connections = lock(&self.connections);
        connections.push(harm);
        if let Some(requests) = lock(&self.requests).as_mut() {
            requests.resize(connections.len(), Vec::new());
        }
        connections.len() - 1
    }

    fn note(&self, connection: usize, request: &[u8]) {
        if let Some(requests) = lock(&self.requests).as_mut() {
            requests[connection].extend_from_slice(request);
        }
    }

    fn harm_those_here(&self, harm: Harm) {
        for connection in lock(&self.connections).iter() {
            connection.send_replace(harm);
        }
    }

    /// Takes the trap if it is met by these bytes.
    fn fate_of(&self, said: &[u8]) -> Option<Fate> {
        lock(&self.trap).take_if(|trap| trap.is_met(said)).map(|trap| trap.fate)
    }

    /// Cuts everything if it is the answer of this connection that is to be lost.
    fn loses_answer_of(&self, connection: usize) -> bool {
        let Some((_, loss)) = lock(&self.loss).take_if(|(of, _)| *of == connection) else { return false };
        self.harm.send_replace(loss.then);
        self.harm_those_here(Harm::Cut);
        // The test may have ended.
        let _ = loss.lost.send(());
        true
    }
}

async fn carry(
    client: TcpStream,
    server: SocketAddr,
    mut harm: watch::Receiver<Harm>,
    place: (Arc<State>, usize),
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    // Small frames must not wait for each other here either.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let requests = pass(from_client, to_server, harm.clone(), Direction::Requests, &place);
    let answers = pass(from_server, to_client, harm.clone(), Direction::Answers, &place);
    tokio::select! {
        () = async { tokio::join!(requests, answers); } => {}
        _ = harm.wait_for(|harm| matches!(harm, Harm::Cut | Harm::Refuse)) => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

/// Passes bytes on in one direction until it ends; requests are noted.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut harm: watch::Receiver<Harm>,
    direction: Direction,
    (state, connection): &(Arc<State>, usize),
) {
    let answers = direction == Direction::Answers;
    let mut buffer = vec![0; 64 << 10];
    let mut passed = 0;
    loop {
        let length = tokio::select! {
            _ = harm.wait_for(|harm| answers && *harm == Harm::HalfClose) => break,
            length = from.read(&mut buffer) => length,
        };
        let Ok(length @ 1..) = length else { break };
        if answers {
            if state.loses_answer_of(*connection) {
                break;
            }
        } else {
            state.note(*connection, &buffer[..length]);
            match state.fate_of(&buffer[..length]) {
                None => {}
                Some(Fate::Unanswered(loss)) => *lock(&state.loss) = Some((*connection, loss)),
                // Who has let go of it by dropping it has ended.
                Some(Fate::Held { here, let_go }) => drop((here.send(()), let_go.await)),
            }
        }
        let now = *harm.borrow();
        match now {
            Harm::None | Harm::HalfClose => {}
            // It was while this was held.
            Harm::Cut | Harm::Refuse => break,
            Harm::CutAfter(_) if !answers => {}
            Harm::CutAfter(most) => {
                let rest = length.min(most - passed);
                passed += rest;
                if to.write_all(&buffer[..rest]).await.is_err() || passed == most {
                    break;
                }
                continue;
            }
            Harm::Delay(time) => sleep(time).await,
            Harm::SwallowAnswers if !answers => {}
            // What was swallowed is gone: a connection that is let go again would be out of step.
            Harm::SwallowAnswers => continue,
            Harm::BlackHole => {
                if harm.wait_for(|harm| *harm != Harm::BlackHole).await.is_err() {
                    break;
                }
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    // The other side may have closed it already.
    let _ = to.shutdown().await;
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The yardstick of `cargo xtask bench fanout`: every binary message of a client is sent to all the others, one
//! send per receiver per message, over the same WebSockets as the origin's own. It knows no rooms, checks nothing
//! and keeps nothing. A client that is in gets an empty message.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
    routing::get,
    serve::ListenerExt,
};
use bytes::Bytes;
use origin::direct;
use tokio::{net::TcpListener, sync::mpsc};

/// Messages that wait for one client; whoever falls further behind is let go, and the load notices.
const WAITING: usize = 16 << 10;

/// Everybody who is connected.
#[derive(Clone, Default)]
struct Clients(Arc<Inner>);

#[derive(Default)]
struct Inner {
    next: AtomicU64,
    queues: Mutex<HashMap<u64, mpsc::Sender<Bytes>>>,
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where to listen.
    address: String,
}

/// Serves until the process is ended.
pub(crate) async fn run(Options { address }: Options) -> Result<()> {
    let listener = TcpListener::bind(&address).await.with_context(|| format!("listening at {address}"))?;
    let listener = listener.tap_io(|stream| {
        // Only speed depends on it.
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new()
        .route("/healthz", get(|| async { "up" }))
        .route("/", get(accept))
        .with_state(Clients::default());
    axum::serve(listener, router).await.context("serving")
}

async fn accept(State(clients): State<Clients>, upgrade: WebSocketUpgrade) -> Response {
    // As the origin does.
    let upgrade = upgrade.read_buffer_size(direct::READ_BYTES);
    upgrade.on_upgrade(move |socket| async move { clients.serve(socket).await })
}

impl Clients {
    async fn serve(self, mut socket: WebSocket) {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (queue, mut waiting) = mpsc::channel(WAITING);
        self.change(|queues| drop(queues.insert(id, queue)));
        let mut alive = socket.send(Message::Binary(Bytes::new())).await.is_ok();
        while alive {
            alive = tokio::select! {
                message = socket.recv() => match message {
                    Some(Ok(Message::Binary(bytes))) => {
                        self.broadcast(id, &bytes);
                        true
                    }
                    Some(Ok(_)) => true,
                    Some(Err(_)) | None => false,
                },
                message = waiting.recv() => match message {
                    Some(message) => socket.send(Message::Binary(message)).await.is_ok(),
                    None => false,
                },
            };
        }
        self.change(|queues| drop(queues.remove(&id)));
    }

    fn broadcast(&self, author: u64, message: &Bytes) {
        self.change(|queues| {
            queues.retain(|id, queue| *id == author || queue.try_send(message.clone()).is_ok());
        });
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<u64, mpsc::Sender<Bytes>>)) {
        change(&mut self.0.queues.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

//! Dialling: a hub has asked for a link, the origin opens it.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderValue, header};
use shared::{
    address::is_loopback,
    id::RoomId,
    limits,
    signature::{Subject, Verb},
};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{client::IntoClientRequest, protocol::WebSocketConfig},
};
use tracing::Instrument;

use super::{Parts, live::LiveLinks, socket};
use crate::{clock, config::base_of_edge, error::Refusal, rooms::RoomError};

/// Largest frame of a link: what a Durable Object takes.
const MESSAGE_BYTES: usize = 32 << 20;
/// Dials under way at once; more are told to ask again.
const DIALS: usize = 64;
/// Longest name of a region.
const REGION_CHARS: usize = 32;

/// A hub's request for a link, as it came in. Nothing is believed yet.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The `Authorization` header.
    pub signature: &'a str,
    /// The base address of the edge.
    pub edge: &'a str,
    /// The room.
    pub room: &'a str,
    /// The hub's region.
    pub region: &'a str,
    /// The id of the request, which the edge has logged.
    pub request: &'a str,
}

/// Opens links. Cheap to clone.
#[derive(Clone)]
pub struct Dialler(Arc<Inner>);

struct Inner {
    parts: Parts,
    live: LiveLinks,
    dials: Arc<Semaphore>,
}

/// A call that is believed.
struct Dial {
    edge: String,
    room: RoomId,
    region: String,
    nonce: String,
}

/// Why a dial did not become a link.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("the edge did not answer in time")]
    Late,
    #[error("opening the link: {0}")]
    WebSocket(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    #[error("signing the link")]
    Header,
    #[error("attaching the link: {0}")]
    Room(#[from] RoomError),
}

impl Dialler {
    /// Nothing is dialled yet.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, live: LiveLinks::default(), dials: Arc::new(Semaphore::new(DIALS)) }))
    }

    /// Checks a call and dials in the background; the answer only says whether it will.
    pub fn ask(&self, call: Call<'_>) -> Result<(), Refusal> {
        let dial = self.believe(call)?;
        let parts = &self.0.parts;
        if parts.lifecycle.is_draining() {
            return Err(Refusal::Draining);
        }
        let turn = self.0.dials.clone().try_acquire_owned().map_err(|_| Refusal::Overloaded)?;
        let span = tracing::info_span!(
            "link",
            room.id = %dial.room,
            region = dial.region,
            edge = dial.edge,
            request.id = call.request
        );
        let inner = self.0.clone();
        let work = async move {
            if let Err(error) = inner.dial(dial, turn).await {
                inner.parts.metrics.dial_failed();
                tracing::warn!(%error, "a dial has failed");
            }
        };
        parts.lifecycle.tracker().spawn(work.instrument(span));
        Ok(())
    }

    /// Verifies the signature first: whoever cannot sign learns nothing else.
    fn believe(&self, call: Call<'_>) -> Result<Dial, Refusal> {
        let Call { signature, edge, room, region, request: _ } = call;
        let Parts { keys, edges, any_loopback, .. } = &self.0.parts;
        let keys = keys.as_ref().ok_or(Refusal::BadSignature)?;
        let subject = Subject { verb: Verb::Dial, edge, room, region };
        let nonce = keys.verify(subject, signature, clock::now_ms()).map_err(|error| {
            tracing::info!(%error, room.id = room, "a dial was not accepted");
            Refusal::BadSignature
        })?;
        let base = base_of_edge(edge).ok_or_else(|| Refusal::UnknownEdge(edge.to_owned()))?;
        let is_local = *any_loopback && base.host().is_some_and(is_loopback);
        if !is_local && !edges.iter().any(|known| known == edge) {
            return Err(Refusal::UnknownEdge(edge.to_owned()));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if region.is_empty() || region.len() > REGION_CHARS || !region.chars().all(is_plain) {
            return Err(Refusal::NoSuchRoom(format!("{room}~{region}")));
        }
        let room = RoomId::parse(room).map_err(|_| Refusal::NoSuchRoom(room.to_owned()))?;
        Ok(Dial { edge: edge.to_owned(), room, region: region.to_owned(), nonce })
    }
}

impl Inner {
    async fn dial(&self, dial: Dial, turn: tokio::sync::OwnedSemaphorePermit) -> Result<(), DialError> {
        let deadline = Duration::from_millis(limits::DIAL_WAIT_MS);
        let link = timeout(deadline, self.open(&dial)).await.map_err(|_| DialError::Late)??;
        drop(turn);
        let place = self.live.take((dial.room.clone(), dial.region.clone()));
        tracing::info!("a link is up");
        self.parts.metrics.link_opened();
        let ended = socket::run(link, (&dial.room, &dial.region), &place, &self.parts).await;
        self.parts.metrics.link_closed();
        tracing::info!("a link has ended");
        Ok(ended?)
    }

    async fn open(&self, dial: &Dial) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, DialError> {
        let Dial { edge, room, region, nonce } = dial;
        // http becomes ws, https becomes wss.
        let address = format!("{}/internal/rooms/{room}/{region}", edge.replacen("http", "ws", 1));
        let mut request = address.into_client_request().map_err(Box::new)?;
        let subject = Subject { verb: Verb::Link, edge, room: room.as_str(), region };
        let keys = self.parts.keys.as_ref().ok_or(DialError::Header)?;
        let signature = keys.sign(subject, clock::now_ms(), nonce);
        let signature = HeaderValue::from_str(&signature).map_err(|_| DialError::Header)?;
        request.headers_mut().insert(header::AUTHORIZATION, signature);
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES));
        let (link, _) = connect_async_with_config(request, Some(config), true).await.map_err(Box::new)?;
        Ok(link)
    }
}

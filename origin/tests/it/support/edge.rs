//! An edge that is nothing but a listener: it asks to be dialled, and what its hub says is up to the test.

use std::net::SocketAddr;

use futures_util::SinkExt;
use origin::clock;
use serde_json::json;
use shared::{
    grant::{Grant, Member, Role},
    id::{ChannelId, SessionId},
    signature::{LinkKeys, Subject, Verb},
    wire::link::{HubMessage, encode_hub},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
    },
};

use super::{Answer, http};

/// The keys of links to it.
pub(crate) const LINK_KEYS: &str = "k1:a secret of the link";
const NONCE: &str = "0123456789abcdef";

/// The edge of one region.
pub(crate) struct Edge {
    pub(crate) listener: TcpListener,
    pub(crate) base: String,
    pub(crate) region: &'static str,
}

impl Edge {
    pub(crate) async fn open(region: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, base, region }
    }

    /// Asks an origin to dial.
    pub(crate) async fn ask(&self, origin: SocketAddr, keys: &str, room: &str) -> Answer {
        let keys = LinkKeys::parse(keys).unwrap();
        let subject = Subject { verb: Verb::Dial, edge: &self.base, room, region: self.region };
        let signature = keys.sign(subject, clock::now_ms(), NONCE);
        let headers = [("authorization", signature.as_str()), ("content-type", "application/json")];
        let body = json!({ "edge": self.base }).to_string();
        http::send(origin, "POST", &format!("/dial/{room}/{}", self.region), &headers, &body).await
    }

    /// Takes the link that the origin opens, after its signature was verified.
    pub(crate) async fn link(&self, room: &str) -> WebSocketStream<TcpStream> {
        let (stream, _) = self.listener.accept().await.unwrap();
        let subject = Subject { verb: Verb::Link, edge: &self.base, room, region: self.region };
        let keys = LinkKeys::parse(LINK_KEYS).unwrap();
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let verify = |request: &Request, response: Response| {
            assert_eq!(request.uri().path(), format!("/internal/rooms/{room}/{}", self.region));
            let signature = request.headers()["authorization"].to_str().unwrap();
            assert_eq!(keys.verify(subject, signature, clock::now_ms()).as_deref(), Ok(NONCE));
            Ok(response)
        };
        accept_hdr_async(stream, verify).await.unwrap()
    }

    /// What its hub says when an editor opens a file: hello and open.
    pub(crate) fn opens(&self, room: &str, name: &str, file: &str) -> (ChannelId, [HubMessage; 2]) {
        let channel = SessionId::from_random(1 << 20).channel(1);
        let member = Member { id: format!("id of {name}").into(), name: name.into() };
        let grant = Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() };
        let hello = HubMessage::Hello { hub: format!("{room}~{}", self.region), position: None };
        (channel, [hello, HubMessage::Open { channel, name: file.to_owned(), grant }])
    }

    /// A link over which an editor has opened a file.
    pub(crate) async fn member(
        &self,
        origin: SocketAddr,
        room: &str,
        name: &str,
    ) -> WebSocketStream<TcpStream> {
        assert_eq!(self.ask(origin, LINK_KEYS, room).await.status, 202);
        let mut link = self.link(room).await;
        let (_, messages) = self.opens(room, name, "a.txt");
        link.send(Message::Binary(encode_hub(&messages))).await.unwrap();
        link
    }
}

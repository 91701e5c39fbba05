//! Links: who may ask for one, and what the origin opens then.

use futures_util::{SinkExt, StreamExt};
use origin::clock;
use serde_json::json;
use shared::{
    close::CloseCode,
    grant::{Grant, Member, Role},
    id::SessionId,
    signature::{LinkKeys, Subject, Verb},
    wire::link::{HubMessage, OriginMessage, decode_origin, encode_hub},
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
    },
};

use crate::support::{Answer, PATIENCE, TestOrigin};

pub(crate) const KEYS: &str = "k1:a secret of the link";
const NONCE: &str = "0123456789abcdef";

/// The edge's end of a link.
pub(crate) type Link = WebSocketStream<TcpStream>;

/// An edge that is nothing but a listener.
pub(crate) struct Edge {
    listener: TcpListener,
    pub(crate) base: String,
}

impl Edge {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, base }
    }

    pub(crate) async fn ask(&self, origin: &TestOrigin, keys: &str, room: &str) -> Answer {
        let keys = LinkKeys::parse(keys).unwrap();
        let subject = Subject { verb: Verb::Dial, edge: &self.base, room, region: "weur" };
        let signature = keys.sign(subject, clock::now_ms(), NONCE);
        let headers = [("authorization", signature.as_str()), ("content-type", "application/json")];
        let body = json!({ "edge": self.base }).to_string();
        origin.send("POST", &format!("/dial/{room}/weur"), &headers, &body).await
    }

    /// Takes the link that the origin opens, after its signature was verified.
    pub(crate) async fn link(&self, room: &str) -> Link {
        let (stream, _) = self.listener.accept().await.unwrap();
        let subject = Subject { verb: Verb::Link, edge: &self.base, room, region: "weur" };
        let keys = LinkKeys::parse(KEYS).unwrap();
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let verify = |request: &Request, response: Response| {
            assert_eq!(request.uri().path(), format!("/internal/rooms/{room}/weur"));
            let signature = request.headers()["authorization"].to_str().unwrap();
            assert_eq!(keys.verify(subject, signature, clock::now_ms()).as_deref(), Ok(NONCE));
            Ok(response)
        };
        accept_hdr_async(stream, verify).await.unwrap()
    }
}

async fn with_keys() -> TestOrigin {
    TestOrigin::start(&["--link-keys", KEYS]).await
}

async fn closed_with(link: &mut WebSocketStream<TcpStream>) -> Option<u16> {
    while let Some(Ok(message)) = link.next().await {
        if let Message::Close(frame) = message {
            return frame.map(|frame| frame.code.into());
        }
    }
    None
}

#[tokio::test]
async fn a_hub_that_asks_is_dialled_and_served() {
    let (origin, edge) = (with_keys().await, Edge::open().await);
    let answer = edge.ask(&origin, KEYS, "demo").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let mut link = edge.link("demo").await;
    let channel = SessionId::from_random(1 << 20).channel(1);
    let member = Member { id: "m".into(), name: "Ada".into() };
    let grant = Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() };
    let hello = HubMessage::Hello { hub: "demo~weur".to_owned(), position: None };
    let open = HubMessage::Open { channel, name: "a.txt".to_owned(), grant };
    link.send(Message::Binary(encode_hub(&[hello, open, HubMessage::Ping]))).await.unwrap();
    let (mut opened, mut answered) = (false, false);
    while !(opened && answered) {
        let Some(Ok(message)) = link.next().await else { panic!("the link has ended") };
        let Message::Binary(frame) = message else { continue };
        for message in decode_origin(&frame).unwrap() {
            opened |= matches!(&message, OriginMessage::Opened { channel: known, .. } if *known == channel);
            answered |= message == OriginMessage::Pong;
        }
    }
    let room = origin.get("/api/v1/rooms/demo").await.json();
    assert_eq!(room["members"][0]["region"], "weur", "{room}");
    let (code, _) = tokio::join!(closed_with(&mut link), origin.stop());
    assert_eq!(code, Some(CloseCode::Restart.as_u16()));
}

#[tokio::test]
async fn a_new_link_of_a_hub_ends_the_old_one() {
    let (origin, edge) = (with_keys().await, Edge::open().await);
    edge.ask(&origin, KEYS, "demo").await;
    let mut first = edge.link("demo").await;
    edge.ask(&origin, KEYS, "demo").await;
    let second = edge.link("demo").await;
    assert_eq!(closed_with(&mut first).await, Some(CloseCode::Restart.as_u16()));
    drop(second);
    origin.stop().await;
}

#[tokio::test]
async fn a_frame_of_another_version_ends_the_link() {
    let (origin, edge) = (with_keys().await, Edge::open().await);
    edge.ask(&origin, KEYS, "demo").await;
    let mut link = edge.link("demo").await;
    link.send(Message::Binary(vec![250].into())).await.unwrap();
    assert_eq!(closed_with(&mut link).await, Some(CloseCode::BadFrame.as_u16()));
    origin.stop().await;
}

#[tokio::test]
async fn a_silent_edge_is_given_up() {
    let origin = TestOrigin::start(&["--link-keys", KEYS, "--link-ping-ms=30"]).await;
    let edge = Edge::open().await;
    edge.ask(&origin, KEYS, "demo").await;
    // Read past the WebSocket, the pings stay unanswered.
    let mut link = edge.link("demo").await;
    let mut said = Vec::new();
    timeout(PATIENCE, link.get_mut().read_to_end(&mut said)).await.unwrap().unwrap();
    // A ping of a client: two bytes of head, four of mask.
    let pings = said.chunks(6).take_while(|frame| frame.starts_with(&[0x89, 0x80])).count();
    assert!(pings >= 2, "{said:x?}");
    origin.stop().await;
}

#[tokio::test]
async fn whoever_is_not_believed_gets_401_and_nothing_else() {
    let (origin, edge) = (with_keys().await, Edge::open().await);
    let refused = edge.ask(&origin, "k1:another secret", "demo").await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "bad-signature"));
    assert_eq!(edge.ask(&origin, "k2:a secret of the link", "demo").await.status, 401);
    assert_eq!(origin.send("POST", "/dial/demo/weur", &[], "").await.status, 401);
    let keyless = TestOrigin::start(&[]).await;
    assert_eq!(edge.ask(&keyless, KEYS, "demo").await.status, 401);
    keyless.stop().await;
    origin.stop().await;
}

#[tokio::test]
async fn only_known_edges_and_possible_rooms_are_dialled() {
    let (origin, edge) = (with_keys().await, Edge::open().await);
    for base in
        ["https://edge.example", "http://127.0.0.1:1/path", "http://localhost.example", "ftp://127.0.0.1"]
    {
        let elsewhere = Edge { base: base.to_owned(), ..Edge::open().await };
        let refused = elsewhere.ask(&origin, KEYS, "demo").await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "unknown-edge"), "{base}");
    }
    assert_eq!(edge.ask(&origin, KEYS, "-no").await.code(), "no-such-room");
    origin.stop().await;
}

#[tokio::test]
async fn an_edge_behind_tls_that_does_not_answer_is_a_failed_dial() {
    let edge = Edge::open().await;
    let edge = Edge { base: edge.base.replace("http", "https"), listener: edge.listener };
    let origin = with_keys().await;
    assert_eq!(edge.ask(&origin, KEYS, "demo").await.status, 202);
    drop(edge.listener.accept().await.unwrap());
    origin.until_counted("edgeroom_dials_failed_total 1").await;
    origin.stop().await;
}

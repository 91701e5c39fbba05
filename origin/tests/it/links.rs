//! Links: who may ask for one, and what the origin opens then.

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use shared::{
    close::CloseCode,
    wire::link::{HubMessage, OriginMessage, decode_origin, encode_hub},
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::CloseFrame},
};

use crate::support::{Edge, LINK_KEYS as KEYS, PATIENCE, TestOrigin};

async fn with_keys() -> TestOrigin {
    TestOrigin::start(&["--link-keys", KEYS]).await
}

async fn closed_with(link: &mut WebSocketStream<TcpStream>) -> Option<u16> {
    goodbye(link).await.map(|(code, _)| code)
}

/// Code and reason of the close.
async fn goodbye(link: &mut WebSocketStream<TcpStream>) -> Option<(u16, String)> {
    while let Some(Ok(message)) = link.next().await {
        if let Message::Close(frame) = message {
            return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
        }
    }
    None
}

#[tokio::test]
async fn a_hub_that_asks_is_dialled_and_served() {
    let (origin, edge) = (with_keys().await, Edge::open("weur").await);
    let answer = edge.ask(origin.address, KEYS, "demo").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let mut link = edge.link("demo").await;
    let (channel, [hello, open]) = edge.opens("demo", "Ada", "a.txt");
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
async fn what_a_hub_says_of_itself_is_counted_while_its_link_is_up() {
    let (origin, edge) = (with_keys().await, Edge::open("weur").await);
    edge.ask(origin.address, KEYS, "demo").await;
    let mut link = edge.link("demo").await;
    let hello = HubMessage::Hello { hub: "demo~weur".to_owned(), position: None };
    let stats = |sessions: usize, changes: u64| {
        let json = json!({ "sessions": sessions, "outbox_bytes": 9, "counters": { "changes": changes } });
        HubMessage::Stats { json: json.to_string().into() }
    };
    let unreadable = HubMessage::Stats { json: "none".into() };
    let said = [hello, stats(3, 10), unreadable, stats(2, 5), HubMessage::Ping];
    link.send(Message::Binary(encode_hub(&said))).await.unwrap();
    until_metric(&origin, r#"edgeroom_hub_changes_total{region="weur"} 15"#).await;
    until_metric(&origin, r#"edgeroom_hub_sessions{region="weur"} 2"#).await;
    until_metric(&origin, r#"edgeroom_hub_outbox_bytes{region="weur"} 9"#).await;
    drop(link);
    until_metric(&origin, r#"edgeroom_hub_sessions{region="weur"} 0"#).await;
    until_metric(&origin, r#"edgeroom_hub_changes_total{region="weur"} 15"#).await;
    origin.stop().await;
}

async fn until_metric(origin: &TestOrigin, line: &str) {
    let shown = async {
        while !origin.get("/metrics").await.text.lines().any(|known| known == line) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, shown).await.unwrap_or_else(|_| panic!("no {line}"));
}

#[tokio::test]
async fn a_new_link_of_a_hub_ends_the_old_one() {
    let (origin, edge) = (with_keys().await, Edge::open("weur").await);
    edge.ask(origin.address, KEYS, "demo").await;
    let mut first = edge.link("demo").await;
    edge.ask(origin.address, KEYS, "demo").await;
    let second = edge.link("demo").await;
    assert_eq!(closed_with(&mut first).await, Some(CloseCode::Restart.as_u16()));
    drop(second);
    origin.stop().await;
}

#[tokio::test]
async fn a_frame_of_another_version_ends_the_link_and_the_edge_is_told_why() {
    let (origin, edge) = (with_keys().await, Edge::open("weur").await);
    edge.ask(origin.address, KEYS, "demo").await;
    let mut link = edge.link("demo").await;
    link.send(Message::Binary(vec![250].into())).await.unwrap();
    let reason = "the link speaks version 250, this side speaks 1".to_owned();
    assert_eq!(goodbye(&mut link).await, Some((CloseCode::BadFrame.as_u16(), reason)));
    origin.stop().await;
}

/// Reads to the end of the connection: code and reason of the close, unless it broke off.
async fn end_of(link: &mut WebSocketStream<TcpStream>) -> Option<(u16, String)> {
    let mut close = None;
    while let Some(message) = timeout(PATIENCE, link.next()).await.expect("nothing came") {
        match message {
            Ok(Message::Close(frame)) => {
                close = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
            Ok(_) => {}
            Err(error) => panic!("it broke off: {error}, after {close:?}"),
        }
    }
    close
}

#[tokio::test]
async fn the_close_of_an_edge_is_answered_before_the_link_ends() {
    let (origin, edge) = (with_keys().await, Edge::open("weur").await);
    for _ in 0..10 {
        edge.ask(origin.address, KEYS, "demo").await;
        let mut link = edge.link("demo").await;
        link.close(Some(CloseFrame { code: 1000.into(), reason: "idle".into() })).await.unwrap();
        assert_eq!(end_of(&mut link).await, Some((1000, "idle".to_owned())));
    }
    origin.stop().await;
}

#[tokio::test]
async fn an_edge_that_goes_on_talking_still_hears_why_its_link_ends() {
    let (origin, edge) = (with_keys().await, Edge::open("weur").await);
    for _ in 0..10 {
        edge.ask(origin.address, KEYS, "demo").await;
        let mut link = edge.link("demo").await;
        for _ in 0..50 {
            // It may be closed already.
            let _ = link.send(Message::Binary(vec![250; 8 << 10].into())).await;
        }
        assert_eq!(end_of(&mut link).await.map(|(code, _)| code), Some(CloseCode::BadFrame.as_u16()));
    }
    origin.stop().await;
}

#[tokio::test]
async fn a_message_of_an_unknown_kind_is_skipped_and_the_next_one_answered() {
    let (origin, edge) = (with_keys().await, Edge::open("weur").await);
    edge.ask(origin.address, KEYS, "demo").await;
    let mut link = edge.link("demo").await;
    let hello = HubMessage::Hello { hub: "demo~weur".to_owned(), position: None };
    let known = encode_hub(&[hello, HubMessage::Ping]);
    // Version, then a tag that nobody has given a meaning, with a body of three bytes.
    let frame = [&known[..1], &[200, 3, 1, 2, 3], &known[1..]].concat();
    link.send(Message::Binary(frame.into())).await.unwrap();
    let answered = async {
        loop {
            let Some(Ok(message)) = link.next().await else { panic!("the link has ended") };
            let Message::Binary(frame) = message else { continue };
            if decode_origin(&frame).unwrap().contains(&OriginMessage::Pong) {
                return;
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("an answer to what stands behind it");
    drop(link);
    origin.stop().await;
}

#[tokio::test]
async fn a_silent_edge_is_given_up() {
    let origin = TestOrigin::start(&["--link-keys", KEYS, "--link-ping-ms=30"]).await;
    let edge = Edge::open("weur").await;
    edge.ask(origin.address, KEYS, "demo").await;
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
    let (origin, edge) = (with_keys().await, Edge::open("weur").await);
    let refused = edge.ask(origin.address, "k1:another secret", "demo").await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "bad-signature"));
    assert_eq!(edge.ask(origin.address, "k2:a secret of the link", "demo").await.status, 401);
    assert_eq!(origin.send("POST", "/dial/demo/weur", &[], "").await.status, 401);
    let keyless = TestOrigin::start(&[]).await;
    assert_eq!(edge.ask(keyless.address, KEYS, "demo").await.status, 401);
    keyless.stop().await;
    origin.stop().await;
}

#[tokio::test]
async fn only_known_edges_and_possible_rooms_are_dialled() {
    let (origin, edge) = (with_keys().await, Edge::open("weur").await);
    for base in
        ["https://edge.example", "http://127.0.0.1:1/path", "http://localhost.example", "ftp://127.0.0.1"]
    {
        let elsewhere = Edge { base: base.to_owned(), ..Edge::open("weur").await };
        let refused = elsewhere.ask(origin.address, KEYS, "demo").await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "unknown-edge"), "{base}");
    }
    assert_eq!(edge.ask(origin.address, KEYS, "-no").await.code(), "no-such-room");
    origin.stop().await;
}

#[tokio::test]
async fn an_edge_behind_tls_that_does_not_answer_is_a_failed_dial() {
    let edge = Edge::open("weur").await;
    let edge = Edge { base: edge.base.replace("http", "https"), ..edge };
    let origin = with_keys().await;
    assert_eq!(edge.ask(origin.address, KEYS, "demo").await.status, 202);
    drop(edge.listener.accept().await.unwrap());
    origin.until_counted("edgeroom_dials_failed_total 1").await;
    origin.stop().await;
}

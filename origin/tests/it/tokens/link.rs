//! Links: what an edge has let in is looked at again.

use serde_json::json;
use shared::{
    grant::{Grant, Member, Role},
    id::{ChannelId, SessionId},
    wire::link::{HubMessage, OriginMessage, decode_origin, encode_hub},
};

use super::{bad_tokens, in_s, origin, token};
use crate::support::{Edge, LINK_KEYS, TestOrigin};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

type Link = WebSocketStream<TcpStream>;

async fn linked() -> (TestOrigin, Link) {
    let edge = Edge::open("weur").await;
    let origin = origin(&["--link-keys", LINK_KEYS, "--edge-urls", &edge.base]).await;
    assert_eq!(edge.ask(origin.address, LINK_KEYS, "demo").await.status, 202);
    let mut link = edge.link("demo").await;
    say(&mut link, HubMessage::Hello { hub: "demo~weur".to_owned(), position: None }).await;
    (origin, link)
}

async fn say(link: &mut Link, message: HubMessage) {
    link.send(Message::Binary(encode_hub(&[message]))).await.unwrap();
}

/// Asks for a document as a hub that claims an owner; `None` if it is opened, else why not.
async fn refused(link: &mut Link, channel: ChannelId) -> Option<(u16, String)> {
    let member = Member { id: "somebody".into(), name: "Somebody".into() };
    let grant = Grant { member, role: Role::Owner, expires: None, version: 0, rules: [].into() };
    say(link, HubMessage::Open { channel, name: ".room".to_owned(), grant }).await;
    loop {
        let Some(Ok(message)) = link.next().await else { panic!("the link has ended") };
        let Message::Binary(frame) = message else { continue };
        for message in decode_origin(&frame).unwrap() {
            match message {
                OriginMessage::Opened { channel: known, .. } if known == channel => return None,
                OriginMessage::Closed { channel: known, code, reason } if known == channel => {
                    return Some((code.as_u16(), reason));
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn what_an_edge_has_let_in_is_opened_with_the_rights_of_the_token() {
    let (origin, mut link) = linked().await;
    let session = SessionId::from_random(1 << 20);
    assert_eq!(refused(&mut link, session.channel(1)).await, Some((4401, "no-token".to_owned())));
    say(&mut link, HubMessage::Token { session, token: token(&json!({ "role": "viewer" })) }).await;
    assert_eq!(refused(&mut link, session.channel(1)).await, None);
    let report = origin.app.rooms.report(&shared::id::RoomId::parse("demo").unwrap()).await.unwrap().unwrap();
    let report = serde_json::to_value(report).unwrap();
    assert_eq!(
        (&report["members"][0]["id"], &report["members"][0]["role"]),
        (&json!("ann"), &json!("viewer"))
    );
    say(&mut link, HubMessage::Token { session, token: String::new() }).await;
    assert_eq!(refused(&mut link, session.channel(2)).await, Some((4401, "no-token".to_owned())));
    drop(link);
    origin.stop().await;
}

#[tokio::test]
async fn a_token_that_no_door_takes_opens_nothing_over_a_link() {
    let (origin, mut link) = linked().await;
    for (at, (bad, word, code)) in (1..).zip(bad_tokens()) {
        // The edge's clock may be behind: it has let this one in when it was good.
        let expected = (word != "token-expired").then(|| (code, word.to_owned()));
        let session = SessionId::from_random(at << 20);
        say(&mut link, HubMessage::Token { session, token: bad.clone() }).await;
        assert_eq!(refused(&mut link, session.channel(1)).await, expected, "{bad}");
    }
    let session = SessionId::from_random(99 << 20);
    say(&mut link, HubMessage::Token { session, token: token(&json!({ "exp": in_s(-31) })) }).await;
    assert_eq!(refused(&mut link, session.channel(1)).await, Some((4401, "token-expired".to_owned())));
    drop(link);
    origin.stop().await;
}

//! The origin's own sockets.

use serde_json::json;
use shared::{
    id::RoomId,
    wire::{
        hocuspocus::{ClientMessage, ServerMessage, read_server, write_client},
        yjs::{SyncMessage, YMessage, write_y},
    },
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::{bad_tokens, in_s, keys, only, origin, token, token_by};
use crate::support::{Client, TestOrigin};

fn room(origin: &TestOrigin, token: &str) -> String {
    format!("ws://{}/rooms/demo?token={token}", origin.address)
}

async fn say(client: &mut Client, key: &str, message: ClientMessage<'_>) {
    client.send_raw(Message::Binary(write_client(key, &message))).await;
}

async fn show(client: &mut Client, key: &str, token: &str) {
    say(client, key, ClientMessage::Token { token, version: Some("4.8.0") }).await;
}

/// Reads until the server says something of this kind.
async fn heard<T>(client: &mut Client, of: impl Fn(&str, &ServerMessage<'_>) -> Option<T>) -> T {
    loop {
        match client.next_raw().await {
            Some(Message::Binary(frame)) => {
                if let Ok((key, message)) = read_server(&frame)
                    && let Some(found) = of(key, &message)
                {
                    return found;
                }
            }
            Some(Message::Close(frame)) => panic!("closed: {frame:?}"),
            Some(_) => {}
            None => panic!("the socket has ended"),
        }
    }
}

async fn scope(client: &mut Client, name: &str) -> String {
    heard(client, |key, message| match message {
        ServerMessage::Authenticated { scope } if key == name => Some((*scope).to_owned()),
        _ => None,
    })
    .await
}

async fn denied(client: &mut Client) -> String {
    heard(client, |_, message| match message {
        ServerMessage::PermissionDenied { reason } => Some((*reason).to_owned()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_opens_the_room() {
    let origin = origin(&[]).await;
    for key in keys()["keys"].as_array().unwrap() {
        let mut ann = Client::connect(room(&origin, &token_by(&only(key), &json!({})))).await;
        ann.open("a.txt").await;
        ann.append("a.txt", "x").await;
        ann.saved("a.txt").await;
    }
    origin.stop().await;
}

#[tokio::test]
async fn a_token_travels_in_a_frame_in_the_query_or_beside_the_subprotocol() {
    let origin = origin(&[]).await;
    let good = token(&json!({ "role": "viewer" }));
    let mut framed = Client::connect(format!("ws://{}/rooms/demo", origin.address)).await;
    show(&mut framed, ".room", &good).await;
    let mut asked = Client::connect(room(&origin, &good)).await;
    show(&mut asked, ".room", "").await;
    let mut request = format!("ws://{}/rooms/demo", origin.address).into_client_request().unwrap();
    let offer = format!("edgeroom.v1, bearer.{good}");
    request.headers_mut().insert("sec-websocket-protocol", offer.parse().unwrap());
    let mut offered = Client::connect(request).await;
    show(&mut offered, ".room", "").await;
    for client in [&mut framed, &mut asked, &mut offered] {
        assert_eq!(scope(client, ".room").await, "readonly");
    }
    let report = origin.app.rooms.report(&RoomId::parse("demo").unwrap()).await.unwrap().unwrap();
    let report = serde_json::to_value(report).unwrap();
    assert_eq!(report["members"][0]["id"], "ann", "{report}");
    assert_eq!(
        (&report["members"][0]["name"], &report["members"][0]["role"]),
        (&json!("Ann"), &json!("viewer"))
    );
    drop((framed, asked, offered));
    origin.stop().await;
}

#[tokio::test]
async fn a_bad_token_in_a_frame_is_denied_with_its_reason_and_the_socket_stays() {
    let origin = origin(&[]).await;
    for (bad, word, _) in bad_tokens() {
        let mut client = Client::connect(format!("ws://{}/rooms/demo", origin.address)).await;
        show(&mut client, "a.txt", &bad).await;
        assert_eq!(denied(&mut client).await, word, "{bad}");
        show(&mut client, "a.txt", &token(&json!({}))).await;
        assert_eq!(scope(&mut client, "a.txt").await, "read-write");
    }
    origin.stop().await;
}

#[tokio::test]
async fn a_y_websocket_with_a_bad_token_is_closed_with_its_code() {
    let origin = origin(&[]).await;
    for (bad, word, code) in bad_tokens() {
        let client = Client::connect(format!("ws://{}/yjs/demo/a.txt?token={bad}", origin.address)).await;
        assert_eq!(client.closed_because().await, (code, word.to_owned()), "{bad}");
    }
    assert_eq!(
        origin.get("/metrics").await.text.matches("edgeroom_rooms_open 0").count(),
        1,
        "no room was opened"
    );
    origin.stop().await;
}

#[tokio::test]
async fn a_viewer_changes_nothing_and_is_told_so_as_its_client_understands() {
    let origin = origin(&[]).await;
    let mut ann = Client::connect(room(&origin, &token(&json!({})))).await;
    ann.open("a.txt").await;
    ann.append("a.txt", "kept").await;
    ann.saved("a.txt").await;

    let viewer = token(&json!({ "sub": "vic", "role": "viewer" }));
    // "no": a struct of client 9 under the root "content".
    let update = [1, 1, 9, 0, 4, 1, 7, b'c', b'o', b'n', b't', b'e', b'n', b't', 2, b'n', b'o', 0];
    let mut vic = Client::connect(room(&origin, &viewer)).await;
    show(&mut vic, "a.txt", "").await;
    assert_eq!(scope(&mut vic, "a.txt").await, "readonly");
    for change in [SyncMessage::Update(&update), SyncMessage::Step2(&update)] {
        say(&mut vic, "a.txt", ClientMessage::Sync(change)).await;
        let taken = heard(&mut vic, |_, message| match message {
            ServerMessage::SyncStatus(taken) => Some(*taken),
            _ => None,
        });
        assert!(!taken.await);
    }
    show(&mut vic, "new.txt", "").await;
    assert_eq!(denied(&mut vic).await, "no-file", "nor makes a file");

    for change in [SyncMessage::Update(&update), SyncMessage::Step2(&update)] {
        let plain = format!("ws://{}/yjs/demo/a.txt?token={viewer}", origin.address);
        let mut plain = Client::connect(plain).await;
        plain.send_raw(Message::Binary(write_y(&YMessage::Sync(change)))).await;
        assert_eq!(plain.closed_because().await, (4403, "read-only".to_owned()));
    }
    ann.append("a.txt", "!").await;
    ann.saved("a.txt").await;
    assert_eq!(ann.text("a.txt"), "kept!");
    drop((ann, vic));
    origin.stop().await;
}

#[tokio::test]
async fn rules_decide_by_path_where_a_member_writes_and_makes_files() {
    let origin = origin(&[]).await;
    let rules = json!([{ "paths": "notes/**", "role": "editor" }]);
    let mut ann = Client::connect(room(&origin, &token(&json!({ "role": "viewer", "rules": rules })))).await;
    ann.open("notes/a.txt").await;
    ann.append("notes/a.txt", "mine").await;
    ann.saved("notes/a.txt").await;
    show(&mut ann, "src/a.rs", "").await;
    assert_eq!(denied(&mut ann).await, "no-file");
    drop(ann);
    origin.stop().await;
}

#[tokio::test]
async fn a_rule_keeps_its_bearer_from_the_file_that_it_names_and_from_no_other() {
    let origin = origin(&[]).await;
    let mut ann = Client::connect(room(&origin, &token(&json!({})))).await;
    let names = ["pages/[id].tsx", "caf\u{e9}/menu.md", "\u{1f600}.md", "!secret.md"];
    for name in names {
        ann.open(name).await;
    }
    let rules: Vec<_> = ["pages/[id].tsx", "cafe\u{301}/**", "?.md", "!secret.md"]
        .map(|paths| json!({ "paths": paths, "role": "viewer" }))
        .into();
    let mut ben = Client::connect(room(&origin, &token(&json!({ "sub": "ben", "rules": rules })))).await;
    for name in names {
        show(&mut ben, name, "").await;
        assert_eq!(scope(&mut ben, name).await, "readonly");
    }
    for name in ["pages/i.tsx", "other.md"] {
        show(&mut ben, name, "").await;
        assert_eq!(scope(&mut ben, name).await, "read-write");
    }
    drop((ann, ben));
    origin.stop().await;
}

#[tokio::test]
async fn the_end_of_a_token_closes_with_4401_and_a_refreshed_one_prolongs() {
    let origin = origin(&[]).await;
    let short = || token(&json!({ "exp": in_s(2) }));
    let mut alone = Client::connect(format!("ws://{}/rooms/demo", origin.address)).await;
    show(&mut alone, ".room", &short()).await;
    let mut renewed = Client::connect(format!("ws://{}/rooms/demo", origin.address)).await;
    show(&mut renewed, ".room", &short()).await;
    scope(&mut renewed, ".room").await;
    let asked =
        |_: &str, message: &ServerMessage<'_>| (*message == ServerMessage::TokenRequest).then_some(());
    heard(&mut renewed, asked).await;
    show(&mut renewed, ".room", &token(&json!({ "role": "viewer" }))).await;
    assert_eq!(scope(&mut renewed, ".room").await, "readonly", "the new role applies");
    let role = |_: &str, message: &ServerMessage<'_>| match message {
        ServerMessage::Stateless(json) => json.contains(r#""type":"role""#).then(|| (*json).to_owned()),
        _ => None,
    };
    assert_eq!(heard(&mut renewed, role).await, r#"{"type":"role","role":"viewer"}"#);
    assert_eq!(alone.closed_because().await, (4401, "token-expired".to_owned()));
    show(&mut renewed, "none.txt", "").await;
    assert_eq!(denied(&mut renewed).await, "no-file", "it is still served, as a viewer");
    drop(renewed);
    origin.stop().await;
}

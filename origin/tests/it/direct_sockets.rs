//! The origin's own sockets, from the first frame to what REST and the archive say.

use futures_util::future::join_all;
use serde_json::json;
use shared::wire::{
    hocuspocus::{ClientMessage, write_client},
    yjs::{SyncMessage, YMessage, read_y, write_y},
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::CloseFrame},
};

use crate::support::{Client, TestOrigin};

#[tokio::test]
async fn an_edit_reaches_the_others_its_author_and_rest() {
    let origin = TestOrigin::start(&[]).await;
    let (mut ada, mut ben) = (origin.client("demo").await, origin.client("demo").await);
    ada.open("src/a.js").await;
    ben.open("src/a.js").await;
    ada.append("src/a.js", "hello").await;
    ada.saved("src/a.js").await;
    ben.until(|ben| ben.text("src/a.js") == "hello").await;
    let text = origin.get("/api/v1/shards/demo/files/src/a.js").await;
    assert_eq!((text.status, text.text.as_str()), (200, "hello"));
    let etag = text.header("etag").map(str::to_owned);
    let room = origin.get("/api/v1/rooms/demo").await.json();
    assert_eq!(room["members"].as_array().map(Vec::len), Some(2), "{room}");
    assert_eq!(room["members"][0]["name"], "Ada");
    assert_eq!(
        (&room["members"][0]["role"], &room["members"][0]["region"]),
        (&json!("editor"), &json!("direct"))
    );
    assert_eq!(room["files"][0]["path"], "src/a.js");
    ben.append("src/a.js", "!").await;
    ben.saved("src/a.js").await;
    ada.until(|ada| ada.text("src/a.js") == "hello!").await;
    let again = origin.get("/api/v1/shards/demo/files/src/a.js").await;
    assert_ne!(again.header("etag").map(str::to_owned), etag);
    let metrics = origin.get("/metrics").await.text;
    assert!(
        metrics.contains("edgeroom_sessions 2") && metrics.contains("edgeroom_backfills_total 0"),
        "{metrics}"
    );
    drop((ada, ben));
    origin.stop().await;
}

#[tokio::test]
async fn what_was_typed_is_in_the_archive_soon_after() {
    let origin = TestOrigin::start(&[]).await;
    let mut ada = origin.client("demo").await;
    ada.open("a.txt").await;
    ada.append("a.txt", "kept").await;
    origin.until_stored("/api/v1/shards/demo/files/a.txt", "kept").await;
    drop(ada);
    origin.stop().await;
}

#[tokio::test]
async fn a_shard_made_over_rest_is_what_its_members_see() {
    let origin = TestOrigin::start(&["--create-on-open=0"]).await;
    origin
        .post("/api/v1/shards", &json!({ "id": "made", "files": [{ "path": "a.txt", "text": "a\r\nb" }] }))
        .await;
    let mut ada = origin.client("made").await;
    ada.open("a.txt").await;
    assert_eq!(ada.text("a.txt"), "a\nb");
    let live = origin.get("/api/v1/shards/made/files/a.txt?eol=original").await;
    assert_eq!(live.text, "a\r\nb");
    drop(ada);
    origin.stop().await;
}

#[tokio::test]
async fn a_deleted_shard_closes_its_members_for_good() {
    let origin = TestOrigin::start(&[]).await;
    let mut ada = origin.client("demo").await;
    ada.open("a.txt").await;
    assert_eq!(origin.send("DELETE", "/api/v1/shards/demo", &[], "").await.status, 204);
    assert_eq!(ada.closed().await, 4410);
    origin.stop().await;
}

#[tokio::test]
async fn a_y_websocket_client_shares_the_file_with_the_others() {
    let origin = TestOrigin::start(&[]).await;
    let mut ada = origin.client("demo").await;
    ada.open("src/a.js").await;
    ada.append("src/a.js", "hello").await;
    ada.saved("src/a.js").await;
    let mut plain = Client::connect(format!("ws://{}/yjs/demo/src/a.js", origin.address)).await;
    plain.send_raw(Message::Binary(write_y(&YMessage::Sync(SyncMessage::Step1(&[0]))))).await;
    let update = loop {
        let Some(Message::Binary(frame)) = plain.next_raw().await else { panic!("closed") };
        if let Ok(YMessage::Sync(SyncMessage::Step2(update))) = read_y(&frame) {
            break update.to_vec();
        }
    };
    assert_eq!(origin::project::text::text_of(&update).as_deref(), Ok("hello"));
    drop((ada, plain));
    origin.stop().await;
}

#[tokio::test]
async fn what_cannot_be_a_room_is_closed_with_a_reason() {
    let origin = TestOrigin::start(&[]).await;
    assert_eq!(origin.client("-no").await.closed().await, 4404);
    let mut garbage = origin.client("demo").await;
    garbage.send_raw(Message::Binary(vec![255; 8].into())).await;
    assert_eq!(garbage.closed().await, 4400);
    origin.stop().await;
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_gets_no_socket() {
    let origin = TestOrigin::start(&["--allowed-origins=http://app.example"]).await;
    let from = |page: &'static str| {
        let mut request = format!("ws://{}/rooms/demo", origin.address).into_client_request().unwrap();
        request.headers_mut().insert("origin", page.parse().unwrap());
        request
    };
    assert!(connect_async(from("http://app.example")).await.is_ok());
    let refused = connect_async(from("http://evil.example")).await;
    assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 403));
    origin.stop().await;
}

#[tokio::test]
async fn a_client_that_offers_a_subprotocol_gets_it() {
    let origin = TestOrigin::start(&[]).await;
    let mut request = format!("ws://{}/rooms/demo", origin.address).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "edgeroom.v1, bearer.x".parse().unwrap());
    let (socket, answer) = connect_async(request).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "edgeroom.v1");
    drop(socket);
    origin.stop().await;
}

#[tokio::test]
async fn a_shutdown_tells_members_to_come_back() {
    let origin = TestOrigin::start(&[]).await;
    let mut ada = origin.client("demo").await;
    ada.open("a.txt").await;
    let (code, _) = tokio::join!(ada.closed(), origin.stop());
    assert_eq!(code, 4503);
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_closed_and_the_others_go_on() {
    let origin = TestOrigin::start(&[]).await;
    let (mut ada, mut frozen) = (origin.client("demo").await, origin.client("demo").await);
    let files = ["a", "b", "c"];
    for file in files {
        ada.open(file).await;
        frozen.open(file).await;
    }
    for file in files {
        for _ in 0..7 {
            ada.append(file, &"x".repeat(900 << 10)).await;
        }
        ada.saved(file).await;
    }
    origin.until_counted("edgeroom_slow_consumers_total 1").await;
    ada.append("a", "!").await;
    ada.saved("a").await;
    drop((ada, frozen));
    origin.stop().await;
}

/// Reads to the end of the connection: the close that came, unless the connection broke off without one.
async fn end_of(client: &mut Client) -> Option<Option<u16>> {
    let mut close = None;
    while let Some(message) = client.next().await {
        match message {
            Ok(Message::Close(frame)) => close = Some(frame.map(|frame| frame.code.into())),
            Ok(_) => {}
            Err(error) => panic!("it broke off: {error}, after {close:?}"),
        }
    }
    close
}

fn close_with(code: Option<u16>) -> Message {
    Message::Close(code.map(|code| CloseFrame { code: code.into(), reason: "".into() }))
}

#[tokio::test]
async fn the_close_of_a_client_is_answered_before_the_connection_ends() {
    let origin = TestOrigin::start(&[]).await;
    for code in [Some(1000), Some(4321), None] {
        for round in 0..10 {
            let mut ada = origin.client("demo").await;
            if round % 2 == 0 {
                ada.open("a.txt").await;
            }
            ada.send_raw(close_with(code)).await;
            assert_eq!(end_of(&mut ada).await, Some(code), "round {round}");
        }
    }
    origin.stop().await;
}

#[tokio::test]
async fn what_is_half_written_when_a_client_closes_is_finished_first() {
    let origin = TestOrigin::start(&[]).await;
    let (mut ada, mut ben) = (origin.client("demo").await, origin.client("demo").await);
    for file in ["a", "b", "c"] {
        ada.open(file).await;
        ben.open(file).await;
    }
    for file in ["a", "b", "c"] {
        ada.append(file, &"x".repeat(900 << 10)).await;
        ada.saved(file).await;
    }
    // More than the system takes lies there unread.
    ben.send_raw(close_with(Some(1000))).await;
    assert_eq!(end_of(&mut ben).await, Some(Some(1000)));
    drop(ada);
    origin.stop().await;
}

#[tokio::test]
async fn who_goes_on_talking_still_hears_why_it_is_closed() {
    let origin = TestOrigin::start(&[]).await;
    for (room, code) in [("-no", 4404), ("demo", 4400)] {
        for _ in 0..10 {
            let mut client = origin.client(room).await;
            for _ in 0..50 {
                // It may be closed already.
                let _ = client.try_send(Message::Binary(vec![255; 8 << 10].into())).await;
            }
            assert_eq!(end_of(&mut client).await, Some(Some(code)));
        }
    }
    origin.stop().await;
}

#[tokio::test]
async fn members_who_type_while_the_origin_drains_are_told_to_come_back() {
    let origin = TestOrigin::start(&[]).await;
    let mut members = Vec::new();
    for _ in 0..20 {
        let mut member = origin.client("demo").await;
        member.open("a.txt").await;
        members.push(member);
    }
    let types_to_the_end = async |mut member: Client| {
        let question = write_client("a.txt", &ClientMessage::Sync(SyncMessage::Step1(&[0])));
        loop {
            // Nothing more can be sent once the close is read.
            if member.try_send(Message::Binary(question.clone())).await.is_err() {
                return end_of(&mut member).await;
            }
            if let Some(Message::Close(frame)) = member.next_raw().await {
                let end = end_of(&mut member).await;
                assert_eq!(end, None, "a second close");
                return Some(frame.map(|frame| frame.code.into()));
            }
        }
    };
    let typing = join_all(members.into_iter().map(types_to_the_end));
    let (ends, _) = tokio::join!(typing, origin.stop());
    assert!(ends.iter().all(|end| *end == Some(Some(4503))), "{ends:?}");
}

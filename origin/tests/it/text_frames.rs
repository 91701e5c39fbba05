//! Text frames at the origins' own sockets, with the rooms in Redis: a change is known by any origin.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    room_store_contract::setup::any_room,
    support::{
        Client, TestOrigin,
        redis::{Redis, with_user},
    },
};

const FILE: &str = "a.txt";

async fn say(client: &mut Client, frame: Value) {
    client.send_raw(Message::text(frame.to_string())).await;
}

/// Reads until a frame of this type comes.
async fn next(client: &mut Client, kind: &str) -> Value {
    loop {
        match client.next_raw().await.expect("the socket stays") {
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                if frame["type"] == kind {
                    return frame;
                }
            }
            Message::Binary(_) => panic!("a client of text frames gets text"),
            Message::Close(why) => panic!("closed: {why:?}"),
            _ => {}
        }
    }
}

async fn opened(origin: &TestOrigin, room: &str) -> (Client, Value) {
    let mut client = origin.client(room).await;
    say(&mut client, json!({ "type": "open", "file": FILE })).await;
    let text = next(&mut client, "text").await;
    (client, text)
}

#[tokio::test]
async fn a_text_client_that_comes_back_at_another_origin_is_known_by_its_position() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let redis_url = format!("--redis-url={}", with_user(&redis.url()).await);
    let data_dir = format!("--data-dir={}", folder.path().display());
    let one = TestOrigin::start(&[&redis_url, &data_dir]).await;
    let other = TestOrigin::start(&[&redis_url, &data_dir]).await;
    let room = any_room();
    let mut yjs = other.client(room.as_str()).await;
    yjs.open(FILE).await;
    yjs.append(FILE, "yjs\n").await;
    yjs.saved(FILE).await;

    let (mut plain, text) = opened(&one, room.as_str()).await;
    assert_eq!(text["text"], "yjs\n");
    let position = text["position"].clone();
    let edits = json!([{ "at": 4, "insert": "typed once\n" }]);
    say(&mut plain, json!({ "type": "edit", "file": FILE, "position": position, "edits": edits })).await;
    next(&mut plain, "logged").await;
    // As if that answer had not come: it says at the other origin what it had and what it has.
    drop(plain);
    yjs.until(|yjs| yjs.text(FILE) == "yjs\ntyped once\n").await;
    yjs.append(FILE, "more\n").await;
    yjs.saved(FILE).await;
    let (mut plain, _) = opened(&other, room.as_str()).await;
    let whole = "yjs\ntyped once\nand this\n";
    say(&mut plain, json!({ "type": "code-change", "file": FILE, "position": position, "text": whole }))
        .await;
    next(&mut plain, "logged").await;
    next(&mut plain, "edit").await;
    yjs.until(|yjs| yjs.text(FILE).contains("and this\n")).await;
    let mut lines: Vec<String> = yjs.text(FILE).lines().map(str::to_owned).collect();
    assert_eq!(&lines[..2], ["yjs", "typed once"]);
    lines.sort();
    assert_eq!(lines, ["and this", "more", "typed once", "yjs"]);
    let stored = one.get(&format!("/api/v1/shards/{room}/files/{FILE}")).await;
    assert_eq!(stored.text, yjs.text(FILE));
    drop((plain, yjs));
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_position_from_before_a_flush_still_counts_while_somebody_has_it() {
    let origin = TestOrigin::start(&["--flush-delay-ms=50"]).await;
    let mut yjs = origin.client("demo").await;
    yjs.open(FILE).await;
    yjs.append(FILE, "one\n").await;
    yjs.saved(FILE).await;
    let (mut plain, text) = opened(&origin, "demo").await;
    yjs.append(FILE, "two\n").await;
    origin.until_stored(&format!("/api/v1/shards/demo/files/{FILE}"), "one\ntwo\n").await;
    let (position, whole) = (text["position"].clone(), "zero\none\n");
    say(&mut plain, json!({ "type": "code-change", "file": FILE, "position": position, "text": whole }))
        .await;
    next(&mut plain, "logged").await;
    yjs.until(|yjs| yjs.text(FILE) == "zero\none\ntwo\n").await;
    drop((plain, yjs));
    origin.stop().await;
}

//! What lasts over the failure of Redis, MongoDB and every origin: timestamps that rise, and whole rooms.

use serde_json::json;
use shared::{
    id::RoomId,
    wire::{
        hocuspocus::{ClientMessage, write_client},
        yjs::SyncMessage,
    },
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    room_store_contract::setup::any_room,
    support::{
        Client, TestOrigin, mongo,
        proxy::Harm,
        redis::{Redis, until},
    },
};

async fn origin(redis: &Redis, mongo: &str) -> TestOrigin {
    // Without a user, which a restart would forget.
    let redis = format!("--redis-url={}", redis.url());
    TestOrigin::start(&[&redis, &format!("--mongodb-url={mongo}"), "--redis-deadline-ms=1000"]).await
}

/// The timestamps of the room and of its one file, as Redis has them.
async fn timestamps(redis: &Redis, room: &RoomId) -> (u64, u64) {
    let of_room = redis.ask(&["HGET", &format!("c:{{{room}}}:m"), "t"]).await;
    let of_files: Vec<(String, u64)> =
        redis.ask(&["ZRANGE", &format!("c:{{{room}}}:f"), "0", "-1", "WITHSCORES"]).await;
    (of_room, of_files.iter().map(|(_, ts)| *ts).max().unwrap())
}

#[tokio::test]
async fn timestamps_of_a_room_rise_over_restarts_of_everything_also_where_a_clock_was_ahead() {
    let mut redis = Redis::start(&[]).await;
    let first = origin(&redis, &mongo::address()).await;
    let room = any_room();
    let path = format!("/api/v1/shards/{room}/files/a.txt");
    let mut last = 0;
    let types = async |client: &mut Client, redis: &Redis, text: &str, last: &mut u64| {
        client.append("a.txt", text).await;
        client.saved("a.txt").await;
        let (of_room, of_file) = timestamps(redis, &room).await;
        assert!(of_file > *last && of_room >= of_file, "{text}: {of_file} after {last}");
        *last = of_file;
    };
    let mut ada = first.client(room.as_str()).await;
    ada.open("a.txt").await;
    types(&mut ada, &redis, "1", &mut last).await;
    // As if the clock of an earlier server had been an hour ahead.
    let ahead = (last + 3_600_000_000).to_string();
    redis.ask::<u64>(&["HSET", &format!("c:{{{room}}}:m"), "t", &ahead]).await;
    types(&mut ada, &redis, "2", &mut last).await;
    assert!(last > ahead.parse().unwrap());
    redis.crash().await;
    types(&mut ada, &redis, "3", &mut last).await;
    first.until_stored(&path, "123").await;
    redis.ask::<String>(&["FLUSHALL"]).await;
    types(&mut ada, &redis, "4", &mut last).await;
    drop(ada);
    let gone = async || redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:*")]).await.is_empty();
    until(gone).await;
    first.stop().await;

    redis.crash().await;
    redis.ask::<String>(&["FLUSHALL"]).await;
    let second = origin(&redis, &mongo::address()).await;
    let mut ada = second.client(room.as_str()).await;
    ada.open("a.txt").await;
    types(&mut ada, &redis, "5", &mut last).await;
    assert_eq!(ada.text("a.txt"), "12345");
    drop(ada);
    second.until_stored(&path, "12345").await;
    second.stop().await;
}

/// Asks for a file whose room cannot be loaded: the code with which the socket is closed.
async fn refused(origin: &TestOrigin, room: &RoomId) -> u16 {
    let mut client = origin.client(room.as_str()).await;
    let token = ClientMessage::Token { token: "", version: Some("4.8.0") };
    for message in [token, ClientMessage::Sync(SyncMessage::Step1(&[0]))] {
        client.send_raw(Message::Binary(write_client("f0.txt", &message))).await;
    }
    client.closed().await
}

#[tokio::test]
async fn a_load_that_fails_or_breaks_off_anywhere_never_becomes_an_empty_room_or_a_part_of_one() {
    let redis = Redis::start(&[]).await;
    let (proxy, address) = mongo::proxied().await;
    let origin = origin(&redis, secrecy::ExposeSecret::expose_secret(&address)).await;
    let room = any_room();
    let text = |n: usize| format!("{n}").repeat(40_000);
    let files: Vec<_> = (0..8).map(|n| json!({ "path": format!("f{n}.txt"), "text": text(n) })).collect();
    let made = origin.post("/api/v1/shards", &json!({ "id": room, "files": files })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let state = async || redis.ask::<Option<String>>(&["HGET", &format!("c:{{{room}}}:m"), "st"]).await;

    for harm in [Harm::Cut, Harm::CutAfter(50), Harm::CutAfter(5_000), Harm::CutAfter(200_000)] {
        proxy.harm_all(harm);
        assert_eq!(refused(&origin, &room).await, 4500, "{harm:?}");
        assert_ne!(state().await.as_deref(), Some("R"), "{harm:?}");
        proxy.harm_all(Harm::None);
        proxy.harm_those_here(Harm::Cut);
    }
    let mut ada = origin.client(room.as_str()).await;
    until(async || origin.app.archive.find_by_id(&room).await.is_ok()).await;
    for n in 0..8 {
        let name = format!("f{n}.txt");
        ada.open(&name).await;
        assert_eq!(ada.text(&name), text(n));
    }
    let names: Vec<String> = redis.ask(&["HKEYS", &format!("c:{{{room}}}:n")]).await;
    assert_eq!(names.len(), 8, "{names:?}");
    drop(ada);
    origin.stop().await;
}

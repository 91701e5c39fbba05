//! Redis is emptied: what was acknowledged and not stored returns from the origins, without a client and without a
//! hub, and no matter for how long a file has not been open.

use std::time::Duration;

use origin::{
    config::Role,
    store::{RoomLog, RoomStore},
};
use redis::Value;
use secrecy::ExposeSecret;
use serde_json::json;
use shared::id::RoomId;

use super::{logged_text, until_left};
use crate::{
    room_store_contract::setup::any_room,
    support::{
        TestOrigin, mongo,
        proxy::Harm,
        redis::{Redis, open, until, with_user},
    },
};

/// Origins that flush nothing, on one archive.
async fn origins<const N: usize>(redis: &Redis, folder: &tempfile::TempDir) -> [TestOrigin; N] {
    let url = format!("--redis-url={}", with_user(&redis.url()).await);
    let data_dir = format!("--data-dir={}", folder.path().display());
    let mut origins = Vec::new();
    for _ in 0..N {
        origins.push(TestOrigin::start_as(Role::Serve, &[&url, &data_dir, "--lease-ms=1500"]).await);
    }
    origins.try_into().ok().unwrap()
}

async fn empty(redis: &Redis) {
    redis.ask::<Value>(&["FLUSHALL"]).await;
}

async fn until_logged(store: &dyn RoomStore, room: &RoomId, path: &str, text: &str) {
    until(async || logged_text(store, room, path).await.as_deref() == Some(text)).await;
}

#[tokio::test]
async fn what_nobody_has_stored_returns_after_everybody_has_gone_with_new_files_and_those_long_closed() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let [origin] = origins(&redis, &folder).await;
    let room = any_room();
    let files = json!([{ "path": "a.txt", "text": "stored, " }, { "path": "b.txt", "text": "untouched" }]);
    let made = origin.post("/api/v1/shards", &json!({ "id": room, "files": files })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "typed").await;
    ada.saved("a.txt").await;
    drop(ada);
    let mut ben = origin.client(room.as_str()).await;
    ben.open("new/c.txt").await;
    ben.open("empty.txt").await;
    for word in ["of ", "a ", "new ", "file"] {
        ben.append("new/c.txt", word).await;
    }
    ben.saved("new/c.txt").await;
    ben.saved("empty.txt").await;
    drop(ben);
    until_left(&redis, &room).await;
    let store = open(&redis.url()).store;
    let (before, epoch) = (store.names(&room).await.unwrap(), store.dirty(&room).await.unwrap().epoch);

    empty(&redis).await;
    until_logged(&*store, &room, "a.txt", "stored, typed").await;
    until_logged(&*store, &room, "new/c.txt", "of a new file").await;
    until(async || store.names(&room).await.unwrap().len() == before.len()).await;
    let mut after = store.names(&room).await.unwrap();
    after.sort();
    let mut before = before;
    before.sort();
    assert_eq!(after, before, "with their ids");
    let dirty = store.dirty(&room).await.unwrap();
    assert!(dirty.epoch > epoch);
    assert_eq!(dirty.files.len(), 3, "what was stored is not given back: {dirty:?}");
    until_left(&redis, &room).await;

    // And again, from what was given back.
    empty(&redis).await;
    until_logged(&*store, &room, "new/c.txt", "of a new file").await;
    let flushing = with_user(&redis.url()).await;
    let data_dir = format!("--data-dir={}", folder.path().display());
    let flags = [&format!("--redis-url={flushing}"), &data_dir, "--sweep-ms=50"];
    let flushing = TestOrigin::start_as(Role::Flush, &flags).await;
    for (path, text) in [("a.txt", "stored, typed"), ("new/c.txt", "of a new file"), ("empty.txt", "")] {
        origin.until_stored(&format!("/api/v1/shards/{room}/files/{path}"), text).await;
    }
    until(async || redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:*")]).await.is_empty()).await;
    flushing.stop().await;
    // Nothing is kept of what is stored: the room has ended here too.
    until(async || origin.app.rooms.count() == 0).await;
    origin.stop().await;
}

#[tokio::test]
async fn an_origin_whose_members_have_gone_keeps_what_they_typed_though_others_have_the_room_open() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let [first, second] = origins(&redis, &folder).await;
    let room = any_room();
    let mut ada = first.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "before ben came").await;
    ada.saved("a.txt").await;
    let mut ben = second.client(room.as_str()).await;
    ben.open("b.txt").await;
    ben.append("b.txt", "something else").await;
    ben.saved("b.txt").await;
    drop(ada);
    let leases = format!("c:{{{room}}}:p");
    until(async || redis.ask::<u64>(&["ZCARD", &leases]).await == 1).await;

    empty(&redis).await;
    let store = open(&redis.url()).store;
    until_logged(&*store, &room, "a.txt", "before ben came").await;
    until_logged(&*store, &room, "b.txt", "something else").await;
    drop(ben);
    until_left(&redis, &room).await;
    assert_eq!(logged_text(&*store, &room, "a.txt").await.as_deref(), Some("before ben came"));
    assert_eq!(logged_text(&*store, &room, "b.txt").await.as_deref(), Some("something else"));
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn what_both_origins_give_back_at_once_is_there_once() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let [first, second] = origins(&redis, &folder).await;
    let room = any_room();
    let (mut ada, mut ben) = (first.client(room.as_str()).await, second.client(room.as_str()).await);
    ada.open("a.txt").await;
    ben.open("a.txt").await;
    for round in 0..20 {
        ada.append("a.txt", &format!("a{round} ")).await;
        ben.append("a.txt", &format!("b{round} ")).await;
    }
    ada.saved("a.txt").await;
    ben.saved("a.txt").await;
    let all = |text: &str| text.split_whitespace().count() == 40;
    ada.until(|ada| all(&ada.text("a.txt"))).await;
    ben.until(|ben| all(&ben.text("a.txt"))).await;
    let text = ada.text("a.txt");
    drop((ada, ben));
    until_left(&redis, &room).await;
    let store = open(&redis.url()).store;
    for _ in 0..3 {
        empty(&redis).await;
        until_logged(&*store, &room, "a.txt", &text).await;
        until_left(&redis, &room).await;
        assert_eq!(store.names(&room).await.unwrap().len(), 1);
        assert_eq!(logged_text(&*store, &room, "a.txt").await.as_ref(), Some(&text));
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn what_was_typed_while_the_archive_was_away_survives_an_emptied_redis() {
    let redis = Redis::start(&[]).await;
    let (proxy, address) = mongo::proxied().await;
    let redis_url = format!("--redis-url={}", with_user(&redis.url()).await);
    let flags = [&redis_url, &format!("--mongodb-url={}", address.expose_secret()), "--flush-backoff-ms=100"];
    let origin = TestOrigin::start(&[&flags[..], &["--flush-attempts=20"]].concat()).await;
    let room = any_room();
    let path = format!("/api/v1/shards/{room}/files/a.txt");
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "stored, ").await;
    ada.saved("a.txt").await;
    origin.until_stored(&path, "stored, ").await;
    proxy.harm_all(Harm::Cut);
    ada.append("a.txt", "logged").await;
    ada.saved("a.txt").await;
    drop(ada);
    until_left(&redis, &room).await;
    empty(&redis).await;
    // It cannot be populated for a while.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    proxy.harm_all(Harm::None);
    origin.until_stored(&path, "stored, logged").await;
    until(async || redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:*")]).await.is_empty()).await;
    origin.stop().await;
}

#[tokio::test]
async fn nothing_of_a_deleted_shard_returns() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let [origin] = origins(&redis, &folder).await;
    let room = any_room();
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "typed").await;
    ada.saved("a.txt").await;
    drop(ada);
    until_left(&redis, &room).await;
    let shard = format!("/api/v1/shards/{room}");
    assert_eq!(origin.send("DELETE", &shard, &[], "").await.status, 204);
    until(async || origin.app.rooms.count() == 0).await;
    empty(&redis).await;
    assert_eq!(origin.get(&shard).await.status, 404);
    assert_eq!(redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:*")]).await, Vec::<String>::new());
    origin.stop().await;
}

//! The archive is away for long and a log was compacted in Redis: the new base is as unflushed as the log was.

use origin::config::Role;
use redis::Value;
use secrecy::ExposeSecret;

use super::until_left;
use crate::{
    room_store_contract::setup::any_room,
    support::{
        TestOrigin, mongo,
        proxy::Harm,
        redis::{Redis, until, with_user},
    },
};

#[tokio::test]
async fn what_was_compacted_and_not_stored_returns_from_an_origin_that_has_only_read_it() {
    let redis = Redis::start(&[]).await;
    let (proxy, address) = mongo::proxied().await;
    let redis_url = format!("--redis-url={}", with_user(&redis.url()).await);
    let mongodb_url = format!("--mongodb-url={}", address.expose_secret());
    let flags = [&redis_url, &mongodb_url, "--sweep-ms=100", "--flush-attempts=2", "--flush-backoff-ms=50"];
    let flushing = TestOrigin::start_as(Role::Flush, &[&flags[..], &["--flush-limit=1000"]].concat()).await;
    let first = TestOrigin::start_as(Role::Serve, &flags).await;
    let second = TestOrigin::start_as(Role::Serve, &flags).await;
    let room = any_room();
    let path = format!("/api/v1/shards/{room}/files/a.txt");
    let mut ada = first.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "stored, ").await;
    ada.saved("a.txt").await;
    first.until_stored(&path, "stored, ").await;

    proxy.harm_all(Harm::Refuse);
    let piece = "x".repeat(600 << 10);
    for _ in 0..4 {
        ada.append("a.txt", &piece).await;
        ada.erase("a.txt").await;
        ada.saved("a.txt").await;
    }
    ada.append("a.txt", "compacted").await;
    ada.saved("a.txt").await;
    let keys = redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:b:*")]).await;
    let [base] = &keys[..] else { panic!("{keys:?}") };
    until(async || redis.ask::<bool>(&["HEXISTS", base, "a"]).await).await;
    let report = first.get(&format!("/api/v1/rooms/{room}")).await.json();
    let [file] = &report["files"].as_array().unwrap()[..] else { panic!("{report}") };
    assert!(file["stored"].as_u64() < file["logged"].as_u64() && file["dirty"] == true, "{file}");

    // Who has typed it all is gone, and who comes has nothing but what is read from Redis.
    let mut ben = second.client(room.as_str()).await;
    ben.open("a.txt").await;
    assert_eq!(ben.text("a.txt"), "compacted");
    drop(ada);
    first.stop().await;
    drop(ben);
    until_left(&redis, &room).await;

    redis.ask::<Value>(&["FLUSHALL"]).await;
    proxy.harm_all(Harm::None);
    second.until_stored(&path, "compacted").await;
    until(async || redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:*")]).await.is_empty()).await;
    flushing.stop().await;
    second.stop().await;
}

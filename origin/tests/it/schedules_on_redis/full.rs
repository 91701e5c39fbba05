//! Redis is full and evicts nothing: its own cure must not need room.

use redis::Value;

use super::{fill, make_room};
use crate::{
    room_store_contract::setup::any_room,
    support::{
        TestOrigin,
        redis::{Redis, until, with_user},
    },
};

#[tokio::test]
async fn a_room_on_a_full_redis_keeps_its_lease_is_flushed_which_makes_room_and_goes_on() {
    let redis = Redis::start(&[]).await;
    let url = format!("--redis-url={}", with_user(&redis.url()).await);
    // Flushed when the test says so.
    let flags = [url.as_str(), "--flush-delay-ms=600000", "--lease-ms=600"];
    let origin = TestOrigin::start(&flags).await;
    let room = any_room();
    let mut ada = origin.client(room.as_str()).await;
    ada.open(".room").await;
    ada.open("a.txt").await;
    for _ in 0..20 {
        // A log of megabytes whose outcome is small.
        ada.append("a.txt", &"x".repeat(200 << 10)).await;
        ada.erase("a.txt").await;
    }
    ada.append("a.txt", "what is left").await;
    ada.saved("a.txt").await;
    let used = async || {
        let memory: String = redis.ask(&["INFO", "memory"]).await;
        memory
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"))
            .unwrap()
            .trim()
            .parse::<u64>()
            .unwrap()
    };
    let log = async || redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:l:f_*")]).await;
    assert_eq!(log().await.len(), 1);
    redis.ask::<Value>(&["CONFIG", "SET", "maxmemory", &(used().await - (1 << 20)).to_string()]).await;

    ada.append("a.txt", ", and more").await;
    ada.until(|ada| ada.events.iter().any(|event| event["type"] == "hold")).await;
    assert!(ada.events.iter().any(|event| event["why"] == "store-full"), "{:?}", ada.events);
    let lease = async || {
        let words = ["ZRANGE", &format!("c:{{{room}}}:p"), "0", "-1", "WITHSCORES"];
        redis.ask::<Vec<(String, u64)>>(&words).await[0].1
    };
    for _ in 0..3 {
        let before = lease().await;
        until(async || lease().await > before).await;
    }
    assert!(!ada.is_saved("a.txt"));
    origin.app.queue.request_now(&room);
    let path = format!("/api/v1/shards/{room}/files/a.txt");
    origin.until_stored(&path, "what is left").await;
    // The log is merged, there is room again, and the room goes on by itself.
    ada.saved("a.txt").await;
    drop(ada);
    origin.until_stored(&path, "what is left, and more").await;
    origin.stop().await;
}

#[tokio::test]
async fn a_room_that_ends_on_a_full_redis_is_stored_and_removed() {
    let redis = Redis::start(&[]).await;
    let url = format!("--redis-url={}", with_user(&redis.url()).await);
    let origin = TestOrigin::start(&[&url, "--flush-delay-ms=600000"]).await;
    let room = any_room();
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "typed before").await;
    ada.saved("a.txt").await;
    fill(&redis).await;
    drop(ada);
    origin.until_stored(&format!("/api/v1/shards/{room}/files/a.txt"), "typed before").await;
    until(async || redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:*")]).await.is_empty()).await;
    make_room(&redis).await;
    origin.stop().await;
}

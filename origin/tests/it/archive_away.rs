//! The archive goes away while people type, and comes back: nothing is lost, nobody is held up, nobody restarts anything.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    room_store_contract::setup::any_room,
    support::{
        TestOrigin, mongo,
        proxy::Harm,
        redis::{Redis, until, with_user},
    },
};

/// How long the archive is away.
const AWAY: Duration = Duration::from_secs(60);

async fn goes_away_and_comes_back(harm: Harm) {
    let redis = Redis::start(&[]).await;
    let (proxy, address) = mongo::proxied().await;
    let stores = [
        format!("--redis-url={}", with_user(&redis.url()).await),
        format!("--mongodb-url={}", address.expose_secret()),
    ];
    let intervals =
        ["--flush-attempts=2", "--flush-backoff-ms=100", "--flush-timeout-ms=5000", "--sweep-ms=500"];
    let flags = [&[stores[0].as_str(), stores[1].as_str(), "--flush-limit=1000"], &intervals[..]].concat();
    let origin = TestOrigin::start(&flags).await;
    let (room, left) = (any_room(), any_room());
    let mut ada = origin.client(room.as_str()).await;
    ada.open(".room").await;
    ada.open("a.txt").await;
    ada.append("a.txt", "before ").await;
    ada.saved("a.txt").await;
    let stored = json!("stored");
    ada.until(|ada| ada.events.iter().any(|event| event["type"] == stored)).await;
    let mut ben = origin.client(left.as_str()).await;
    ben.open("b.txt").await;

    proxy.harm_all(harm);
    let comes_back = sleep(AWAY);
    ada.append("a.txt", "meanwhile").await;
    ada.saved("a.txt").await;
    ben.append("b.txt", "and left").await;
    ben.saved("b.txt").await;
    drop(ben);
    let before = ada.events.len();
    let failed = async || redis.ask::<u64>(&["ZCARD", "bull:flush:failed"]).await;
    until(async || failed().await >= 2).await;
    let behind = json!({"type": "storing", "state": "behind"});
    ada.until(|ada| ada.events.contains(&behind)).await;
    assert!(ada.events[before..].iter().all(|event| event["type"] != stored), "{:?}", ada.events);
    let keys = async |room: &str| redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:*")]).await.len();
    assert!(keys(room.as_str()).await > 1 && keys(left.as_str()).await > 1, "nothing is removed");
    ada.append("a.txt", " and after").await;
    ada.saved("a.txt").await;
    assert!(origin.counted("edgeroom_flush_failures_total").await >= 4);
    for age in ["edgeroom_unstored_seconds", "edgeroom_rooms_unstored_seconds"] {
        let seconds = origin.counted(age).await;
        assert!(seconds >= 5, "{age} {seconds}");
    }
    assert!(origin.counted("edgeroom_rooms_dirty").await == 2);
    assert!(origin.counted("edgeroom_rooms_log_bytes").await > 0);
    assert!(origin.counted(&format!("edgeroom_room_log_bytes{{room=\"{room}\"}}")).await > 0);

    // Who comes to another origin is told as well, although nobody types there.
    let other = TestOrigin::start(&flags).await;
    let mut cleo = other.client(room.as_str()).await;
    cleo.open(".room").await;
    cleo.until(|cleo| cleo.events.contains(&behind)).await;
    cleo.open("c.txt").await;
    let (mut text, mut typed) = ("before meanwhile and after".to_owned(), String::new());
    tokio::pin!(comes_back);
    while !comes_back.is_elapsed() {
        for (member, path, all) in [(&mut ada, "a.txt", &mut text), (&mut cleo, "c.txt", &mut typed)] {
            member.append(path, ".").await;
            member.saved(path).await;
            all.push('.');
        }
        let _ = timeout(Duration::from_secs(2), &mut comes_back).await;
    }
    assert!(ada.events[before..].iter().all(|event| event["type"] != stored), "{:?}", ada.events);
    assert!(keys(left.as_str()).await > 1);

    proxy.harm_all(Harm::None);
    let caught_up = json!({"type": "storing", "state": "caught-up"});
    ada.until(|ada| ada.events.contains(&caught_up)).await;
    cleo.until(|cleo| cleo.events.contains(&caught_up)).await;
    until(async || keys(left.as_str()).await == 0).await;
    origin.until_stored(&format!("/api/v1/shards/{left}/files/b.txt"), "and left").await;
    origin.until_stored(&format!("/api/v1/shards/{room}/files/a.txt"), &text).await;
    origin.until_stored(&format!("/api/v1/shards/{room}/files/c.txt"), &typed).await;
    for age in ["edgeroom_unstored_seconds", "edgeroom_rooms_unstored_seconds", "edgeroom_rooms_dirty"] {
        origin.until_counted(&format!("{age} 0")).await;
    }
    // What an attempt wrote that was given up is not counted; this is.
    ada.append("a.txt", "!").await;
    ada.saved("a.txt").await;
    for written in ["edgeroom_flush_files_total", "edgeroom_flush_bytes_total"] {
        until(async || origin.counted(written).await + other.counted(written).await > 0).await;
    }
    assert!(origin.counted("edgeroom_flush_seconds_count").await >= 4);
    drop((ada, cleo));
    until(async || keys(room.as_str()).await == 0).await;
    other.stop().await;
    origin.stop().await;
}

#[tokio::test]
async fn an_archive_that_refuses_connections_is_waited_for() {
    goes_away_and_comes_back(Harm::Refuse).await;
}

#[tokio::test]
async fn an_archive_in_a_black_hole_is_waited_for() {
    goes_away_and_comes_back(Harm::BlackHole).await;
}

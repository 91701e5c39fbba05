//! Two origins on one Redis: what one logs the other shows, what both hold is stored once, and Redis away is
//! neither an acknowledgement nor a loss.

use std::time::Duration;

use crate::support::{Client, TestOrigin, mongo, redis};

/// Two origins with the same stores.
async fn pair(redis_url: &str) -> [TestOrigin; 2] {
    let flags = [format!("--redis-url={redis_url}"), format!("--mongodb-url={}", mongo::address())];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    [TestOrigin::start(&flags).await, TestOrigin::start(&flags).await]
}

async fn assert_no_backfills(origins: &[TestOrigin]) {
    for origin in origins {
        let metrics = origin.get("/metrics").await.text;
        assert!(metrics.contains("edgeroom_backfills_total 0"), "pub/sub carries the updates: {metrics}");
    }
}

fn room(name: &str) -> String {
    format!("{name}-{:x}", rand::random::<u64>())
}

#[tokio::test]
async fn an_edit_at_one_origin_reaches_the_other_through_redis_without_a_backfill() {
    let server = redis::Redis::start(&[]).await;
    let origins = pair(&redis::with_user(&server.url()).await).await;
    let room = room("pair");
    let (mut ada, mut ben) = (origins[0].client(&room).await, origins[1].client(&room).await);
    for member in [&mut ada, &mut ben] {
        member.open("src/a.js").await;
    }
    for round in 0..20 {
        ada.append("src/a.js", &format!("a{round} ")).await;
        ben.append("src/a.js", &format!("b{round} ")).await;
    }
    ada.saved("src/a.js").await;
    ben.saved("src/a.js").await;
    let whole = |client: &Client| client.text("src/a.js").split_whitespace().count() == 40;
    ada.until(whole).await;
    ben.until(whole).await;
    assert_eq!(ada.text("src/a.js"), ben.text("src/a.js"));
    let text = origins[1].get(&format!("/api/v1/shards/{room}/files/src/a.js")).await.text;
    assert_eq!(text, ada.text("src/a.js"));
    assert_no_backfills(&origins).await;
    drop((ada, ben));
    origins[0].until_stored(&format!("/api/v1/shards/{room}/files/src/a.js"), &text).await;
    redis::until(async || {
        let keys: Vec<String> = server.ask(&["KEYS", &format!("*{room}*")]).await;
        keys.is_empty()
    })
    .await;
    for origin in origins {
        origin.stop().await;
    }
}

#[tokio::test]
async fn two_origins_that_open_the_same_new_path_at_once_get_one_file() {
    let server = redis::Redis::start(&[]).await;
    let origins = pair(&redis::with_user(&server.url()).await).await;
    let room = room("path");
    let (mut ada, mut ben) = (origins[0].client(&room).await, origins[1].client(&room).await);
    tokio::join!(ada.open("src/new.js"), ben.open("src/new.js"));
    ada.append("src/new.js", "x").await;
    ben.append("src/new.js", "y").await;
    ada.until(|ada| ada.text("src/new.js").len() == 2).await;
    ben.until(|ben| ben.text("src/new.js").len() == 2).await;
    let report = origins[0].get(&format!("/api/v1/rooms/{room}")).await.json();
    assert_eq!(report["files"].as_array().map(Vec::len), Some(1), "{report}");
    drop((ada, ben));
    for origin in origins {
        origin.stop().await;
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_while_redis_stands_still_and_neighbours_go_on() {
    let server = redis::Redis::start(&[]).await;
    let url = redis::with_user(&server.url()).await;
    let flags = [
        format!("--redis-url={url}"),
        format!("--mongodb-url={}", mongo::address()),
        "--redis-deadline-ms=500".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let origin = TestOrigin::start(&flags).await;
    let room = room("frozen");
    let (mut ada, mut ben) = (origin.client(&room).await, origin.client(&room).await);
    ada.open("a.txt").await;
    ben.open("a.txt").await;
    ada.saved("a.txt").await;
    server.freeze();
    ada.append("a.txt", "typed while redis stands still").await;
    ben.until(|ben| ben.text("a.txt") == "typed while redis stands still").await;
    let acknowledged = tokio::time::timeout(Duration::from_millis(1500), ada.saved("a.txt")).await;
    assert!(acknowledged.is_err(), "nobody has logged it");
    server.thaw();
    ada.saved("a.txt").await;
    let text = origin.get(&format!("/api/v1/shards/{room}/files/a.txt")).await.text;
    assert_eq!(text, "typed while redis stands still");
    drop((ada, ben));
    origin.stop().await;
}

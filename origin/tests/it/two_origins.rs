//! Two origins on one Redis: what one logs the other shows, what both hold is stored once, and Redis away is
//! neither an acknowledgement nor a loss.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use crate::support::{Client, TestOrigin, mongo, redis};

/// Two origins with the same stores, that flush as often as they like.
async fn pair(redis_url: &str) -> [TestOrigin; 2] {
    let stores = [format!("--redis-url={redis_url}"), format!("--mongodb-url={}", mongo::address())];
    let flags = [&stores[..], &["--flush-limit=1000".to_owned()]].concat();
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

/// Both open a path that nobody has opened before, and type: each sees what the other has typed.
async fn open_at_once(ada: &mut Client, ben: &mut Client, path: &str) {
    tokio::join!(ada.open(path), ben.open(path));
    ada.append(path, "x").await;
    ben.append(path, "y").await;
    for member in [ada, ben] {
        member.until(|member| member.text(path).len() == 2).await;
        member.saved(path).await;
    }
}

/// First the room too is new to both, with the shard behind it.
#[tokio::test]
async fn two_origins_that_open_the_same_new_path_at_once_get_one_file() {
    const ROOMS: usize = 10;
    const PATHS: usize = 10;
    let server = redis::Redis::start(&[]).await;
    let origins = pair(&redis::with_user(&server.url()).await).await;
    let files = mongo::database().await.collection::<Document>("files");
    for _ in 0..ROOMS {
        let room = room("path");
        let (mut ada, mut ben) = tokio::join!(origins[0].client(&room), origins[1].client(&room));
        for n in 0..PATHS {
            open_at_once(&mut ada, &mut ben, &format!("src/{n}.js")).await;
        }
        let report = origins[0].get(&format!("/api/v1/rooms/{room}")).await.json();
        assert_eq!(report["files"].as_array().map(Vec::len), Some(PATHS), "{report}");
        let typed: Vec<_> = (0..PATHS).map(|n| ada.text(&format!("src/{n}.js"))).collect();
        drop((ada, ben));
        redis::until(async || {
            let keys: Vec<String> = server.ask(&["KEYS", &format!("*{room}*")]).await;
            keys.is_empty()
        })
        .await;
        for (n, text) in typed.iter().enumerate() {
            let path = format!("src/{n}.js");
            let found = files.find_one(doc! { "shard": &room, "path": path }).await.unwrap().unwrap();
            assert_eq!(found.get_str("text").unwrap(), text);
        }
        let stored = files.count_documents(doc! { "shard": &room }).await.unwrap();
        assert_eq!(stored, PATHS as u64, "one file for each path in {room}");
    }
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

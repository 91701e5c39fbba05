//! Processes that share the work: some take members, some flush.

use crate::{
    room_store_contract::setup::any_room,
    support::{
        Process,
        redis::{Redis, until, with_user},
    },
};

#[tokio::test]
async fn what_is_left_by_a_process_that_only_serves_is_stored_and_removed_by_one_that_only_flushes() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let url = with_user(&redis.url()).await;
    let own = [("LISTEN", "127.0.0.1:0"), ("REDIS_URL", &url), ("DATA_DIR", folder.path().to_str().unwrap())];
    let own = [&own[..], &[("FLUSH_DELAY_MS", "20"), ("SWEEP_MS", "100")]].concat();
    let serving = Process::start(&[&own[..], &[("AUTH", "open")]].concat(), &["serve"]);
    let room = any_room();
    let keys = async || redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:*")]).await;
    let text = format!("/api/v1/shards/{room}/files/a.txt?from=archive");

    let mut ada = serving.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "all of it").await;
    ada.saved("a.txt").await;
    drop(ada);
    let holders = format!("c:{{{room}}}:p");
    until(async || redis.ask::<u64>(&["ZCARD", &holders]).await == 0).await;
    assert_ne!(serving.get(&text).await.text, "all of it", "it does not flush");
    assert!(keys().await.len() > 1, "what is dirty stays");

    let flushing = Process::start(&own, &["flush"]);
    until(async || keys().await.is_empty()).await;
    assert_eq!(serving.get(&text).await.text, "all of it");
    assert!(flushing.terminate().0.success());
    assert!(serving.terminate().0.success());
}

#[tokio::test]
async fn a_process_that_only_flushes_tells_how_it_is_and_takes_nobody() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let url = with_user(&redis.url()).await;
    let own = [("LISTEN", "127.0.0.1:0"), ("REDIS_URL", &url), ("DATA_DIR", folder.path().to_str().unwrap())];
    let flushing = Process::start(&own, &["flush"]);
    for path in ["/healthz", "/metrics"] {
        assert_eq!(flushing.get(path).await.status, 200, "{path}");
    }
    until(async || flushing.get("/readyz").await.json()["room_store"] == "ok").await;
    for path in ["/", "/rooms/demo", "/api/v1/rooms/demo", "/api/v1/templates"] {
        assert_eq!(flushing.get(path).await.code(), "not-found", "{path}");
    }
    assert!(flushing.terminate().0.success());
}

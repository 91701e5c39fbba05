//! A deletion step by step: what others do between the two steps.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use futures_util::future::BoxFuture;
use origin::{
    app::App,
    archive::{Archive, ArchiveError},
    flush::{job::flush_room, parking::Parking, report::FlushError},
    http,
    store::{Joined, RoomStore, StoreError},
};
use serde_json::json;
use shared::{
    id::RoomId,
    wire::{
        hocuspocus::{ClientMessage, write_client},
        yjs::SyncMessage,
    },
};
use tokio_tungstenite::tungstenite::Message;
use tower::Service;

use crate::{
    room_store_contract::setup::{LEASE, any_room, base, batch, file, update},
    support::{
        Client, PATIENCE, TestOrigin,
        archive::{Between, Through},
        redis::{Redis, until, with_user},
    },
};

/// Deletes, or fails to, and then lets something else happen before it answers.
struct Slow {
    fails: bool,
    then: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

#[async_trait]
impl Between for Slow {
    async fn delete(&self, archive: &dyn Archive, id: &RoomId) -> Result<bool, ArchiveError> {
        if self.fails {
            return Err(ArchiveError::Failed("it is away".to_owned()));
        }
        let was_there = archive.delete(id).await;
        (self.then)().await;
        was_there
    }
}

/// Deletes a shard over an archive that is slow.
async fn delete(
    app: &App,
    room: &RoomId,
    fails: bool,
    then: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
) -> StatusCode {
    let by = Slow { fails, then: Box::new(then) };
    let archive = Arc::new(Through { inner: app.archive.clone(), by });
    let mut router = http::router(App { archive, ..app.clone() });
    let request = Request::delete(format!("/api/v1/shards/{room}")).body(Body::empty()).unwrap();
    router.call(request).await.unwrap().status()
}

async fn make(origin: &TestOrigin, room: &RoomId) {
    let made = json!({ "id": room, "files": [{ "path": "a.txt", "text": "old" }] });
    assert_eq!(origin.post("/api/v1/shards", &made).await.status, 201);
}

async fn asks_for_a_file(address: std::net::SocketAddr, room: &RoomId) -> Client {
    let mut client = Client::connect(format!("ws://{address}/rooms/{room}")).await;
    let token = ClientMessage::Token { token: "", version: Some("4.8.0") };
    for message in [token, ClientMessage::Sync(SyncMessage::Step1(&[0]))] {
        client.send_raw(Message::Binary(write_client("b.txt", &message))).await;
    }
    client
}

/// The room as an origin elsewhere has it open, with a change that is not flushed.
async fn open_elsewhere(store: &dyn RoomStore, room: &RoomId) {
    let Joined::Load(token) = store.join(room, "elsewhere", LEASE).await.unwrap() else { panic!("loaded") };
    let epoch = store.commit(room, &token, vec![base(1)], 0).await.unwrap().epoch;
    store.append(room, epoch, batch("elsewhere", 1, vec![update(1, "\0\0")])).await.unwrap();
}

#[tokio::test]
async fn between_the_two_steps_of_a_deletion_nobody_joins_and_nothing_is_written_back() {
    let origin = TestOrigin::start(&["--flush-delay-ms=600000"]).await;
    for is_open in [false, true] {
        let room = any_room();
        make(&origin, &room).await;
        if is_open {
            open_elsewhere(&*origin.app.store, &room).await;
        }
        let (app, address, of) = (origin.app.clone(), origin.address, room.clone());
        let meanwhile = move || -> BoxFuture<'static, ()> {
            let (app, room) = (app.clone(), of.clone());
            Box::pin(async move {
                assert_eq!(asks_for_a_file(address, &room).await.closed().await, 4410, "open: {is_open}");
                if is_open {
                    let flushed = flush_room(&*app.store, &*app.archive, &Parking::default(), &room, 1).await;
                    assert!(matches!(flushed, Err(FlushError::NoShard)), "{flushed:?}");
                }
                assert_eq!(app.archive.find_by_id(&room).await.unwrap(), None, "open: {is_open}");
            })
        };
        assert_eq!(delete(&origin.app, &room, false, meanwhile).await, StatusCode::NO_CONTENT);
        assert_eq!(origin.app.archive.find_by_id(&room).await.unwrap(), None);
        assert!(matches!(origin.app.store.read(&room, &file(1)).await, Err(StoreError::Cold)));

        let mut ada = origin.client(room.as_str()).await;
        ada.open("a.txt").await;
        assert_eq!(ada.text("a.txt"), "", "a new shard of that id has nothing of the old one");
        let path = format!("/api/v1/shards/{room}");
        assert_eq!(origin.get(&path).await.json()["files"].as_array().map(Vec::len), Some(1));
    }
    origin.stop().await;
}

#[tokio::test]
async fn a_deletion_that_the_archive_did_not_do_lets_members_in_again() {
    let origin = TestOrigin::start(&[]).await;
    let room = any_room();
    make(&origin, &room).await;
    let nothing = || -> BoxFuture<'static, ()> { Box::pin(std::future::ready(())) };
    assert_eq!(delete(&origin.app, &room, true, nothing).await, StatusCode::INTERNAL_SERVER_ERROR);
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    assert_eq!(ada.text("a.txt"), "old");
    drop(ada);
    origin.stop().await;
}

/// What would be left if an origin died right after a step of a deletion.
async fn left_after(origin: &TestOrigin, sealed: bool, deleted: bool) -> RoomId {
    let (room, store) = (any_room(), &origin.app.store);
    make(origin, &room).await;
    open_elsewhere(&**store, &room).await;
    if sealed && deleted {
        // No sweep comes between the two steps.
        store.seal(&room, PATIENCE).await.unwrap();
    }
    assert!(!deleted || origin.app.archive.delete(&room).await.unwrap());
    if sealed {
        store.seal(&room, Duration::from_millis(1)).await.unwrap();
    }
    room
}

async fn a_left_deletion_is_ended(flags: &[&str]) {
    let flags = [flags, &["--sweep-ms=20", "--flush-delay-ms=600000"]].concat();
    let origin = TestOrigin::start(&flags).await;
    let store = &origin.app.store;
    let (not_yet, lost) = (left_after(&origin, true, false).await, left_after(&origin, false, true).await);
    // The last of them is listed only by sweeps that saw the others too.
    for _ in 0..2 {
        let gone = left_after(&origin, true, true).await;
        until(async || matches!(store.dirty(&gone).await, Err(StoreError::Cold))).await;
        assert!(!store.rooms().await.unwrap().contains(&gone));
    }
    until(async || {
        let left = store.survey(&not_yet, &[]).await.unwrap().deletion_left;
        !left && matches!(store.join(&not_yet, "o9", LEASE).await, Ok(Joined::Ready(_)))
    })
    .await;
    for room in [&not_yet, &lost] {
        assert_eq!(store.dirty(room).await.unwrap().files.len(), 1, "nothing of it is dropped");
        assert_eq!(store.read(room, &file(1)).await.unwrap().updates.len(), 1);
        store.erase(room).await.unwrap();
    }
    origin.stop().await;
}

#[tokio::test]
async fn a_deletion_whose_origin_died_is_ended_by_the_sweep_and_no_other_room_is_dropped() {
    a_left_deletion_is_ended(&[]).await;
}

#[tokio::test]
async fn a_deletion_whose_origin_died_is_ended_on_redis_by_the_sweep_of_another() {
    let redis = Redis::start(&[]).await;
    a_left_deletion_is_ended(&[&format!("--redis-url={}", with_user(&redis.url()).await)]).await;
}

#[tokio::test]
async fn whoever_opens_a_room_while_it_is_deleted_brings_nothing_of_it_back() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let redis_url = format!("--redis-url={}", redis.url());
    let data_dir = format!("--data-dir={}", folder.path().display());
    let flags = [redis_url.as_str(), data_dir.as_str(), "--flush-delay-ms=5", "--flush-limit=1000"];
    let (first, second) = (TestOrigin::start(&flags).await, TestOrigin::start(&flags).await);
    let mut made_again = 0;
    for round in 0..60 {
        let room = any_room();
        make(&first, &room).await;
        let mut ada = first.client(room.as_str()).await;
        ada.open("a.txt").await;
        ada.append("a.txt", " and typed").await;
        if round % 2 == 0 {
            ada.saved("a.txt").await;
        }
        if round % 3 == 0 {
            drop(ada);
        }
        let path = format!("/api/v1/shards/{room}");
        let opens = async {
            tokio::time::sleep(Duration::from_millis(round % 10)).await;
            asks_for_a_file(second.address, &room).await
        };
        let (deleted, ben) = tokio::join!(first.send("DELETE", &path, &[], ""), opens);
        assert_eq!(deleted.status, 204, "round {round}");
        drop(ben);
        let keys = format!("c:{{{room}}}:*");
        let gone = async || redis.ask::<Vec<String>>(&["KEYS", &keys]).await.is_empty();
        until(gone).await;
        if let Some(shard) = first.app.archive.find_by_id(&room).await.unwrap() {
            made_again += 1;
            let paths: Vec<&str> = shard.files.iter().map(|file| file.path.as_str()).collect();
            assert!(!paths.contains(&"a.txt"), "round {round}: {paths:?}");
        }
    }
    assert!(made_again < 60, "nobody was refused");
    first.stop().await;
    second.stop().await;
}

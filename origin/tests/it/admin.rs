//! What operators see and do over REST, on the embedded stores and over two origins on one Redis.

use std::collections::BTreeSet;

use bytes::Bytes;
use origin::store::{Entry, ListedMember, Source};
use serde_json::{Value, json};
use shared::{
    grant::Role,
    id::{FileId, RoomId},
};
use yrs::{Doc, ReadTxn, Text, Transact};

use crate::{
    room_store_contract::setup::{any_room, base, batch, file, populate, update},
    support::{
        Answer, TestOrigin,
        redis::{Redis, with_user},
    },
};

const ADMIN: &str = "the word of the administrator";
/// A delay that no test waits for: nothing is flushed unless somebody wants it.
const NEVER: &str = "--flush-delay-ms=3600000";

async fn ask(origin: &TestOrigin, method: &str, path: &str) -> Answer {
    let bearer = format!("Bearer {ADMIN}");
    origin.send(method, path, &[("authorization", &bearer)], "").await
}

async fn flush(origin: &TestOrigin, room: &RoomId) -> Answer {
    ask(origin, "POST", &format!("/api/v1/admin/rooms/{room}/flush")).await
}

/// A room as it is listed.
async fn listed(origin: &TestOrigin, room: &RoomId) -> Value {
    let page = ask(origin, "GET", "/api/v1/admin/rooms").await.json();
    let rooms = page["rooms"].as_array().unwrap();
    rooms.iter().find(|one| one["id"] == room.as_str()).cloned().unwrap_or_else(|| panic!("{page}"))
}

/// An update that builds on one that nobody has.
fn without_its_past(id: FileId) -> Entry {
    let doc = Doc::new();
    let content = doc.get_or_insert_text("content");
    content.push(&mut doc.transact_mut(), "a");
    let past = doc.transact().state_vector();
    content.push(&mut doc.transact_mut(), "b");
    Entry::new(id, Source::default(), Bytes::from(doc.transact().encode_diff_v1(&past)))
}

#[tokio::test]
async fn operators_are_let_in_by_the_admin_token_alone() {
    let paths = [("GET", "/api/v1/admin/rooms"), ("POST", "/api/v1/admin/rooms/demo/flush")];
    for flags in [&[][..], &["--admin-token="]] {
        let origin = TestOrigin::start(flags).await;
        for (method, path) in paths {
            for answer in [ask(&origin, method, path).await, origin.send(method, path, &[], "").await] {
                assert_eq!((answer.status, &*answer.code()), (403, "no-admin-token"), "{path}");
            }
        }
        origin.stop().await;
    }
    let origin = TestOrigin::start(&["--admin-token", ADMIN]).await;
    for (method, path) in paths {
        let nobody = origin.send(method, path, &[], "").await;
        assert_eq!((nobody.status, &*nobody.code()), (401, "no-token"), "{path}");
        let other = origin.send(method, path, &[("authorization", "Bearer the word")], "").await;
        assert_eq!((other.status, &*other.code()), (403, "not-admin"), "{path}");
    }
    assert_eq!(ask(&origin, "GET", paths[0].1).await.json(), json!({ "rooms": [], "next": null }));
    let unknown = ask(&origin, "POST", paths[1].1).await;
    assert_eq!((unknown.status, &*unknown.code()), (404, "not-open"));
    origin.stop().await;
}

/// What one origin flushes another lists.
async fn all_is_listed(one: &TestOrigin, other: &TestOrigin) {
    let (room, store) = (any_room(), &one.app.store);
    assert_eq!(one.post("/api/v1/shards", &json!({ "id": room, "files": [] })).await.status, 201);
    let epoch = populate(&**store, &room, vec![base(1), base(2)]).await.epoch;
    let ada = ListedMember {
        id: "u1".to_owned(),
        name: "Ada".to_owned(),
        role: Role::Editor,
        region: "weur".to_owned(),
    };
    store.list(&room, "o1", vec![ada.clone(), ada]).await.unwrap();
    let changes = vec![update(1, "\0\0"), without_its_past(file(2))];
    store.append(&room, epoch, batch("o1", 1, changes)).await.unwrap();
    let seen = listed(other, &room).await;
    assert_eq!((&seen["members"], &seen["dirty"]), (&json!(2), &json!(2)), "{seen}");
    assert_eq!(seen["origins"], json!([{ "origin": "o1", "members": 2 }]));
    assert!(seen["log_bytes"].as_u64().unwrap() > 0, "{seen}");
    for (n, path) in ["1.js", "2.js"].iter().enumerate() {
        assert_eq!(seen["dirty_files"][n]["path"], json!(path), "{seen}");
    }
    for since in [&seen["oldest_unstored"], &seen["dirty_files"][0]["unstored"]] {
        assert!(since["since"].as_str().unwrap().ends_with('Z') && since["seconds"].is_u64(), "{seen}");
    }
    assert_eq!(
        (&seen["last_flush"], &seen["last_error"], &seen["parked"]),
        (&json!(null), &json!(null), &json!([]))
    );

    let flushed = flush(one, &room).await;
    let report = flushed.json();
    assert_eq!((flushed.status, &report["written"], &report["clean"]), (200, &json!(1), &json!(false)));
    assert_eq!(report["parked"][0]["file"], json!(file(2)), "{report}");
    assert!(one.app.archive.file(&room, &file(1)).await.unwrap().is_some());
    let seen = listed(other, &room).await;
    assert_eq!((&seen["dirty"], &seen["last_error"]), (&json!(1), &json!(null)), "{seen}");
    assert!(seen["last_flush"].as_str().unwrap().ends_with('Z'), "{seen}");
    assert_eq!(seen["parked"][0]["path"], json!("2.js"), "{seen}");
    assert_eq!(seen["parked"][0]["reason"], report["parked"][0]["reason"], "{seen}");

    assert!(one.app.archive.delete(&room).await.unwrap());
    let failed = flush(one, &room).await;
    assert_eq!((failed.status, &*failed.code()), (502, "not-flushed"));
    let seen = listed(other, &room).await;
    assert_eq!(seen["last_error"]["reason"], failed.json()["detail"], "{seen}");
    assert!(seen["last_error"]["at"].is_string() && seen["last_flush"].is_string(), "{seen}");
    store.erase(&room).await.unwrap();
    assert_eq!(flush(one, &room).await.code(), "not-open");
}

#[tokio::test]
async fn an_operator_sees_what_is_unflushed_parked_and_failed() {
    let origin = TestOrigin::start(&["--admin-token", ADMIN, NEVER]).await;
    all_is_listed(&origin, &origin).await;
    origin.stop().await;
}

#[tokio::test]
async fn an_operator_sees_the_same_at_an_origin_that_flushes_nothing() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let redis_url = format!("--redis-url={}", with_user(&redis.url()).await);
    let data_dir = format!("--data-dir={}", folder.path().display());
    let flags = [redis_url.as_str(), data_dir.as_str(), "--admin-token", ADMIN, NEVER];
    let one = TestOrigin::start(&flags).await;
    let other = TestOrigin::start_as(origin::config::Role::Serve, &flags).await;
    all_is_listed(&one, &other).await;
    all_is_listed(&other, &one).await;
    other.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn rooms_are_listed_in_pages() {
    let origin = TestOrigin::start(&["--admin-token", ADMIN, NEVER]).await;
    let rooms: BTreeSet<RoomId> = (0..5).map(|_| any_room()).collect();
    for room in &rooms {
        populate(&*origin.app.store, room, vec![base(1)]).await;
    }
    let rooms: Vec<Value> = rooms.iter().map(|room| json!(room)).collect();
    let (mut after, mut pages) = (Value::Null, Vec::new());
    loop {
        let path = format!("/api/v1/admin/rooms?limit=2&after={}", after.as_str().unwrap_or_default());
        let page = ask(&origin, "GET", &path).await.json();
        pages.push(
            page["rooms"].as_array().unwrap().iter().map(|room| room["id"].clone()).collect::<Vec<_>>(),
        );
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(pages, [&rooms[..2], &rooms[2..4], &rooms[4..]]);
    assert_eq!(ask(&origin, "GET", "/api/v1/admin/rooms?limit=5").await.json()["next"], json!(null));
    for wrong in ["limit=0", "limit=1001", "limit=x"] {
        let refused = ask(&origin, "GET", &format!("/api/v1/admin/rooms?{wrong}")).await;
        assert_eq!((refused.status, &*refused.code()), (400, "invalid"), "{wrong}");
    }
    origin.stop().await;
}

//! The last leave: what changed is in MongoDB, what did not was not written, and Redis has forgotten the room.

use std::collections::BTreeMap;

use mongodb::bson::{Document, doc};
use serde_json::json;
use yrs::{Doc, GetString, Transact, Update, updates::decoder::Decode};

use super::Service;
use crate::{
    room_store_contract::setup::any_room,
    support::{PATIENCE, mongo, witness::Witness},
};

const FILES: usize = 10;

/// A file as MongoDB has it.
#[derive(Debug, PartialEq)]
struct Stored {
    text: String,
    state: Vec<u8>,
    version: i64,
    written_at: i64,
}

/// What every file of a shard is, by path, and the shard's `last_sync_timestamp`.
async fn stored(shard: &str) -> (BTreeMap<String, (String, Stored)>, i64) {
    let database = mongo::database().await;
    let head = database.collection::<Document>("shards").find_one(doc! { "_id": shard }).await.unwrap();
    let mut cursor = database.collection::<Document>("files").find(doc! { "shard": shard }).await.unwrap();
    let mut files = BTreeMap::new();
    while cursor.advance().await.unwrap() {
        let file = cursor.deserialize_current().unwrap();
        let text_of = |name: &str| file.get_str(name).unwrap().to_owned();
        let stored = Stored {
            text: text_of("text"),
            state: file.get_binary_generic("state").unwrap().clone(),
            version: file.get_i64("ver").unwrap(),
            written_at: file.get_i64("updatedAt").unwrap(),
        };
        files.insert(text_of("path"), (text_of("_id"), stored));
    }
    (files, head.unwrap().get_i64("last_sync_timestamp").unwrap())
}

fn text_of(state: &[u8]) -> String {
    let doc = Doc::new();
    let text = doc.get_or_insert_text("content");
    doc.transact_mut().apply_update(Update::decode_v1(state).unwrap()).unwrap();
    text.get_string(&doc.transact())
}

#[tokio::test]
async fn the_last_leave_stores_what_changed_writes_nothing_else_and_leaves_no_key_in_redis() {
    let witness = Witness::start(mongo::place().await).await;
    let address = mongo::through(witness.address(), &[]);
    // Nothing is flushed before the last one leaves.
    let service = Service::with_archive(&address, &["--flush-delay-ms=600000"]).await;
    let [here, there] = &service.origins;
    let room = any_room();
    let path = |n: usize| format!("src/{n}.js");
    let files: Vec<_> =
        (0..FILES).map(|n| json!({ "path": path(n), "text": format!("file {n}\n") })).collect();
    let made = here.post("/api/v1/shards", &json!({ "id": room, "files": files })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let created = witness.writes_of(room.as_str());
    let inserted = created.iter().filter(|write| write.command == "insert" && write.collection == "files");
    let inserted = inserted.count();
    assert_eq!(inserted, FILES, "the witness sees what is written: {created:?}");
    let (before, synced_before) = stored(room.as_str()).await;

    let (mut ada, mut ben) = (here.client(room.as_str()).await, there.client(room.as_str()).await);
    for n in 0..FILES {
        ada.open(&path(n)).await;
        ben.open(&path(n)).await;
    }
    let typed = BTreeMap::from([
        (path(2), "file 2\nada\n"),
        (path(5), "file 5\nada\nben\n"),
        (path(9), "file 9\nben\n"),
    ]);
    ada.append(&path(2), "ada\n").await;
    ada.append(&path(5), "ada\n").await;
    ben.until(|ben| ben.text(&path(5)) == "file 5\nada\n").await;
    ben.append(&path(5), "ben\n").await;
    ben.append(&path(9), "ben\n").await;
    for n in 0..FILES {
        ada.saved(&path(n)).await;
        ben.saved(&path(n)).await;
    }
    let logged: u64 = service.redis.ask(&["EXISTS", &format!("c:{{{room}}}:m")]).await;
    assert_eq!(logged, 1, "the room is in Redis while somebody is in it");
    assert_eq!(witness.writes_of(room.as_str()), [], "nothing is flushed yet");
    assert_eq!(stored(room.as_str()).await.0, before);
    drop(ada);
    drop(ben);
    service.until_redis_is_empty(PATIENCE).await;

    let (after, synced_after) = stored(room.as_str()).await;
    assert!(synced_after > synced_before, "{synced_after} after {synced_before}");
    let mut written: Vec<_> = witness.writes_of(room.as_str());
    written.retain(|write| write.collection == "files");
    written.sort_by_key(|write| write.id.to_string());
    let ids: Vec<_> = written.iter().map(|write| write.id.as_str().unwrap_or_default()).collect();
    let changed: Vec<_> = typed.keys().map(|path| before[path].0.as_str()).collect();
    let mut wanted = changed.clone();
    wanted.sort_unstable();
    assert_eq!(ids, wanted, "one write for each file that changed");
    for (path, (id, stored)) in &after {
        let (known, earlier) = &before[path];
        assert_eq!(id, known);
        match typed.get(path) {
            Some(text) => {
                assert_eq!(stored.text, *text);
                assert_eq!(text_of(&stored.state), *text);
                assert_eq!(stored.version, earlier.version + 1, "{path}");
            }
            None => assert_eq!(stored, earlier, "{path} has not changed"),
        }
    }
    service.stop().await;
}

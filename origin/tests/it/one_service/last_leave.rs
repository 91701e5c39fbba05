//! What the last leave writes, counted at the server: each command that went there is read from the wire.

use std::collections::BTreeMap;

use mongodb::bson::{Document, doc};
use origin::project::text::text_of;
use serde_json::json;

use super::{ARCHIVE, start, until_gone};
use crate::{
    room_store_contract::setup::any_room,
    support::{mongo, redis},
};

const HEADER: usize = 16;
const OP_MSG: i32 = 2013;

/// How often each document of a collection was asked to be written, by its `_id`.
fn writes(requests: &[Vec<u8>], collection: &str) -> BTreeMap<String, usize> {
    let mut writes = BTreeMap::new();
    for statement in
        requests.iter().flat_map(|bytes| messages(bytes)).flat_map(|body| statements(body, collection))
    {
        let id = statement
            .get_document("q")
            .map_or_else(|_| statement.get_str("_id"), |query| query.get_str("_id"));
        *writes.entry(id.unwrap_or("several").to_owned()).or_default() += 1;
    }
    writes
}

/// The messages of a connection that are commands.
fn messages(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while bytes.len() >= HEADER {
        let number = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = usize::try_from(number(0)).unwrap();
        if number(12) == OP_MSG {
            found.push(&bytes[HEADER + 4..length]);
        }
        bytes = &bytes[length..];
    }
    found
}

/// The statements of a command that writes to a collection: updates, inserts and deletes. They count only once a
/// majority has them.
fn statements(mut sections: &[u8], collection: &str) -> Vec<Document> {
    let (mut body, mut listed) = (Document::new(), Vec::new());
    while let Some((kind, rest)) = sections.split_first() {
        let length = usize::try_from(i32::from_le_bytes(rest[..4].try_into().unwrap())).unwrap();
        if *kind == 0 {
            body = Document::from_reader(&rest[..length]).unwrap();
        } else {
            let name = rest[4..].iter().position(|byte| *byte == 0).unwrap();
            let mut documents = &rest[4 + name + 1..length];
            while !documents.is_empty() {
                listed.push(Document::from_reader(&mut documents).unwrap());
            }
        }
        sections = &rest[length..];
    }
    let writes = ["update", "insert", "delete", "findAndModify"];
    if !writes.iter().any(|command| body.get_str(command).is_ok_and(|name| name == collection)) {
        return Vec::new();
    }
    let concern = body.get_document("writeConcern").unwrap();
    assert!(concern.get_str("w").unwrap() == "majority" && concern.get_bool("j").unwrap(), "{body}");
    for name in ["updates", "documents", "deletes"] {
        let inline = body.get_array(name).into_iter().flatten().filter_map(|one| one.as_document().cloned());
        listed.extend(inline);
    }
    listed
}

#[tokio::test]
async fn the_last_leave_stores_what_changed_writes_nothing_else_and_leaves_no_key() {
    let _alone = ARCHIVE.lock().await;
    let server = redis::Redis::start(&[]).await;
    let (proxy, through) = mongo::proxied().await;
    let through = format!("--mongodb-url={}", secrecy::ExposeSecret::expose_secret(&through));
    let url = format!("--redis-url={}", redis::with_user(&server.url()).await);
    // The delay is longer than the test waits: only the last leave flushes.
    let flags = [url, through, "--flush-delay-ms=3600000".to_owned()];
    proxy.record();
    let origin = start(&flags).await;
    let room = any_room().to_string();
    let path = |at: usize| format!("src/{at}.txt");
    let files: Vec<_> = (0..10).map(|at| json!({ "path": path(at), "text": format!("text {at}") })).collect();
    let made = origin.post("/api/v1/shards", &json!({ "id": room, "files": files })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = |path: &str| {
        let made = made.json();
        let file = made["files"].as_array().unwrap().iter().find(|file| file["path"] == path).cloned();
        format!("{room}/{}", file.unwrap()["id"].as_str().unwrap())
    };
    let shard = async || origin.get(&format!("/api/v1/shards/{room}")).await.json();
    let synced = shard().await["last_sync_timestamp"].clone();
    let created = writes(&proxy.recorded(), "files");
    assert!((0..10).all(|at| created.contains_key(&id(&path(at)))), "creating is seen: {created:?}");

    proxy.record();
    let mut ada = origin.client(&room).await;
    for at in 0..10 {
        ada.open(&path(at)).await;
    }
    for at in [1, 4, 7] {
        ada.append(&path(at), " and more").await;
        ada.saved(&path(at)).await;
    }
    drop(ada);
    until_gone(&server, &room).await;

    let written = writes(&proxy.recorded(), "files");
    let wanted: BTreeMap<String, usize> = [1, 4, 7].map(|at| (id(&path(at)), 1)).into();
    assert_eq!(written, wanted, "each changed file once, the others never");
    redis::until(async || shard().await["last_sync_timestamp"] != synced).await;
    let files = mongo::database().await.collection::<Document>("files");
    for at in 0..10 {
        let more = if [1, 4, 7].contains(&at) { " and more" } else { "" };
        let stored = files.find_one(doc! { "_id": id(&path(at)) }).await.unwrap().unwrap();
        let text = format!("text {at}{more}");
        assert_eq!(stored.get_str("text").unwrap(), text);
        assert_eq!(
            text_of(stored.get_binary_generic("state").unwrap()).unwrap(),
            text,
            "the state says the same"
        );
    }
    origin.stop().await;
}

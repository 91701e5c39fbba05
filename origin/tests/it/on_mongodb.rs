//! An origin whose archive is MongoDB.

use mongodb::bson::{Document, doc};
use serde_json::json;
use tokio::time::{Duration, sleep, timeout};

use crate::{
    room_store_contract::setup::any_room,
    support::{PATIENCE, TestOrigin, mongo},
};

#[tokio::test]
async fn what_is_typed_ends_in_mongodb_as_text_and_unchanged_files_are_not_written() {
    let origin = TestOrigin::start(&[&format!("--mongodb-url={}", mongo::address())]).await;
    let listed = json!([{"name": "mongodb", "purpose": "archive", "up": true}]);
    let shown = async {
        while origin.get("/readyz").await.json()["connections"] != listed {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, shown).await.unwrap();
    let room = any_room();
    let files = json!([{"path": "a.txt", "text": "a"}, {"path": "b.txt", "text": "b"}]);
    let made = origin.post("/api/v1/shards", &json!({"id": room, "files": files})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", " and more").await;
    ada.saved("a.txt").await;
    origin.until_stored(&format!("/api/v1/shards/{room}/files/a.txt"), "a and more").await;
    ada.append("a.txt", " still").await;
    ada.saved("a.txt").await;
    drop(ada);
    origin.until_stored(&format!("/api/v1/shards/{room}/files/a.txt"), "a and more still").await;
    origin.stop().await;

    let files = mongo::database().await.collection::<Document>("files");
    let stored = async |path: &str| {
        let found = files.find_one(doc! { "shard": room.as_str(), "path": path }).await.unwrap().unwrap();
        (found.get_str("text").unwrap().to_owned(), found.get_i64("ver").unwrap())
    };
    let (text, writes) = stored("a.txt").await;
    assert_eq!(text, "a and more still");
    assert!(writes >= 3, "created, and written after each change: {writes}");
    assert_eq!(stored("b.txt").await, ("b".to_owned(), 1), "the server counts one write, the first");
}

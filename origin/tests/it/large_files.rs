//! Files as large as they may be, from the door to the archive and back: what is acknowledged can be stored.

use mongodb::bson::{RawDocumentBuf, doc};
use serde_json::json;
use shared::{id::RoomId, limits};
use tokio::time::{Duration, sleep, timeout};

use crate::{
    room_store_contract::setup::any_room,
    support::{
        PATIENCE, TestOrigin, mongo,
        redis::{Redis, with_user},
    },
};

/// The longest text that fits into a document whatever its ids.
const LONGEST: usize = 8_388_560;
/// The largest document of MongoDB. FerretDB takes larger ones in an update.
const DOCUMENT_BYTES: usize = 16 << 20;

/// The archive has this text of the file in the end. It is not asked all the time: each answer is long.
async fn until_stored(origin: &TestOrigin, path: &str, text: &str) {
    let stored = async {
        while origin.get(&format!("{path}?from=archive")).await.text != text {
            sleep(Duration::from_millis(500)).await;
        }
    };
    timeout(PATIENCE, stored).await.unwrap_or_else(|_| panic!("not stored: {path}"));
}

async fn is_deleted(origin: &TestOrigin, id: &RoomId) {
    assert_eq!(origin.send("DELETE", &format!("/api/v1/shards/{id}"), &[], "").await.status, 204);
}

async fn every_document_fits(address: &str) {
    let database = mongo::database_at(address).await;
    for name in ["shards", "files", "file_pieces"] {
        let mut found = database.collection::<RawDocumentBuf>(name).find(doc! {}).await.unwrap();
        while found.advance().await.unwrap() {
            let size = found.current().as_bytes().len();
            assert!(size <= DOCUMENT_BYTES, "{size} bytes in {name}");
        }
    }
}

async fn as_large_as_a_body(origin: &TestOrigin) {
    let id = any_room();
    let longest = "x".repeat(LONGEST);
    let rest = "y".repeat(limits::BODY_BYTES - LONGEST - 1000);
    let files = json!([{ "path": "a.txt", "text": longest }, { "path": "b.txt", "text": rest }]);
    let made = origin.post("/api/v1/shards", &json!({ "id": id, "files": files })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = |name: &str| format!("/api/v1/shards/{id}/files/{name}");
    for (name, text) in [("a.txt", &longest), ("b.txt", &rest)] {
        let read = origin.get(&path(name)).await;
        assert_eq!((read.status, read.text.len()), (200, text.len()));
        assert!(read.text == *text, "other text of {name}");
    }

    let mut ada = origin.client(id.as_str()).await;
    ada.open("a.txt").await;
    assert!(ada.text("a.txt") == longest, "other text in the room");
    ada.open("b.txt").await;
    ada.append("b.txt", "!").await;
    ada.saved("b.txt").await;
    drop(ada);
    until_stored(origin, &path("b.txt"), &(rest + "!")).await;
    is_deleted(origin, &id).await;
}

/// Each within the limits; as text and state together they are more than a record of MongoDB holds.
async fn offline_work_of_three(origin: &TestOrigin) -> RoomId {
    let id = any_room();
    let made = origin.post("/api/v1/shards", &json!({ "id": id, "files": [] })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mut members = Vec::new();
    for letter in ["a", "b", "c"] {
        let mut member = origin.client(id.as_str()).await;
        member.open_with("a.txt", &letter.repeat(2_950_000)).await;
        members.push(member);
    }
    for member in &mut members {
        member.until(|one| one.is_saved("a.txt") && one.text("a.txt").len() == 8_850_000).await;
    }
    let texts: Vec<_> = members.iter().map(|member| member.text("a.txt")).collect();
    assert!(texts.iter().all(|text| *text == texts[0]), "they have different text");
    drop(members);
    until_stored(origin, &format!("/api/v1/shards/{id}/files/a.txt"), &texts[0]).await;
    id
}

#[tokio::test]
async fn large_files_go_through_the_embedded_stores() {
    let origin = TestOrigin::start(&[]).await;
    offline_work_of_three(&origin).await;
    as_large_as_a_body(&origin).await;
    origin.stop().await;
}

#[tokio::test]
async fn large_files_go_through_redis_and_mongodb() {
    let redis = Redis::start(&[]).await;
    let redis_url = format!("--redis-url={}", with_user(&redis.url()).await);
    let address = mongo::apart();
    let origin = TestOrigin::start(&[&redis_url, &format!("--mongodb-url={address}")]).await;
    let id = offline_work_of_three(&origin).await;
    every_document_fits(&address).await;
    is_deleted(&origin, &id).await;
    as_large_as_a_body(&origin).await;
    origin.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_the_number_before_anything_is_made() {
    let origin = TestOrigin::start(&[]).await;
    let post = async |text: String| {
        let files = json!([{ "path": "a.txt", "text": text }]);
        let answer = origin.post("/api/v1/shards", &json!({ "id": "demo", "files": files })).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        (answer.status, answer.code(), detail)
    };
    let (status, code, detail) = post("x".repeat(limits::FILE_BYTES)).await;
    assert_eq!((status, code.as_str()), (413, "file-too-large"));
    assert!(detail.contains("a.txt") && detail.contains("8388608 bytes"), "{detail}");
    let (status, code, detail) = post("x".repeat(limits::BODY_BYTES)).await;
    assert_eq!((status, code.as_str()), (413, "too-large"));
    assert!(detail.contains("16777216 bytes"), "{detail}");
    assert_eq!(origin.get("/api/v1/shards/demo").await.status, 404);
    origin.stop().await;
}

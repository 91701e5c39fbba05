//! REST: who may read, make and delete.

use serde_json::{Value, json};

use super::{bad_tokens, origin, token};
use crate::support::{Answer, TestOrigin};

const ADMIN: &str = "the word of the administrator";

async fn send(origin: &TestOrigin, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    origin.send(method, path, &headers, &body).await
}

async fn make(origin: &TestOrigin, id: &str, token: &str) -> Answer {
    let body = json!({ "id": id, "files": [{ "path": "a.txt", "text": "a" }] });
    send(origin, "POST", "/api/v1/shards", token, &body).await
}

#[tokio::test]
async fn shards_are_made_by_the_administrator_or_with_a_token_for_every_room() {
    let origin = origin(&["--admin-token", ADMIN]).await;
    let every_room = |role: &str| token(&json!({ "room": "*", "role": role }));
    assert_eq!(make(&origin, "one", ADMIN).await.status, 201);
    assert_eq!(make(&origin, "two", &every_room("editor")).await.status, 201);
    let refused = make(&origin, "three", &every_room("viewer")).await;
    assert_eq!((refused.status, refused.code()), (403, "not-allowed".to_owned()));
    let refused = make(&origin, "demo", &token(&json!({ "role": "owner" }))).await;
    assert_eq!((refused.status, refused.code()), (403, "wrong-room".to_owned()));
    let refused = make(&origin, "four", "the word of the administrato").await;
    assert_eq!((refused.status, refused.code()), (401, "bad-token".to_owned()));
    let unnamed = origin.post("/api/v1/shards", &json!({ "id": "five" })).await;
    assert_eq!((unnamed.status, unnamed.code()), (401, "no-token".to_owned()));
    assert_eq!(unnamed.header("www-authenticate"), Some("Bearer"));
    origin.stop().await;
}

#[tokio::test]
async fn a_viewer_reads_its_room_and_no_other() {
    let origin = origin(&["--admin-token", ADMIN]).await;
    make(&origin, "demo", ADMIN).await;
    make(&origin, "other", ADMIN).await;
    let viewer = token(&json!({ "role": "viewer" }));
    for (path, status) in [
        ("/api/v1/shards/demo", 200),
        ("/api/v1/shards/demo/files/a.txt", 200),
        ("/api/v1/rooms/demo", 404),
        ("/api/v1/shards/other", 403),
        ("/api/v1/shards/other/files/a.txt", 403),
        ("/api/v1/rooms/other", 403),
        ("/api/v1/shards/none", 403),
    ] {
        assert_eq!(send(&origin, "GET", path, &viewer, &Value::Null).await.status, status, "{path}");
        assert_eq!(origin.get(path).await.code(), "no-token", "{path}");
    }
    assert_eq!(origin.get("/api/v1/templates").await.status, 200, "what is nobody's is open");
    assert_eq!(origin.get("/healthz").await.status, 200);
    origin.stop().await;
}

#[tokio::test]
async fn bad_tokens_are_refused_over_rest_too() {
    let origin = origin(&[]).await;
    for (bad, word, code) in bad_tokens() {
        let answer = send(&origin, "GET", "/api/v1/shards/demo", &bad, &Value::Null).await;
        let status = if code == 4403 { 403 } else { 401 };
        assert_eq!((answer.status, answer.code().as_str()), (status, word), "{bad}");
    }
    origin.stop().await;
}

#[tokio::test]
async fn an_owner_deletes_and_so_does_whoever_may_make() {
    let origin = origin(&["--admin-token", ADMIN]).await;
    let delete =
        async |token: &str| send(&origin, "DELETE", "/api/v1/shards/demo", token, &Value::Null).await;
    make(&origin, "demo", ADMIN).await;
    for may_not in [
        token(&json!({})),
        token(&json!({ "room": "*", "role": "viewer" })),
        token(&json!({ "room": "demo2", "role": "owner" })),
    ] {
        assert_eq!(delete(&may_not).await.status, 403);
    }
    for may in [token(&json!({ "role": "owner" })), token(&json!({ "room": "*" })), ADMIN.to_owned()] {
        make(&origin, "demo", ADMIN).await;
        assert_eq!(delete(&may).await.status, 204);
    }
    origin.stop().await;
}

//! REST, operations and the layers that every request passes, over a real listener.

use futures_util::SinkExt;
use serde_json::{Value, json};
use shared::wire::{
    hocuspocus::{ClientMessage, write_client},
    yjs::SyncMessage,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::support::TestOrigin;

async fn with_shard(files: Value) -> TestOrigin {
    let origin = TestOrigin::start(&[]).await;
    let made = origin.post("/api/v1/shards", &json!({ "id": "demo", "title": "Demo", "files": files })).await;
    assert_eq!(made.status, 201, "{made:?}");
    origin
}

#[tokio::test]
async fn a_shard_is_made_described_read_and_deleted() {
    let origin =
        with_shard(json!([{ "path": "src/a.js", "text": "let a;\n" }, { "path": "b.md", "text": "" }])).await;
    let shard = origin.get("/api/v1/shards/demo").await.json();
    assert_eq!((&shard["id"], &shard["title"]), (&json!("demo"), &json!("Demo")));
    let paths: Vec<_> = shard["files"].as_array().unwrap().iter().map(|file| &file["path"]).collect();
    assert_eq!(paths, ["b.md", "src/a.js"]);
    for time in
        [&shard["last_sync_timestamp"], &shard["files"][0]["updated_at"], &shard["files"][0]["stored_at"]]
    {
        let time = time.as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('T'), "{time}");
    }
    let id = shard["files"][1]["id"].as_str().unwrap().to_owned();
    for name in ["src/a.js", "src%2Fa.js", &id] {
        let text = origin.get(&format!("/api/v1/shards/demo/files/{name}")).await;
        assert_eq!((text.status, text.text.as_str()), (200, "let a;\n"), "{name}");
        assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    let delete = origin.send("DELETE", "/api/v1/shards/demo", &[], "").await;
    assert_eq!((delete.status, delete.text.as_str()), (204, ""));
    assert_eq!(origin.get("/api/v1/shards/demo").await.code(), "no-such-shard");
    assert_eq!(origin.send("DELETE", "/api/v1/shards/demo", &[], "").await.status, 404);
    origin.stop().await;
}

#[tokio::test]
async fn a_path_is_the_same_file_however_its_accents_are_spelled_open_or_not() {
    let origin = with_shard(json!([{ "path": "cafe\u{301}.md", "text": "menu" }])).await;
    let spelled = ["caf%C3%A9.md", "cafe%CC%81.md"];
    for name in spelled {
        assert_eq!(origin.get(&format!("/api/v1/shards/demo/files/{name}")).await.text, "menu", "{name}");
    }
    let mut ada = origin.client("demo").await;
    ada.open("caf\u{e9}.md").await;
    ada.open("cafe\u{301}.md").await;
    ada.append("cafe\u{301}.md", "!").await;
    ada.saved("cafe\u{301}.md").await;
    for name in spelled {
        assert_eq!(origin.get(&format!("/api/v1/shards/demo/files/{name}")).await.text, "menu!", "{name}");
    }
    let files = origin.get("/api/v1/shards/demo").await.json()["files"].clone();
    assert_eq!(files.as_array().map(Vec::len), Some(1), "{files}");
    for name in ["..%2Fa", "%00", ".room"] {
        assert_eq!(origin.get(&format!("/api/v1/shards/demo/files/{name}")).await.code(), "no-such-file");
    }
    drop(ada);
    origin.stop().await;
}

#[tokio::test]
async fn line_ends_are_lf_inside_and_original_where_that_is_asked_for() {
    let origin = with_shard(json!([{ "path": "a.txt", "text": "one\r\ntwo\r\n" }])).await;
    let plain = origin.get("/api/v1/shards/demo/files/a.txt").await;
    let original = origin.get("/api/v1/shards/demo/files/a.txt?eol=original").await;
    assert_eq!((plain.text.as_str(), original.text.as_str()), ("one\ntwo\n", "one\r\ntwo\r\n"));
    assert_ne!(plain.header("etag"), original.header("etag"));
    assert_eq!(origin.get("/api/v1/shards/demo/files/a.txt?eol=mac").await.code(), "invalid");
    let mut ada = origin.client("demo").await;
    ada.open("a.txt").await;
    ada.append("a.txt", "three\r\nfour\n").await;
    ada.saved("a.txt").await;
    for from in ["", "&from=archive"] {
        origin.until_stored("/api/v1/shards/demo/files/a.txt", "one\ntwo\nthree\r\nfour\n").await;
        let original = origin.get(&format!("/api/v1/shards/demo/files/a.txt?eol=original{from}")).await;
        assert_eq!(original.text, "one\r\ntwo\r\nthree\r\nfour\r\n");
    }
    drop(ada);
    origin.stop().await;
}

#[tokio::test]
async fn a_known_version_is_not_sent_again() {
    let origin = with_shard(json!([{ "path": "a.txt", "text": "a" }])).await;
    let path = "/api/v1/shards/demo/files/a.txt?from=archive";
    let first = origin.get(path).await;
    let etag = first.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let again = origin.send("GET", path, &[("if-none-match", &known)], "").await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{known}");
    }
    assert_eq!(origin.send("GET", path, &[("if-none-match", "\"x\"")], "").await.status, 200);
    origin.stop().await;
}

#[tokio::test]
async fn a_taken_id_is_a_conflict_and_a_wrong_request_says_why() {
    let origin = with_shard(json!([])).await;
    let code = async |body: Value| {
        let answer = origin.post("/api/v1/shards", &body).await;
        (answer.status, answer.code())
    };
    let expect = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(code(json!({ "id": "demo" })).await, expect(409, "taken"));
    assert_eq!(code(json!({ "id": "a b" })).await, expect(400, "invalid-id"));
    assert_eq!(code(json!({ "files": [{ "path": "../a", "text": "" }] })).await, expect(400, "invalid-path"));
    let twins = json!({ "files": [{ "path": "A", "text": "" }, { "path": "a", "text": "" }] });
    assert_eq!(code(twins).await, expect(400, "path-conflict"));
    assert_eq!(code(json!({ "template": "cobol" })).await, expect(400, "unknown-template"));
    assert_eq!(code(json!({ "surprise": 1 })).await, expect(400, "invalid"));
    let plain = origin.send("POST", "/api/v1/shards", &[("content-type", "text/plain")], "{}").await;
    assert_eq!((plain.status, plain.code()), expect(415, "not-json"));
    origin.stop().await;
}

#[tokio::test]
async fn refusals_of_every_layer_are_problem_documents() {
    let origin = TestOrigin::start(&[]).await;
    for path in ["/nothing", "/api/v1/nothing"] {
        assert_eq!(origin.get(path).await.code(), "not-found", "{path}");
    }
    assert_eq!(origin.get("/api/v1/rooms/quiet").await.code(), "not-open");
    assert_eq!(origin.get("/api/v1/shards/none/files/a").await.code(), "no-such-shard");
    let method = origin.send("PATCH", "/api/v1/shards/a", &[], "").await;
    assert_eq!((method.status, method.code().as_str()), (405, "method-not-allowed"));
    assert!(method.header("allow").is_some(), "{method:?}");
    let huge = "x".repeat(shared::limits::BODY_BYTES + 1);
    let huge = origin.send("POST", "/api/v1/shards", &[("content-type", "application/json")], &huge).await;
    assert_eq!((huge.status, huge.code().as_str()), (413, "too-large"));
    origin.stop().await;
}

#[tokio::test]
async fn a_request_keeps_its_id_or_gets_one() {
    let origin = TestOrigin::start(&[]).await;
    let named = origin.send("GET", "/healthz", &[("x-request-id", "mine")], "").await;
    assert_eq!(named.header("x-request-id"), Some("mine"));
    let made_up = origin.get("/nothing").await;
    assert_eq!(made_up.header("x-request-id").map(str::len), Some(32));
    origin.stop().await;
}

#[tokio::test]
async fn allowed_pages_may_read_answers_and_others_may_not() {
    let origin = TestOrigin::start(&["--allowed-origins=http://app.example"]).await;
    let allowed = async |page: &str| {
        let answer = origin.send("GET", "/api/v1/templates", &[("origin", page)], "").await;
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(allowed("http://app.example").await.as_deref(), Some("http://app.example"));
    assert_eq!(allowed("http://evil.example").await, None);
    let asks = [("origin", "http://app.example"), ("access-control-request-method", "DELETE")];
    let preflight = origin.send("OPTIONS", "/api/v1/shards/a", &asks, "").await;
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("DELETE"), "{preflight:?}");
    origin.stop().await;
}

#[tokio::test]
async fn operators_see_whether_it_is_ready_and_what_it_counts() {
    let origin = TestOrigin::start(&[]).await;
    assert_eq!(origin.get("/healthz").await.status, 200);
    let ready = origin.get("/readyz").await;
    let expected =
        json!({ "status": "ready", "rooms": 0, "room_store": "ok", "archive": "ok", "connections": [] });
    assert_eq!((ready.status, ready.json()), (200, expected));
    let metrics = origin.get("/metrics").await;
    assert!(metrics.text.contains("edgeroom_rooms_open 0"), "{metrics:?}");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    origin.stop().await;
}

#[tokio::test]
async fn the_page_is_served_where_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "<p>the page").unwrap();
    let origin = TestOrigin::start(&["--page-dir", folder.path().to_str().unwrap()]).await;
    let page = origin.get("/").await;
    assert_eq!((page.status, page.text.as_str()), (200, "<p>the page"));
    assert_eq!(page.header("content-type"), Some("text/html"));
    assert_eq!(origin.get("/missing.js").await.code(), "not-found");
    assert_eq!(origin.get("/api/v1/nothing").await.code(), "not-found");
    origin.stop().await;
}

#[tokio::test]
async fn what_is_stored_is_there_after_a_restart() {
    let origin = with_shard(json!([{ "path": "a.txt", "text": "kept" }])).await;
    let folder = origin.stop().await;
    let origin = TestOrigin::start_in(folder, &[]).await;
    assert_eq!(origin.get("/api/v1/shards/demo/files/a.txt").await.text, "kept");
    origin.stop().await;
}

#[tokio::test]
async fn a_file_that_is_not_stored_yet_is_listed_with_its_shard() {
    let origin = TestOrigin::start(&["--flush-delay-ms=3600000"]).await;
    let made = json!({ "id": "demo", "files": [{ "path": "b.txt", "text": "b" }] });
    assert_eq!(origin.post("/api/v1/shards", &made).await.status, 201);
    let mut ada = origin.client("demo").await;
    ada.open("a.txt").await;
    let files = origin.get("/api/v1/shards/demo").await.json()["files"].as_array().unwrap().clone();
    let paths: Vec<_> = files.iter().map(|file| &file["path"]).collect();
    assert_eq!(paths, ["a.txt", "b.txt"]);
    assert_eq!((&files[0]["stored_at"], &files[0]["updated_at"]), (&Value::Null, &Value::Null));
    assert!(files[1]["stored_at"].is_string(), "{files:?}");
    let id = files[0]["id"].as_str().unwrap();
    assert_eq!(origin.get(&format!("/api/v1/shards/demo/files/{id}")).await.status, 200);
    drop(ada);
    origin.until_stored("/api/v1/shards/demo/files/a.txt", "").await;
    let stored = origin.get("/api/v1/shards/demo").await.json();
    assert_eq!((&stored["files"][0]["id"], stored["files"].as_array().map(Vec::len)), (&json!(id), Some(2)));
    origin.stop().await;
}

#[tokio::test]
async fn who_joins_while_a_shard_is_deleted_does_not_bring_it_back() {
    let origin = TestOrigin::start(&["--create-on-open=0"]).await;
    for round in 0..40 {
        let id = format!("demo-{round}");
        let made = json!({ "id": id, "files": [{ "path": "a.txt", "text": "a" }] });
        assert_eq!(origin.post("/api/v1/shards", &made).await.status, 201);
        let url = format!("ws://{}/rooms/{id}", origin.address);
        let (mut joiner, _) = connect_async(url).await.unwrap();
        let shard = format!("/api/v1/shards/{id}");
        let join = async {
            let token = ClientMessage::Token { token: "", version: Some("4.8.0") };
            for message in [token, ClientMessage::Sync(SyncMessage::Step1(&[0]))] {
                joiner.send(Message::Binary(write_client("a.txt", &message))).await.unwrap();
            }
        };
        let (deleted, ()) = tokio::join!(origin.send("DELETE", &shard, &[], ""), join);
        assert_eq!(deleted.status, 204);
        let text = origin.get(&format!("{shard}/files/a.txt")).await;
        assert_eq!(text.code(), "no-such-shard", "round {round}");
        assert_eq!(origin.get(&shard).await.code(), "no-such-shard");
    }
    origin.stop().await;
}

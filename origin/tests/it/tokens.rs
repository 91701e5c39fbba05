//! Tokens at this origin's doors: sockets, REST, links; keys that change; what operators print.

mod link;
mod rest;
mod sockets;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use origin::{auth::Tokens, clock, config::Cli};
use ring::hmac;
use serde_json::{Value, json};
use shared::token::Claims;

use crate::support::{Process, TestOrigin};

/// The keys of RFC 8037 (A.1) and RFC 7515 (A.3), and a secret.
fn keys() -> Value {
    json!({ "keys": [ed25519("ed"), {
        "kty": "EC", "crv": "P-256", "kid": "ec",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    }, {
        "kty": "oct", "kid": "hs", "k": URL_SAFE_NO_PAD.encode([5; 32]),
    }] })
}

const ED25519_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn ed25519(kid: &str) -> Value {
    let seed = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": ED25519_PUBLIC, "d": seed })
}

fn secret(kid: &str, byte: u8) -> Value {
    json!({ "kty": "oct", "kid": kid, "k": URL_SAFE_NO_PAD.encode([byte; 32]) })
}

fn only(key: &Value) -> String {
    json!({ "keys": [key] }).to_string()
}

/// A token of an editor of the room `demo` for an hour, with these changes, signed with the first of these keys.
fn token_by(keys: &str, changes: &Value) -> String {
    let mut claims = json!({
        "sub": "ann", "name": "Ann", "aud": "edgeroom", "room": "demo", "role": "editor", "exp": in_s(3600),
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let claims: Claims = serde_json::from_value(claims).unwrap();
    Tokens::open(keys).unwrap().sign(&claims).unwrap()
}

fn token(changes: &Value) -> String {
    token_by(&keys().to_string(), changes)
}

fn in_s(seconds: i64) -> i64 {
    i64::try_from(clock::now_ms() / 1000).unwrap() + seconds
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// The claims of a good token under another header, signed by whoever knows `secret`.
fn with_header(header: &Value, secret: &[u8]) -> String {
    let good = token(&json!({}));
    signed_by(header, good.split('.').nth(1).unwrap(), secret)
}

fn signed_by(header: &Value, claims: &str, secret: &[u8]) -> String {
    let draft = format!("{}.{claims}", part(header));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), draft.as_bytes());
    format!("{draft}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Tokens that nobody may be let in with, each with the word for it and the code of its close.
fn bad_tokens() -> Vec<(String, &'static str, u16)> {
    let good = token(&json!({}));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let raised =
        json!({ "sub": "ann", "aud": "edgeroom", "room": "demo", "role": "owner", "exp": in_s(3600) });
    let mut unread = raised.clone();
    unread["rules"] = json!([{ "paths": "docs/{a", "role": "viewer" }]);
    let unread = signed_by(&json!({ "alg": "HS256", "kid": "hs" }), &part(&unread), &[5; 32]);
    let public = URL_SAFE_NO_PAD.decode(ED25519_PUBLIC).unwrap();
    let cut = URL_SAFE_NO_PAD.encode(&URL_SAFE_NO_PAD.decode(signature).unwrap()[1..]);
    vec![
        (String::new(), "no-token", 4401),
        ("any".to_owned(), "bad-token", 4401),
        (unread, "bad-token", 4401),
        (format!("{header}.{}.{signature}", part(&raised)), "wrong-signature", 4401),
        (format!("{signed}.{cut}"), "wrong-signature", 4401),
        (format!("{signed}."), "wrong-signature", 4401),
        (token_by(&only(&secret("hs", 6)), &json!({})), "wrong-signature", 4401),
        (token_by(&only(&secret("retired", 5)), &json!({})), "unknown-key", 4401),
        (with_header(&json!({ "alg": "HS256", "kid": "ed" }), &public), "wrong-algorithm", 4401),
        (with_header(&json!({ "alg": "EdDSA", "kid": "hs" }), &[5; 32]), "wrong-algorithm", 4401),
        (with_header(&json!({ "alg": "none" }), b""), "wrong-algorithm", 4401),
        (format!("{}.{}.", part(&json!({ "alg": "none" })), part(&raised)), "wrong-algorithm", 4401),
        (token(&json!({ "exp": in_s(-1) })), "token-expired", 4401),
        (token(&json!({ "nbf": in_s(60) })), "token-not-yet-valid", 4401),
        (token(&json!({ "aud": "another" })), "wrong-audience", 4401),
        (token(&json!({ "room": "another" })), "wrong-room", 4403),
        (format!("{good}{}", "A".repeat(4096)), "token-too-long", 4401),
    ]
}

async fn origin(flags: &[&str]) -> TestOrigin {
    let keys = keys().to_string();
    let own = ["--auth=jwt", "--jwt-keys", &keys, "--create-on-open=1"];
    TestOrigin::start(&[&own, flags].concat()).await
}

#[test]
fn a_token_that_an_operator_prints_is_one_of_the_first_private_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let public = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "older", "x": ED25519_PUBLIC });
    std::fs::write(&file, json!({ "keys": [public, ed25519("newer")] }).to_string()).unwrap();
    let order =
        ["token", "--room=demo", "--role=viewer", "--sub=ops", "--ttl=90m", "--rule", "docs/**=editor"];
    let printed = Process::printed(&[("JWT_KEYS", file.to_str().unwrap())], &order);
    let room = shared::id::RoomId::parse("demo").unwrap();
    let tokens = Tokens::open(&only(&ed25519("newer"))).unwrap();
    let grant = tokens.pass(printed.trim(), Some(&room), clock::now_ms(), 0).unwrap().grant;
    assert_eq!((&*grant.member.id, grant.role.scope(), grant.rules.len()), ("ops", "readonly", 1));
    let left = grant.expires.unwrap() - clock::now_ms();
    assert!((89 * 60_000..=90 * 60_000).contains(&left), "{left}");
}

#[test]
fn nothing_is_printed_without_a_private_key_or_for_what_cannot_be() {
    let public = only(&json!({ "kty": "OKP", "crv": "Ed25519", "x": ED25519_PUBLIC }));
    let order = ["token", "--room=demo", "--role=viewer", "--sub=ops"];
    assert!(Process::refused(&[("JWT_KEYS", &public)], &order).contains("private"));
    assert!(Process::refused(&[], &order).contains("JWT_KEYS"));
    for bad in
        ["--role=admin", "--ttl=soon", "--ttl=0s", "--room=a/b", "--rule=docs", "--rule=/docs/**=viewer"]
    {
        assert!(Cli::read(["origin", "--jwt-keys={}"].iter().chain(&order).chain([&bad])).is_err(), "{bad}");
    }
}

#[test]
fn keys_that_are_no_pair_are_found_at_the_start() {
    let mut key = ed25519("ed");
    key["d"] = json!(URL_SAFE_NO_PAD.encode([3; 32]));
    let error = Tokens::open(&only(&key)).unwrap_err().to_string();
    assert!(error.contains("pair") && !error.contains(&URL_SAFE_NO_PAD.encode([3; 32])), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let variables =
        [("JWT_KEYS", "/nowhere/keys.json"), ("LISTEN", "127.0.0.1:0"), ("DATA_DIR", data.to_str().unwrap())];
    let said = Process::refused(&variables, &[]);
    assert!(said.contains("JWT_KEYS") && said.contains("/nowhere/keys.json"), "{said}");
    assert!(!data.exists(), "nothing was opened before");
}

#[tokio::test]
async fn keys_in_a_file_come_and_go_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let (old, new) = (secret("old", 1), secret("new", 2));
    let write = |keys: &[&Value]| {
        // As an operator's tools replace a file: whole, by its name.
        let next = folder.path().join("next.json");
        std::fs::write(&next, json!({ "keys": keys }).to_string()).unwrap();
        std::fs::rename(&next, &file).unwrap();
    };
    write(&[&old]);
    let origin =
        TestOrigin::start(&["--auth=jwt", "--jwt-keys", file.to_str().unwrap(), "--create-on-open=1"]).await;
    let status = async |key: &Value| {
        let bearer = format!("Bearer {}", token_by(&only(key), &json!({})));
        origin.send("GET", "/api/v1/shards/demo", &[("authorization", &bearer)], "").await.status
    };
    assert_eq!((status(&old).await, status(&new).await), (404, 401));
    write(&[&new, &old]);
    assert_eq!((status(&old).await, status(&new).await), (404, 404));
    std::fs::write(&file, "{ half").unwrap();
    assert_eq!((status(&old).await, status(&new).await), (404, 404), "the keys of before count");
    write(&[&new]);
    assert_eq!((status(&old).await, status(&new).await), (401, 404));
    origin.stop().await;
}

//! Tokens and their keys: what is read, what is refused, and what a token gives.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    close::CloseCode,
    grant::Role,
    id::{FilePath, RoomId},
    limits,
    token::{self, Algorithm, Claims, KeySet, KeysError, Presented, TokenError},
};

const NOW: u64 = 1_700_000_000_000;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn keys() -> KeySet {
    let point = b64([7; 32]);
    let set = json!({ "keys": [
        { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "use": "sig", "x": point },
        { "kty": "EC", "crv": "P-256", "kid": "ec", "x": point, "y": point, "d": point },
        { "kty": "oct", "kid": "hs", "k": b64([9; 32]) },
    ] });
    KeySet::parse(&set.to_string()).unwrap()
}

fn claims() -> Value {
    json!({ "sub": "ann", "name": "Ann", "aud": "edgeroom", "room": "demo", "role": "editor", "exp": 1_700_000_060 })
}

/// With something as long as the signature has to be.
fn compact(header: &Value, claims: &Value) -> String {
    let bytes = if header["alg"] == "HS256" { 32 } else { 64 };
    format!("{}.{}.{}", b64(header.to_string()), b64(claims.to_string()), b64(vec![0; bytes]))
}

fn key_of(header: &Value) -> Result<Algorithm, TokenError> {
    let token = compact(header, &claims());
    let presented = Presented::read(&token)?;
    presented.key(&keys()).map(|key| key.algorithm())
}

/// What claims give, with these changes, `null` taking one away.
fn admit(changes: &Value) -> Result<token::Pass, TokenError> {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    let token = compact(&json!({ "alg": "EdDSA" }), &claims);
    let room = RoomId::parse("demo").unwrap();
    Presented::read(&token)?.claims()?.admit(Some(&room), NOW, 0)
}

#[test]
fn a_token_is_for_the_key_that_it_names_and_that_keys_algorithm() {
    assert_eq!(key_of(&json!({ "alg": "EdDSA", "kid": "ed" })), Ok(Algorithm::EdDsa));
    assert_eq!(key_of(&json!({ "alg": "ES256", "kid": "ec" })), Ok(Algorithm::Es256));
    assert_eq!(key_of(&json!({ "alg": "HS256", "kid": "hs" })), Ok(Algorithm::Hs256));
    assert_eq!(key_of(&json!({ "alg": "EdDSA" })), Ok(Algorithm::EdDsa), "the only one of its kind");
    assert_eq!(key_of(&json!({ "alg": "EdDSA", "kid": "old" })), Err(TokenError::UnknownKey));
}

#[test]
fn no_other_algorithm_passes_for_that_of_the_key() {
    for kid in ["ed", "ec"] {
        assert_eq!(key_of(&json!({ "alg": "HS256", "kid": kid })), Err(TokenError::Algorithm));
    }
    for alg in ["none", "None", "", "RS256", "hs256", "EdDSA "] {
        assert_eq!(key_of(&json!({ "alg": alg, "kid": "ed" })), Err(TokenError::Algorithm), "{alg}");
    }
    let without_secret = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": b64([7; 32]) }] });
    let keys = KeySet::parse(&without_secret.to_string()).unwrap();
    let token = compact(&json!({ "alg": "HS256" }), &claims());
    assert_eq!(Presented::read(&token).unwrap().key(&keys), Err(TokenError::Algorithm));
}

#[test]
fn a_signature_of_another_length_does_not_fit() {
    let good = compact(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    for bytes in [0, 32, 63, 65] {
        let token = format!("{signed}.{}", b64(vec![0; bytes]));
        assert_eq!(Presented::read(&token).unwrap().key(&keys()), Err(TokenError::Signature), "{bytes}");
    }
}

#[test]
fn without_an_id_nobody_guesses_between_two_keys() {
    let two = json!({ "keys": [{ "kty": "oct", "k": b64([1; 32]) }, { "kty": "oct", "k": b64([2; 32]) }] });
    let two = KeySet::parse(&two.to_string()).unwrap();
    let token = compact(&json!({ "alg": "HS256" }), &claims());
    assert_eq!(Presented::read(&token).unwrap().key(&two), Err(TokenError::UnknownKey));
}

#[test]
fn what_is_no_compact_token_is_refused() {
    let good = compact(&json!({ "alg": "EdDSA" }), &claims());
    assert!(Presented::read(&good).is_ok());
    assert_eq!(Presented::read(""), Err(TokenError::Absent));
    let long = format!("{good}{}", "A".repeat(limits::TOKEN_BYTES));
    assert_eq!(Presented::read(&long), Err(TokenError::TooLong));
    let parts: Vec<&str> = good.split('.').collect();
    for bad in [
        "any".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.x"),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{}.{}.{}", b64("[]"), parts[1], parts[2]),
        compact(&json!({ "alg": "EdDSA", "crit": ["exp"] }), &claims()),
        compact(&json!({ "kid": "ed" }), &claims()),
    ] {
        assert_eq!(Presented::read(&bad), Err(TokenError::Malformed), "{bad}");
    }
}

#[test]
fn good_claims_give_the_member_and_the_rights() {
    let pass = admit(&json!({})).unwrap();
    assert!(!pass.every_room);
    let grant = pass.grant;
    assert_eq!((&*grant.member.id, grant.member.name.as_str(), grant.role), ("ann", "Ann", Role::Editor));
    assert_eq!(grant.expires, Some(NOW + 60_000));
    assert!(admit(&json!({ "room": "*" })).unwrap().every_room);
    assert!(admit(&json!({ "aud": ["other", "edgeroom"] })).is_ok());
    assert!(admit(&json!({ "scope": { "others": "are not read" } })).is_ok());
}

#[test]
fn a_name_can_be_shown_and_without_one_the_id_is() {
    let name = |changes: Value| admit(&changes).unwrap().grant.member.name.as_str().to_owned();
    assert_eq!(name(json!({ "name": null })), "ann");
    assert_eq!(name(json!({ "name": "\u{1b}[31m" })), "[31m");
    assert_eq!(name(json!({ "name": "  \n" })), "ann");
    assert_eq!(name(json!({ "name": "ä".repeat(500) })).chars().count(), limits::NAME_CHARS);
}

#[test]
fn a_token_of_another_time_room_or_audience_is_refused() {
    let refused = [
        (json!({ "exp": 1_700_000_000 }), TokenError::Expired),
        (json!({ "exp": 0 }), TokenError::Expired),
        (json!({ "nbf": 1_700_000_031 }), TokenError::Early),
        (json!({ "room": "demo2" }), TokenError::Room),
        (json!({ "room": "Demo" }), TokenError::Room),
        (json!({ "room": "" }), TokenError::Room),
        (json!({ "aud": "edgeroom2" }), TokenError::Audience),
        (json!({ "aud": [] }), TokenError::Audience),
    ];
    for (changes, error) in refused {
        assert_eq!(admit(&changes), Err(error), "{changes}");
    }
    assert!(admit(&json!({ "nbf": 1_700_000_030 })).is_ok(), "within the clocks' difference");
    assert_eq!(TokenError::Room.close_code(), CloseCode::Forbidden);
    assert_eq!(TokenError::Expired.close_code(), CloseCode::Unauthorized);
}

#[test]
fn claims_that_are_missing_or_of_another_kind_are_refused() {
    for changes in [
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": "a\nb" }),
        json!({ "sub": "x".repeat(limits::MEMBER_ID_BYTES + 1) }),
        json!({ "aud": null }),
        json!({ "room": null }),
        json!({ "role": null }),
        json!({ "role": "admin" }),
        json!({ "exp": null }),
        json!({ "exp": "1700000060" }),
        json!({ "exp": 1_700_000_060_000_u64 }),
        json!({ "exp": -1 }),
        json!({ "nbf": -1 }),
        json!({ "rules": "all" }),
        json!({ "rules": [{ "paths": "", "role": "editor" }] }),
        json!({ "rules": [{ "paths": "docs/{a", "role": "viewer" }] }),
        json!({ "rules": [{ "paths": "/docs/**", "role": "viewer" }] }),
        json!({ "rules": vec![json!({ "paths": "a", "role": "editor" }); limits::TOKEN_RULES + 1] }),
    ] {
        assert_eq!(admit(&changes), Err(TokenError::Malformed), "{changes}");
    }
}

#[test]
fn the_first_rule_that_fits_a_path_decides_on_it() {
    let rules = json!([
        { "paths": "docs/private/**", "role": "viewer" },
        { "paths": "docs/**", "role": "editor" },
        { "paths": "*.{md,txt}", "role": "editor" },
    ]);
    let grant = admit(&json!({ "role": "viewer", "rules": rules })).unwrap().grant;
    let role = |path: &str| grant.role_at(Some(&FilePath::parse(path).unwrap()));
    assert_eq!(role("docs/private/a/b.md"), Role::Viewer);
    assert_eq!(role("docs/a/b.md"), Role::Editor);
    assert_eq!(role("README.md"), Role::Editor);
    assert_eq!(role("src/README.md"), Role::Viewer, "one star stays within a segment");
    assert_eq!(grant.role_at(None), Role::Viewer);
}

#[test]
fn a_rule_keeps_its_file_from_being_edited_whatever_its_name_is_made_of() {
    for (paths, path, other) in [
        ("pages/[id].tsx", "pages/[id].tsx", "pages/i.tsx"),
        ("!secret.md", "!secret.md", "other.md"),
        ("cafe\u{301}/**", "caf\u{e9}/menu.md", "cafe/menu.md"),
        ("?.md", "\u{1f600}.md", "ab.md"),
    ] {
        let rules = json!([{ "paths": paths, "role": "viewer" }]);
        let grant = admit(&json!({ "rules": rules })).unwrap().grant;
        let role = |path: &str| grant.role_at(Some(&FilePath::parse(path).unwrap()));
        assert_eq!((role(path), role(other)), (Role::Viewer, Role::Editor), "{paths}");
    }
}

#[test]
fn a_draft_is_what_its_reader_reads() {
    for key in keys().keys() {
        let claims: Claims = serde_json::from_value(claims()).unwrap();
        let signature = vec![3; if key.algorithm() == Algorithm::Hs256 { 32 } else { 64 }];
        let token = token::signed_with(&token::draft(key, &claims), &signature);
        let read = Presented::read(&token).unwrap();
        assert_eq!(read.key(&keys()), Ok(key));
        assert_eq!(read.signature(), signature);
        assert_eq!(read.claims(), Ok(claims));
    }
}

#[test]
fn a_jwks_that_cannot_be_meant_is_refused_and_keys_of_other_kinds_are_left_out() {
    let point = b64([7; 32]);
    let one = |key: Value| KeySet::parse(&json!({ "keys": [key] }).to_string()).map(|keys| keys.keys().len());
    assert_eq!(one(json!({ "kty": "OKP", "crv": "Ed25519", "x": b64([7; 31]) })), Err(KeysError::Parts(1)));
    assert_eq!(one(json!({ "kty": "OKP", "crv": "Ed25519" })), Err(KeysError::Parts(1)));
    assert_eq!(
        one(json!({ "kty": "OKP", "crv": "Ed25519", "x": point, "d": "x" })),
        Err(KeysError::Parts(1))
    );
    assert_eq!(one(json!({ "kty": "EC", "crv": "P-256", "x": point })), Err(KeysError::Parts(1)));
    assert_eq!(one(json!({ "kty": "oct", "k": b64([1; 31]) })), Err(KeysError::Parts(1)));
    let mixed = json!({ "kty": "OKP", "crv": "Ed25519", "x": point, "alg": "HS256" });
    assert_eq!(one(mixed), Err(KeysError::Algorithm(1)));
    assert_eq!(one(json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" })), Err(KeysError::Empty));
    assert_eq!(one(json!({ "kty": "oct", "k": b64([1; 32]), "use": "enc" })), Err(KeysError::Empty));
    assert_eq!(KeySet::parse("[]"), Err(KeysError::Form));
    let key = json!({ "kty": "oct", "kid": "a", "k": b64([1; 32]) });
    let twice = json!({ "keys": [key, key] });
    assert_eq!(KeySet::parse(&twice.to_string()), Err(KeysError::Twice("a".into())));
    assert_eq!(keys().signer().and_then(|key| key.id()), Some("ec"), "the first with a private part");
}

#[test]
fn nothing_shows_a_secret() {
    let shown = format!("{:?}", keys());
    for secret in [b64([7; 32]), b64([9; 32]), "[7, 7".to_owned(), "[9, 9".to_owned()] {
        assert!(!shown.contains(&secret), "{shown}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(text in "[A-Za-z0-9_.=-]{0,300}|.{0,80}") {
        if let Ok(presented) = Presented::read(&text) {
            let _ = presented.key(&keys());
            let _ = presented.claims();
        }
        let _ = KeySet::parse(&text);
    }

    #[test]
    fn any_json_is_claims_or_refused(json in "\\{(\"(sub|aud|room|role|exp|nbf|rules)\":(1e[0-9]{1,3}|-?[0-9]{1,20}|\"\\*\"|\\[\\]|null),?){0,8}\\}") {
        let token = format!("{}.{}.{}", b64(r#"{"alg":"EdDSA"}"#), b64(json), b64("s"));
        let presented = Presented::read(&token).unwrap();
        if let Ok(claims) = presented.claims() {
            let _ = claims.admit(None, NOW, limits::TOKEN_SKEW_MS);
        }
    }
}

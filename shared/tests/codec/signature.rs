//! The signature of the link: who it lets in, and that nothing else gets through.

use proptest::prelude::*;
use shared::signature::{LinkKeys, SignatureError, Subject, Verb};

const NONCE: &str = "0123456789abcdef";
const NOW: u64 = 1_700_000_000_123;

fn subject() -> Subject<'static> {
    Subject { verb: Verb::Dial, edge: "https://edge.example", room: "demo", region: "weur" }
}

fn keys(text: &str) -> LinkKeys {
    LinkKeys::parse(text).unwrap()
}

#[test]
fn a_signature_is_the_hmac_that_others_compute() {
    let header = keys("k1:secret").sign(subject(), NOW, NONCE);
    // As `openssl dgst -sha256 -hmac secret` says of the six parts with line breaks between them.
    let expected = "e932008b6ae0d6105c7fce365c7fe706cdb7bd3d060fb0ce47c48fea4ef1475f";
    assert_eq!(header, format!("Edgeroom kid=k1,ts=1700000000,nonce={NONCE},sig={expected}"));
    assert_eq!(keys("k1:secret").verify(subject(), &header, NOW), Ok(NONCE.to_owned()));
}

#[test]
fn the_first_key_signs_and_every_key_verifies() {
    let old = keys("old:a").sign(subject(), NOW, NONCE);
    let new = keys("new:b,old:a").sign(subject(), NOW, NONCE);
    assert!(new.contains("kid=new,"));
    assert!(keys("new:b, old:a").verify(subject(), &old, NOW).is_ok());
    assert_eq!(keys("old:a").verify(subject(), &new, NOW), Err(SignatureError::UnknownKey));
    assert_eq!(keys("old:b").verify(subject(), &old, NOW), Err(SignatureError::Wrong));
}

#[test]
fn a_signature_is_good_for_its_subject_only() {
    let keys = keys("k:s");
    let header = keys.sign(subject(), NOW, NONCE);
    let others = [
        Subject { verb: Verb::Link, ..subject() },
        Subject { edge: "https://edge.exampl", ..subject() },
        Subject { room: "demo2", ..subject() },
        Subject { region: "enam", ..subject() },
    ];
    for other in others {
        assert_eq!(keys.verify(other, &header, NOW), Err(SignatureError::Wrong), "{other:?}");
    }
    let shifted =
        Subject { edge: "https://edge.example\ndemo", room: "weur", region: "1700000000", ..subject() };
    assert_eq!(keys.verify(shifted, &header, NOW), Err(SignatureError::Malformed));
    for (part, changed) in [("ts=17", "ts=16"), ("nonce=0", "nonce=1")] {
        assert_eq!(keys.verify(subject(), &header.replace(part, changed), NOW), Err(SignatureError::Wrong));
    }
}

#[test]
fn a_signature_is_good_for_a_minute_both_ways() {
    let keys = keys("k:s");
    let header = keys.sign(subject(), NOW, NONCE);
    for good in [NOW - 60_000, NOW, NOW + 60_000] {
        assert!(keys.verify(subject(), &header, good).is_ok());
    }
    for bad in [NOW - 61_000, NOW + 61_000, 0] {
        assert_eq!(keys.verify(subject(), &header, bad), Err(SignatureError::Expired));
    }
}

#[test]
fn a_header_of_another_form_is_refused() {
    let keys = keys("k:s");
    let header = keys.sign(subject(), NOW, NONCE);
    let short = keys.sign(subject(), NOW, "0123456789abcde");
    let long = keys.sign(subject(), NOW, &"n".repeat(65));
    let odd = keys.sign(subject(), NOW, "0123456789abcdé");
    let upper = header.to_uppercase();
    let bad = [
        "",
        "Edgeroom ",
        "Bearer x",
        "Edgeroom kid=k",
        &short,
        &long,
        &odd,
        &upper,
        &format!("{header},x=1"),
    ];
    for header in bad {
        assert_eq!(keys.verify(subject(), header, NOW), Err(SignatureError::Malformed), "{header}");
    }
}

#[test]
fn keys_need_an_id_and_a_secret_and_hide_it() {
    for bad in ["", "k", "k:", ":s", "k=1:s", "k:s,", "k:s,,"] {
        assert_eq!(LinkKeys::parse(bad).map(|_| ()), Err(SignatureError::Keys), "{bad}");
    }
    let shown = format!("{:?}", keys("k1:hunter2,k2:also:secret"));
    assert_eq!(shown, r#"["k1", "k2"]"#);
}

/// Headers, and what nearly is one.
const HEADER: &str = concat!(
    "(Edgeroom )?(kid=k,)?(ts=[0-9]{0,12},)?",
    "(nonce=[0-9a-f]{10,20},)?(sig=[0-9a-f]{60,68})?\\PC*"
);

proptest! {
    #[test]
    fn no_header_gets_through_by_chance(header in HEADER) {
        prop_assert!(keys("k:s").verify(subject(), &header, NOW).is_err());
    }
}

//! Tokens and keys: read or refused, and never another algorithm than that of the key.

use shared::{
    id::RoomId,
    token::{KeySet, Presented, draft, signed_with},
};

const NOW: u64 = 1_700_000_000_000;
const KEYS: &str = r#"{"keys":[{"kty":"oct","kid":"k","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#;

/// A token, and a JWKS: bytes by themselves, and as the claims of a token that is well formed otherwise.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let keys = KeySet::parse(KEYS).expect("keys");
    if let Ok(set) = KeySet::parse(text) {
        assert!(!set.keys().is_empty());
    }
    if let Ok(claims) = serde_json::from_str(text) {
        let key = keys.signer().expect("a secret signs");
        let token = signed_with(&draft(key, &claims), &[0; 32]);
        if let Ok(presented) = Presented::read(&token) {
            assert_eq!(presented.key(&keys), Ok(key));
        }
    }
    if let Ok(presented) = Presented::read(text) {
        if let Ok(key) = presented.key(&keys) {
            assert_eq!((key.id(), presented.signature().len()), (Some("k"), 32));
        }
        let room = RoomId::parse("demo").expect("a room");
        if let Ok(pass) = presented.claims().and_then(|claims| claims.admit(Some(&room), NOW, 0)) {
            assert!(pass.grant.expires.is_some_and(|at| at > NOW), "{pass:?}");
        }
    }
}

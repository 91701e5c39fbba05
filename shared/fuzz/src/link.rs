//! What edge and origin say to each other.

use bytes::Bytes;
use shared::{
    signature::{LinkKeys, Subject, Verb},
    wire::link,
};

const SUBJECT: Subject<'static> =
    Subject { verb: Verb::Link, edge: "https://edge.example", room: "demo", region: "weur" };
const NOW: u64 = 1_700_000_000_000;

/// A frame of a hub: what is read is read again from what it is written as.
pub fn link_hub(bytes: &[u8]) {
    for frame in frames(bytes) {
        if let Ok(messages) = link::decode_hub(&frame) {
            assert_eq!(link::decode_hub(&link::encode_hub(&messages)), Ok(messages));
        }
    }
}

/// A frame of an origin.
pub fn link_origin(bytes: &[u8]) {
    for frame in frames(bytes) {
        if let Ok(messages) = link::decode_origin(&frame) {
            assert_eq!(link::decode_origin(&link::encode_origin(&messages)), Ok(messages));
        }
    }
}

/// An `Authorization` header: nothing but what the key has signed is believed.
pub fn signature(bytes: &[u8]) {
    let keys = LinkKeys::parse("k1:a-secret-of-some-length").expect("a key");
    let signed = keys.sign(SUBJECT, NOW, "0123456789abcdef");
    let Ok(header) = std::str::from_utf8(bytes) else { return };
    assert_eq!(keys.verify(SUBJECT, &signed, NOW).as_deref(), Ok("0123456789abcdef"));
    // A change somewhere in what was signed, and the bytes by themselves.
    let at = header.len() % signed.len();
    let changed = format!("{}{header}{}", &signed[..at], &signed[at..]);
    for header in [header, &changed] {
        if header != signed
            && let Ok(nonce) = keys.verify(SUBJECT, header, NOW)
        {
            assert_eq!(nonce, "0123456789abcdef", "{header}");
        }
    }
}

/// The bytes as they are, and as the body of one message.
fn frames(bytes: &[u8]) -> [Bytes; 2] {
    let (tag, body) = bytes.split_first().unwrap_or((&0, &[]));
    let body = &body[..body.len().min(127)];
    let length = u8::try_from(body.len()).unwrap_or_default();
    let message = [&[link::VERSION, tag % 20, length], body].concat();
    [Bytes::copy_from_slice(bytes), message.into()]
}

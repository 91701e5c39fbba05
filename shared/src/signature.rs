//! The signature with which edge and origin show each other who they are.
//!
//! `Authorization: Edgeroom kid=K,ts=SECONDS,nonce=N,sig=HEX`, HMAC-SHA256 over
//! `verb\nedge\nroom\nregion\nts\nnonce`, good for a minute. Whether a nonce was used before is for the
//! caller to know.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Millis, limits};

const SCHEME: &str = "Edgeroom ";
const NONCE_CHARS: std::ops::RangeInclusive<usize> = 16..=64;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A hub asks an origin to dial it.
    Dial,
    /// An origin opens the link to a hub.
    Link,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::Link => "link",
        }
    }
}

/// What a signature is for; it is good for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// What is asked for.
    pub verb: Verb,
    /// The base URL under which the edge is reached.
    pub edge: &'a str,
    /// The room.
    pub room: &'a str,
    /// The region of the hub.
    pub region: &'a str,
}

/// Why a signature, or the keys themselves, are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Keys that are not `id:secret,...`.
    #[error("link keys are id:secret, separated by commas; an id is of A-Z a-z 0-9 . _ -")]
    Keys,
    /// A header, subject or nonce of another form.
    #[error("this is not a link signature")]
    Malformed,
    /// No key of that id.
    #[error("the link signature names a key that is not known")]
    UnknownKey,
    /// Signed too long ago, or in the future.
    #[error("the link signature is older or newer than a minute")]
    Expired,
    /// Signed with another key, or for something else.
    #[error("the link signature does not fit")]
    Wrong,
}

/// The keys of the link: the first one signs, each one verifies.
#[derive(Clone)]
pub struct LinkKeys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: String,
    mac: Hmac<Sha256>,
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl LinkKeys {
    /// Reads `id:secret,...`.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        text.split(',').map(|key| Key::parse(key.trim())).collect::<Result<_, _>>().map(Self)
    }

    /// The value of the `Authorization` header that shows this side's right to `subject`.
    pub fn sign(&self, subject: Subject<'_>, now: Millis, nonce: &str) -> String {
        let seconds = (now / 1000).to_string();
        let mut header = String::from(SCHEME);
        // There is always a first key: the only constructor takes no empty list.
        if let Some(key) = self.0.first() {
            let signature = key.over(subject, &seconds, nonce).finalize().into_bytes();
            header += &format!("kid={},ts={seconds},nonce={nonce},sig=", key.id);
            for byte in signature {
                header += &format!("{byte:02x}");
            }
        }
        header
    }

    /// Verifies a header value in constant time and returns its nonce.
    pub fn verify(&self, subject: Subject<'_>, header: &str, now: Millis) -> Result<String, SignatureError> {
        let claim = Claim::parse(header).ok_or(SignatureError::Malformed)?;
        // A line break in a part would let one subject be read as another.
        if [subject.edge, subject.room, subject.region].iter().any(|part| part.contains('\n')) {
            return Err(SignatureError::Malformed);
        }
        let key = self.0.iter().find(|key| key.id == claim.key).ok_or(SignatureError::UnknownKey)?;
        let mac = key.over(subject, claim.seconds, claim.nonce);
        mac.verify_slice(&claim.signature).map_err(|_| SignatureError::Wrong)?;
        let seconds: u64 = claim.seconds.parse().map_err(|_| SignatureError::Malformed)?;
        if (now / 1000).abs_diff(seconds) > limits::SIGNATURE_MS / 1000 {
            return Err(SignatureError::Expired);
        }
        Ok(claim.nonce.to_owned())
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, SignatureError> {
        let (id, secret) = text.split_once(':').ok_or(SignatureError::Keys)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if id.is_empty() || !id.bytes().all(plain) || secret.is_empty() {
            return Err(SignatureError::Keys);
        }
        let mac = Hmac::new_from_slice(secret.as_bytes()).map_err(|_| SignatureError::Keys)?;
        Ok(Self { id: id.to_owned(), mac })
    }

    fn over(&self, subject: Subject<'_>, seconds: &str, nonce: &str) -> Hmac<Sha256> {
        let Subject { verb, edge, room, region } = subject;
        let mut mac = self.mac.clone();
        mac.update([verb.word(), edge, room, region, seconds, nonce].join("\n").as_bytes());
        mac
    }
}

/// What a header says, before anybody believes it.
struct Claim<'a> {
    key: &'a str,
    seconds: &'a str,
    nonce: &'a str,
    signature: [u8; 32],
}

impl<'a> Claim<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let mut fields = header.strip_prefix(SCHEME)?.split(',');
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        let claim = Self {
            key: field("kid")?,
            seconds: field("ts")?,
            nonce: field("nonce")?,
            signature: unhex(field("sig")?)?,
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let fits = NONCE_CHARS.contains(&claim.nonce.len())
            && claim.nonce.bytes().all(plain)
            && claim.seconds.bytes().all(|b| b.is_ascii_digit())
            && fields.next().is_none();
        fits.then_some(claim)
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| char::from(b).to_digit(16).filter(|_| !b.is_ascii_uppercase());
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(bytes)
}

//! Tokens: what a JWT in its compact form says, and what has to be true before it lets anybody in.
//!
//! Pure: a shell verifies the signature with the cryptography of its platform. The order is one of types:
//! [`Presented::read`] bounds and reads all but the claims, [`Presented::key`] finds the one key whose algorithm it
//! names, and only a token whose signature the shell has verified gives its claims, by [`Presented::claims`].

mod error;
mod claims;
mod keys;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

pub use self::{
    claims::{AUDIENCE, Audience, Claims, EVERY_ROOM, Pass},
    error::TokenError,
    keys::{Algorithm, Key, KeySet, KeysError, Material},
};
use crate::limits;

/// A token as it was shown: nobody has verified it, and its claims are not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    payload: &'a str,
    signed: &'a str,
    signature: Vec<u8>,
}

/// The header, as far as it decides anything.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood: none is.
    crit: Option<serde::de::IgnoredAny>,
}

impl<'a> Presented<'a> {
    /// Reads header and signature of a compact JWT.
    pub fn read(token: &'a str) -> Result<Self, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Absent);
        }
        if token.len() > limits::TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let algorithm = Algorithm::named(&header.alg).ok_or(TokenError::Algorithm)?;
        Ok(Self { algorithm, key_id: header.kid, payload, signed, signature: decoded(signature)? })
    }

    /// The key that must have signed it: the one of that id, or without an id the only one of its algorithm. The
    /// key decides on the algorithm, never the token.
    pub fn key<'k>(&self, keys: &'k KeySet) -> Result<&'k Key, TokenError> {
        let key = self.named_key(keys)?;
        // Not every platform takes a signature of another length for one that does not fit.
        let is_one = self.signature.len() == key.algorithm().signature_bytes();
        if is_one { Ok(key) } else { Err(TokenError::Signature) }
    }

    fn named_key<'k>(&self, keys: &'k KeySet) -> Result<&'k Key, TokenError> {
        let Some(id) = &self.key_id else {
            let mut fitting = keys.keys().iter().filter(|key| key.algorithm() == self.algorithm);
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                (Some(_), Some(_)) => Err(TokenError::UnknownKey),
                (None, _) => Err(TokenError::Algorithm),
            };
        };
        let key = keys.keys().iter().find(|key| key.id() == Some(id)).ok_or(TokenError::UnknownKey)?;
        if key.algorithm() == self.algorithm { Ok(key) } else { Err(TokenError::Algorithm) }
    }

    /// What the signature is over.
    pub fn signed(&self) -> &'a [u8] {
        self.signed.as_bytes()
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// What it says. Only to be asked once the signature was verified with [`Self::key`].
    pub fn claims(&self) -> Result<Claims, TokenError> {
        serde_json::from_slice(&decoded(self.payload)?).map_err(|_| TokenError::Malformed)
    }
}

/// What is to be signed for a token of these claims; the signature follows after a dot, see [`signed_with`].
pub fn draft(key: &Key, claims: &Claims) -> String {
    let mut header = serde_json::json!({ "alg": key.algorithm().name(), "typ": "JWT" });
    if let Some(id) = key.id() {
        header["kid"] = id.into();
    }
    let claims = serde_json::to_vec(claims).unwrap_or_default();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims))
}

/// A draft with its signature: a token.
pub fn signed_with(draft: &str, signature: &[u8]) -> String {
    format!("{draft}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn decoded(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

//! The keys of tokens: a JWKS (RFC 7517) in which each key is good for exactly one algorithm.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::limits;

/// How a token is signed. There is no other way, and above all not `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA on P-256 with SHA-256, the signature as r and s.
    Es256,
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// Its name in headers of tokens.
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
        }
    }

    /// How long its signatures are.
    pub(super) fn signature_bytes(self) -> usize {
        match self {
            Self::EdDsa | Self::Es256 => 64,
            Self::Hs256 => 32,
        }
    }

    /// RFC 9864 names EdDSA after its curve.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "HS256" => Some(Self::Hs256),
            _ => None,
        }
    }
}

/// What a key is made of.
#[derive(Clone, PartialEq, Eq)]
pub enum Material {
    /// Ed25519.
    Ed25519 {
        /// The public key.
        public: [u8; 32],
        /// The seed, if it may sign.
        private: Option<[u8; 32]>,
    },
    /// P-256.
    P256 {
        /// The public point, uncompressed: 4, x, y.
        public: [u8; 65],
        /// The scalar, if it may sign.
        private: Option<[u8; 32]>,
    },
    /// A secret that verifies and signs.
    Secret(Vec<u8>),
}

/// One key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: Option<String>,
    material: Material,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

impl Key {
    /// Its id, which a token names.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The only algorithm that it is for.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Ed25519 { .. } => Algorithm::EdDsa,
            Material::P256 { .. } => Algorithm::Es256,
            Material::Secret(_) => Algorithm::Hs256,
        }
    }

    /// What it is made of.
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// Whether it can sign.
    pub fn can_sign(&self) -> bool {
        match &self.material {
            Material::Ed25519 { private, .. } | Material::P256 { private, .. } => private.is_some(),
            Material::Secret(_) => true,
        }
    }
}

/// Why keys cannot be used. No text holds a part of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not a JWKS.
    #[error("this is not a JWKS: {{\"keys\": [...]}}")]
    Form,
    /// A key with parts that are missing, of a wrong length, or not base64url.
    #[error("key {0} of the JWKS lacks something, or something in it is not as long as it has to be")]
    Parts(usize),
    /// A key with an algorithm that is not that of its kind.
    #[error("key {0} of the JWKS names an algorithm that is not that of its kind")]
    Algorithm(usize),
    /// Two keys of one id.
    #[error("two keys of the JWKS have the id {0:?}")]
    Twice(String),
    /// No key is left.
    #[error("the JWKS holds no key for EdDSA, ES256 or HS256")]
    Empty,
    /// More keys than anybody needs.
    #[error("the JWKS holds more than {} keys", limits::TOKEN_KEYS)]
    Many,
}

/// The keys that tokens are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// A key as it is written.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<String>,
    k: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

impl KeySet {
    /// Reads a JWKS. Keys of a kind that is not known here, or not for signatures, are left out.
    pub fn parse(json: &str) -> Result<Self, KeysError> {
        let set: Jwks = serde_json::from_str(json).map_err(|_| KeysError::Form)?;
        if set.keys.len() > limits::TOKEN_KEYS {
            return Err(KeysError::Many);
        }
        let mut keys: Vec<Key> = Vec::new();
        for (place, jwk) in set.keys.into_iter().enumerate() {
            let Some(key) = jwk.read(place + 1)? else { continue };
            if let Some(id) = key.id().filter(|id| keys.iter().any(|known| known.id() == Some(id))) {
                return Err(KeysError::Twice(id.to_owned()));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// The keys, in their order.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// The first key that can sign.
    pub fn signer(&self) -> Option<&Key> {
        self.0.iter().find(|key| key.can_sign())
    }
}

impl Jwk {
    fn read(self, place: usize) -> Result<Option<Key>, KeysError> {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Ok(None);
        }
        let part = |part: &Option<String>| fixed(part.as_deref()).ok_or(KeysError::Parts(place));
        let private = || self.d.as_ref().map(|_| part(&self.d)).transpose();
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => Material::Ed25519 { public: part(&self.x)?, private: private()? },
            ("EC", Some("P-256")) => {
                let mut public = [4; 65];
                public[1..33].copy_from_slice(&part(&self.x)?);
                public[33..].copy_from_slice(&part(&self.y)?);
                Material::P256 { public, private: private()? }
            }
            ("oct", _) => {
                let secret = self.k.as_deref().and_then(|k| URL_SAFE_NO_PAD.decode(k).ok());
                let secret = secret.filter(|secret| secret.len() >= limits::TOKEN_SECRET_BYTES);
                Material::Secret(secret.ok_or(KeysError::Parts(place))?)
            }
            _ => return Ok(None),
        };
        let key = Key { id: self.kid, material };
        match self.alg.as_deref() {
            Some(alg) if Algorithm::named(alg) != Some(key.algorithm()) => Err(KeysError::Algorithm(place)),
            _ => Ok(Some(key)),
        }
    }
}

fn fixed(text: Option<&str>) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text?).ok()?.try_into().ok()
}

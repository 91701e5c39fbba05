//! The keys of tokens, as this origin has them: verifies with all of them, signs with the first private one.
//!
//! Keys of a file are read again when the file changes, so that keys come and go without a restart. A file that
//! cannot be read or used leaves the keys of before in place.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use ring::{hmac, rand::SystemRandom, signature};
use shared::{
    Millis,
    id::RoomId,
    token::{self, Claims, Key, KeySet, KeysError, Material, Pass, Presented, TokenError},
};

/// Largest file of keys.
const FILE_BYTES: u64 = 256 << 10;

/// The keys. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Option<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    keys: Arc<KeySet>,
    stamp: Option<Stamp>,
}

/// What changes with a file.
type Stamp = (Option<SystemTime>, u64);

/// Why keys cannot be used, or nothing be signed with them.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// A file that cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// A file that is too large for keys.
    #[error("{0} is larger than {FILE_BYTES} bytes")]
    Large(PathBuf),
    /// Not a JWKS that can be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A private key that does not go with its public one.
    #[error("key {0:?} is not a pair of a public and a private key")]
    Pair(Option<String>),
    /// No key may sign.
    #[error("no key of JWT_KEYS has a private part, so nothing can be signed")]
    NoSigner,
}

impl Tokens {
    /// The keys of a JWKS, or of the file that has one.
    pub fn open(keys: &str) -> Result<Self, TokensError> {
        let keys = keys.trim();
        let (file, known) = if keys.starts_with('{') {
            (None, Known { keys: usable(keys)?, stamp: None })
        } else {
            let file = PathBuf::from(keys);
            let known = read(&file)?;
            (Some(file), known)
        };
        Ok(Self(Arc::new(Inner { file, known: Mutex::new(known) })))
    }

    /// What a token gives in `room`, or, without one, if it is for every room. See [`Claims::admit`].
    pub fn pass(
        &self,
        token: &str,
        room: Option<&RoomId>,
        now: Millis,
        late_ms: Millis,
    ) -> Result<Pass, TokenError> {
        let presented = Presented::read(token)?;
        let keys = self.keys();
        if !fits(presented.key(&keys)?, &presented) {
            return Err(TokenError::Signature);
        }
        presented.claims()?.admit(room, now, late_ms)
    }

    /// A token of these claims, signed with the first private key.
    pub fn sign(&self, claims: &Claims) -> Result<String, TokensError> {
        let keys = self.keys();
        let key = keys.signer().ok_or(TokensError::NoSigner)?;
        let draft = token::draft(key, claims);
        let signature = signature_of(key, draft.as_bytes())?;
        Ok(token::signed_with(&draft, &signature))
    }

    /// The keys as they are now: whether the file has changed is asked at each use, which costs less than verifying.
    fn keys(&self) -> Arc<KeySet> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.0.file {
            let stamp = stamp(file).ok();
            if stamp.is_some() && stamp != known.stamp {
                // A broken file is complained of once, not at each use.
                known.stamp = stamp;
                match read(file) {
                    Ok(new) => {
                        tracing::info!(keys = new.keys.keys().len(), "JWT_KEYS reloaded");
                        *known = new;
                    }
                    Err(error) => {
                        tracing::error!(%error, "JWT_KEYS reload failed; keeping the previous keys")
                    }
                }
            }
        }
        known.keys.clone()
    }
}

fn read(file: &Path) -> Result<Known, TokensError> {
    let failed = |error| TokensError::File(file.to_owned(), error);
    // The stamp first: a change in between is then seen at the next use.
    let stamp = stamp(file).map_err(failed)?;
    if stamp.1 > FILE_BYTES {
        return Err(TokensError::Large(file.to_owned()));
    }
    let keys = usable(&fs::read_to_string(file).map_err(failed)?)?;
    Ok(Known { keys, stamp: Some(stamp) })
}

fn stamp(file: &Path) -> std::io::Result<Stamp> {
    let metadata = fs::metadata(file)?;
    Ok((metadata.modified().ok(), metadata.len()))
}

/// Reads keys, and tries out those that sign: a pair that is none is found at the start.
fn usable(json: &str) -> Result<Arc<KeySet>, TokensError> {
    let keys = KeySet::parse(json)?;
    for key in keys.keys().iter().filter(|key| key.can_sign()) {
        signature_of(key, b"")?;
    }
    Ok(Arc::new(keys))
}

fn fits(key: &Key, token: &Presented<'_>) -> bool {
    let verified = |algorithm, public: &[u8]| {
        signature::UnparsedPublicKey::new(algorithm, public).verify(token.signed(), token.signature()).is_ok()
    };
    match key.material() {
        Material::Ed25519 { public, .. } => verified(&signature::ED25519, public),
        Material::P256 { public, .. } => verified(&signature::ECDSA_P256_SHA256_FIXED, public),
        Material::Secret(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::verify(&key, token.signed(), token.signature()).is_ok()
        }
    }
}

fn signature_of(key: &Key, message: &[u8]) -> Result<Vec<u8>, TokensError> {
    let no_pair = || TokensError::Pair(key.id().map(str::to_owned));
    match key.material() {
        Material::Ed25519 { public, private: Some(seed) } => {
            let pair = signature::Ed25519KeyPair::from_seed_and_public_key(seed, public);
            Ok(pair.map_err(|_| no_pair())?.sign(message).as_ref().to_vec())
        }
        Material::P256 { public, private: Some(scalar) } => {
            let (kind, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
            let pair =
                signature::EcdsaKeyPair::from_private_key_and_public_key(kind, scalar, public, &random);
            let signed = pair.map_err(|_| no_pair())?.sign(&random, message).map_err(|_| no_pair())?;
            Ok(signed.as_ref().to_vec())
        }
        Material::Secret(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            Ok(hmac::sign(&key, message).as_ref().to_vec())
        }
        Material::Ed25519 { .. } | Material::P256 { .. } => Err(TokensError::NoSigner),
    }
}

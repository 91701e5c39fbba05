//! Verifying tokens with the platform's cryptography: what the shared code leaves to its shells.
//!
//! A key is imported once per isolate. Keys change with a new version of the Worker, and with it come new isolates.

use std::{cell::RefCell, collections::HashMap};

use js_sys::{Array, Object, Reflect, Uint8Array};
use shared::{
    Millis,
    close::{CloseCode, Denial},
    grant::Grant,
    id::RoomId,
    token::{Algorithm, Key, KeySet, Material, Presented, TokenError},
};
use wasm_bindgen::{JsCast, JsValue};
use worker::{
    Env, console_error,
    wasm_bindgen_futures::JsFuture,
    web_sys::{CryptoKey, SubtleCrypto, WorkerGlobalScope},
};

use crate::rate_limit::check_member;

thread_local! {
    /// The keys that were imported, by their place in `JWT_KEYS`.
    static IMPORTED: RefCell<HashMap<usize, CryptoKey>> = RefCell::default();
}

/// The verdict on a token that is shown in a room. It counts for how often its member comes in.
pub(crate) async fn verify(
    env: &Env,
    keys: &KeySet,
    room: &RoomId,
    token: &str,
    now: Millis,
) -> Result<Grant, Denial> {
    let presented = Presented::read(token)?;
    let key = presented.key(keys)?;
    let fits = fits(keys, key, &presented).await.map_err(|error| {
        console_error!("token.verify: key {:?}: {error:?}", key.id());
        Denial { code: CloseCode::Failed, reason: "cannot-verify".to_owned() }
    })?;
    if !fits {
        return Err(TokenError::Signature.into());
    }
    let grant = presented.claims()?.admit(Some(room), now, 0)?.grant;
    check_member(env, &grant.member.id).await?;
    Ok(grant)
}

async fn fits(keys: &KeySet, key: &Key, token: &Presented<'_>) -> Result<bool, JsValue> {
    let subtle = subtle()?;
    let imported = imported(&subtle, keys, key).await?;
    let algorithm = algorithm(key.algorithm(), "hash")?;
    let (signature, signed) = (Uint8Array::from(token.signature()), Uint8Array::from(token.signed()));
    let verified = subtle
        .verify_with_object_and_js_u8_array_and_js_u8_array(&algorithm, &imported, &signature, &signed)?;
    Ok(JsFuture::from(verified).await?.is_truthy())
}

async fn imported(subtle: &SubtleCrypto, keys: &KeySet, key: &Key) -> Result<CryptoKey, JsValue> {
    let place = keys.keys().iter().position(|known| known == key).unwrap_or_default();
    if let Some(known) = IMPORTED.with_borrow(|known| known.get(&place).cloned()) {
        return Ok(known);
    }
    let raw = match key.material() {
        Material::Ed25519 { public, .. } => &public[..],
        Material::P256 { public, .. } => &public[..],
        Material::Secret(secret) => secret,
    };
    let algorithm =
        algorithm(key.algorithm(), if key.algorithm() == Algorithm::Es256 { "namedCurve" } else { "hash" })?;
    let usages = Array::of1(&JsValue::from_str("verify"));
    let key = subtle.import_key_with_object("raw", &Uint8Array::from(raw), &algorithm, false, &usages)?;
    let key: CryptoKey = JsFuture::from(key).await?.unchecked_into();
    IMPORTED.with_borrow_mut(|known| known.insert(place, key.clone()));
    Ok(key)
}

/// How the platform names an algorithm, with the parameter that importing or verifying wants.
fn algorithm(algorithm: Algorithm, parameter: &str) -> Result<Object, JsValue> {
    let name = match algorithm {
        Algorithm::EdDsa => "Ed25519",
        Algorithm::Es256 => "ECDSA",
        Algorithm::Hs256 => "HMAC",
    };
    let value = if parameter == "namedCurve" { "P-256" } else { "SHA-256" };
    let object = Object::new();
    Reflect::set(&object, &JsValue::from_str("name"), &JsValue::from_str(name))?;
    Reflect::set(&object, &JsValue::from_str(parameter), &JsValue::from_str(value))?;
    Ok(object)
}

fn subtle() -> Result<SubtleCrypto, JsValue> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    Ok(scope.crypto()?.subtle())
}

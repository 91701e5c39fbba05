//! What is read of a request in more than one place.

use shared::{
    id::RoomId,
    signature::{Subject, Verb},
};
use worker::{Headers, Url};

use crate::{config::Config, error::Refusal, platform, region::Region};

/// The header with the id under which one request stands in the logs of edge and origin.
pub(crate) const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_BYTES: usize = 64;

/// The caller's id if it can stand in a log, else a new one.
pub(crate) fn request_id(headers: &Headers) -> worker::Result<String> {
    let stands = |id: &String| {
        (1..=REQUEST_ID_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    Ok(headers.get(REQUEST_ID)?.filter(stands).unwrap_or_else(platform::random_hex))
}

/// The base URL under which the Worker was reached: what an origin dials, and what both ends sign.
pub(crate) fn base(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A parameter of the query, decoded.
pub(crate) fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The nonce of an internal request, if its signature is good and fresh.
pub(crate) fn signed_nonce(
    config: &Config,
    headers: &Headers,
    url: &Url,
    room: &RoomId,
    region: Region,
) -> Result<String, Refusal> {
    let header = headers.get("authorization")?.unwrap_or_default();
    let subject =
        Subject { verb: Verb::Link, edge: &base(url), room: room.as_str(), region: region.as_str() };
    Ok(config.link_keys.verify(subject, &header, platform::now())?)
}

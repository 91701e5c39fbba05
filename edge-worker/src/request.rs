//! What is read of a request in more than one place.

use shared::{
    id::RoomId,
    signature::{Subject, Verb},
};
use worker::{Headers, Url};

use crate::{config::Config, error::Refusal, region::Region, surroundings};

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
    Ok(config.link_keys.verify(subject, &header, surroundings::now())?)
}

//! Who is let in before a session reaches its object.
//!
//! With `AUTH=jwt` a token says it, see [`crate::verify`]. With `AUTH=open` anybody is an editor, which is refused
//! beyond loopback unless `ALLOW_OPEN=1`.

use shared::{address::is_loopback, close::Denial, id::RoomId, subprotocol, token::TokenError};
use worker::{Env, Url};

use crate::{
    config::{Auth, Config},
    error::{Refusal, Upgrade},
    platform,
    request::query,
    verify::verify,
};

/// The token of an upgrade: `?token=`, else the one beside the subprotocol.
pub(crate) fn token(url: &Url, upgrade: &Upgrade) -> Option<String> {
    let beside = || subprotocol::token(upgrade.protocols.as_deref()).map(str::to_owned);
    query(url, "token").or_else(beside)
}

/// Whether requests to `host` are answered at all.
pub(crate) fn check_host(config: &Config, host: &str) -> Result<(), Refusal> {
    match config.auth {
        Auth::Jwt(_) => Ok(()),
        Auth::Open if config.allow_open || is_loopback(host) => Ok(()),
        Auth::Open => Err(Refusal::OpenBeyondLoopback),
    }
}

/// Authenticates a session before it reaches its object, which costs more than this: a token that it brings must be
/// valid, and a y-websocket must bring one.
pub(crate) async fn pre_authenticate(
    env: &Env,
    config: &Config,
    room: &RoomId,
    token: Option<String>,
    is_file: bool,
) -> Result<(), Denial> {
    let Auth::Jwt(keys) = &config.auth else { return Ok(()) };
    match token {
        Some(token) => verify(env, keys, room, &token, platform::now()).await.map(drop),
        None if is_file => Err(TokenError::Absent.into()),
        None => Ok(()),
    }
}

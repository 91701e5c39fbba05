//! Who may come in, and as what: the one place where that is decided.
//!
//! With `AUTH=jwt` a token says it, see [`crate::verify`]. With `AUTH=open` anybody is an editor, which is refused
//! beyond loopback unless `ALLOW_OPEN=1`.

use serde::{Deserialize, Serialize};
use shared::{
    grant::{Grant, Member, MemberName, Role},
    hub::Denial,
    id::RoomId,
    token::TokenError,
};
use worker::Env;

use crate::{
    config::{Auth, Config, is_loopback},
    error::Refusal,
    surroundings,
    verify::verify,
};

/// Our subprotocol: the token travels beside it, and the answer echoes it.
pub(crate) const SUBPROTOCOL: &str = "edgeroom.v1";

/// Who has knocked: not a member before [`admit`] has seen a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stranger {
    /// A made-up member id.
    id: String,
    /// The name asked for.
    name: MemberName,
}

impl Stranger {
    /// Somebody without a token; `random` is spelled into the id.
    pub(crate) fn new(name: Option<&str>, random: &str) -> Self {
        let id: String = random.chars().take(16).collect();
        Self { id: format!("m_{id}"), name: name.unwrap_or_default().into() }
    }
}

/// The token of an upgrade: `?token=`, else the subprotocol `bearer.TOKEN`.
pub(crate) fn token(query: Option<String>, protocols: Option<&str>) -> Option<String> {
    let bearer =
        || offered(protocols).find_map(|protocol| protocol.strip_prefix("bearer.")).map(str::to_owned);
    query.or_else(bearer)
}

/// The subprotocol to echo, if the client offers ours.
pub(crate) fn subprotocol(protocols: Option<&str>) -> Option<&'static str> {
    offered(protocols).any(|protocol| protocol == SUBPROTOCOL).then_some(SUBPROTOCOL)
}

fn offered(protocols: Option<&str>) -> impl Iterator<Item = &str> {
    protocols.unwrap_or_default().split(',').map(str::trim)
}

/// Whether requests to `host` are answered at all.
pub(crate) fn open_door(config: &Config, host: &str) -> Result<(), Refusal> {
    match config.auth {
        Auth::Jwt(_) => Ok(()),
        Auth::Open if config.allow_open || is_loopback(host) => Ok(()),
        Auth::Open => Err(Refusal::OpenBeyondLoopback),
    }
}

/// The look at a session before it reaches its object, which costs more than this: a token that it brings must be
/// good, and a y-websocket must bring one.
pub(crate) async fn knock(
    env: &Env,
    config: &Config,
    room: &RoomId,
    token: Option<String>,
    is_file: bool,
) -> Result<(), Denial> {
    let Auth::Jwt(keys) = &config.auth else { return Ok(()) };
    match token {
        Some(token) => verify(env, keys, room, &token, surroundings::now()).await.map(drop),
        None if is_file => Err(TokenError::Absent.into()),
        None => Ok(()),
    }
}

/// The verdict where anybody may come in.
pub(crate) fn welcome(stranger: &Stranger) -> Grant {
    Grant {
        member: Member { id: stranger.id.as_str().into(), name: stranger.name.clone() },
        role: Role::Editor,
        expires: None,
        version: 0,
        rules: [].into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_gets_the_name_asked_for_and_an_id() {
        let name = |asked: Option<&str>| Stranger::new(asked, "0123456789abcdef0123").name;
        assert_eq!((name(Some(" Ada ")), name(None)), (MemberName::from("Ada"), MemberName::default()));
        assert_eq!(Stranger::new(None, "0123456789abcdef0123").id, "m_0123456789abcdef");
    }

    #[test]
    fn a_token_travels_in_the_query_or_beside_the_subprotocol() {
        assert_eq!(token(Some("q".to_owned()), Some("bearer.p")).as_deref(), Some("q"));
        assert_eq!(token(None, Some("edgeroom.v1, bearer.a.b.c")).as_deref(), Some("a.b.c"));
        assert_eq!(token(None, None), None);
        assert_eq!(subprotocol(Some("edgeroom.v1, bearer.x")), Some(SUBPROTOCOL));
        assert_eq!(subprotocol(Some("edgeroom.v10")), None);
    }

    #[test]
    fn where_anybody_may_come_in_everybody_is_an_editor_under_the_name_asked_for() {
        let grant = welcome(&Stranger::new(Some("Ada"), "0123456789abcdef"));
        assert_eq!((grant.role, grant.member.name.as_str()), (Role::Editor, "Ada"));
    }
}

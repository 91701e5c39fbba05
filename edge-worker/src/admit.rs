//! Who may come in, and as what: the one place where that is decided.
//!
//! There is no token verification yet. With `AUTH=open` anybody is an editor, which is refused beyond loopback
//! unless `ALLOW_OPEN=1`; without `AUTH=open` nobody comes in, and every answer says why.

use serde::{Deserialize, Serialize};
use shared::{
    grant::{Grant, Member, Role},
    hub::Denial,
    limits,
};

use crate::{
    config::{Auth, Config, is_loopback},
    error::Refusal,
};

/// Our subprotocol: the token travels beside it, and the answer echoes it.
pub(crate) const SUBPROTOCOL: &str = "edgeroom.v1";
const NAME_CHARS: usize = 64;

/// Who has knocked: not a member before [`admit`] has seen a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stranger {
    /// A made-up member id.
    id: String,
    /// The name asked for.
    name: String,
}

impl Stranger {
    /// Somebody without a token; `random` is spelled into the id.
    pub(crate) fn new(name: Option<&str>, random: &str) -> Self {
        let name = name.map(str::trim).filter(|name| {
            (1..=NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control)
        });
        let id: String = random.chars().take(16).collect();
        Self { id: format!("m_{id}"), name: name.unwrap_or("Guest").to_owned() }
    }
}

/// The token of an upgrade: `?token=`, else the subprotocol `bearer.TOKEN`.
pub(crate) fn token(query: Option<String>, protocols: Option<&str>) -> Option<String> {
    let bearer =
        || offered(protocols).find_map(|protocol| protocol.strip_prefix("bearer.")).map(str::to_owned);
    query.or_else(bearer).filter(|token| token.len() <= limits::TOKEN_BYTES)
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
        Auth::Jwt => Err(Refusal::NoVerification),
        Auth::Open if config.allow_open || is_loopback(host) => Ok(()),
        Auth::Open => Err(Refusal::OpenBeyondLoopback),
    }
}

/// The verdict on a token.
pub(crate) fn admit(auth: Auth, stranger: &Stranger, _token: &str) -> Result<Grant, Denial> {
    match auth {
        Auth::Jwt => {
            Err(Denial { code: shared::close::CloseCode::Unauthorized, reason: "no-verification".to_owned() })
        }
        Auth::Open => Ok(Grant {
            member: Member { id: stranger.id.as_str().into(), name: stranger.name.as_str().into() },
            role: Role::Editor,
            expires: None,
            version: 0,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_gets_a_name_that_can_be_shown() {
        let name = |asked: Option<&str>| Stranger::new(asked, "0123456789abcdef0123").name;
        assert_eq!(name(Some(" Ada ")), "Ada");
        assert_eq!(name(Some(&"ä".repeat(64))), "ä".repeat(64));
        for unfit in [None, Some(""), Some("  "), Some("a\nb")] {
            assert_eq!(name(unfit), "Guest");
        }
        assert_eq!(name(Some(&"a".repeat(65))), "Guest");
        assert_eq!(Stranger::new(None, "0123456789abcdef0123").id, "m_0123456789abcdef");
    }

    #[test]
    fn a_token_travels_in_the_query_or_beside_the_subprotocol() {
        assert_eq!(token(Some("q".to_owned()), Some("bearer.p")).as_deref(), Some("q"));
        assert_eq!(token(None, Some("edgeroom.v1, bearer.a.b.c")).as_deref(), Some("a.b.c"));
        assert_eq!(token(None, None), None);
        assert_eq!(token(Some("x".repeat(limits::TOKEN_BYTES + 1)), None), None);
        assert_eq!(subprotocol(Some("edgeroom.v1, bearer.x")), Some(SUBPROTOCOL));
        assert_eq!(subprotocol(Some("edgeroom.v10")), None);
    }

    #[test]
    fn nobody_is_admitted_unless_the_door_is_open() {
        let stranger = Stranger::new(Some("Ada"), "0123456789abcdef");
        assert!(admit(Auth::Jwt, &stranger, "anything").is_err());
        let grant = admit(Auth::Open, &stranger, "anything").unwrap();
        assert_eq!((grant.role, &*grant.member.name), (Role::Editor, "Ada"));
    }
}

//! Who is let in and as what: the one place where that is decided, for sockets, links and REST.

use axum::http::{HeaderMap, header};
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    Millis,
    grant::{Grant, Member, Role},
    hub::Denial,
    id::RoomId,
    limits,
    token::{Pass, TokenError},
};

use crate::{clock, error::Refusal, tokens::Tokens};

/// The rule by which people are let in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whether anybody is an editor (`AUTH=open`).
    open: bool,
    /// Without keys nobody comes in by a token.
    tokens: Option<Tokens>,
    admin: Option<SecretString>,
}

/// What a socket brought along about its member.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Credentials {
    /// `?token=`.
    pub token: Option<String>,
    /// `?name=`: the name that others see, where no token says it.
    pub name: Option<String>,
}

/// What somebody wants to do over REST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish<'a> {
    /// To read what is in a room.
    Read(&'a RoomId),
    /// To make a shard.
    Create,
    /// To delete one.
    Delete(&'a RoomId),
}

impl Wish<'_> {
    fn room(&self) -> Option<&RoomId> {
        match self {
            Self::Read(room) | Self::Delete(room) => Some(room),
            Self::Create => None,
        }
    }

    /// Whoever may make shards, with a token for every room, may also delete them.
    fn is_within(&self, pass: &Pass) -> bool {
        match self {
            Self::Read(_) => true,
            Self::Create => pass.grant.role.may_edit(),
            Self::Delete(_) => {
                pass.grant.role == Role::Owner || (pass.every_room && pass.grant.role.may_edit())
            }
        }
    }
}

impl Access {
    /// `AUTH=open`: any token is accepted, but for what only operators may do.
    pub fn open(admin: Option<SecretString>) -> Self {
        Self { open: true, tokens: None, admin: given(admin) }
    }

    /// For a process that lets nobody in.
    pub fn nobody() -> Self {
        Self { open: false, tokens: None, admin: None }
    }

    /// `AUTH=jwt`: what tokens say counts. Over REST the `ADMIN_TOKEN` may do everything.
    pub fn by_tokens(tokens: Tokens, admin: Option<SecretString>) -> Self {
        Self { open: false, tokens: Some(tokens), admin: given(admin) }
    }

    /// Whether tokens are asked for.
    pub fn asks_for_tokens(&self) -> bool {
        !self.open
    }

    /// Who is on a socket before a token says so: a made-up id, the name as asked for.
    pub fn introduce(&self, credentials: &Credentials) -> Member {
        let id = format!("guest-{:016x}", rand::random::<u64>());
        Member { id: id.into(), name: credentials.name.as_deref().unwrap_or_default().into() }
    }

    /// The verdict on a token that the stranger shows at a socket of the room.
    pub fn admit(&self, room: &RoomId, stranger: &Member, token: &str) -> Result<Grant, Denial> {
        if !self.asks_for_tokens() {
            let (member, role) = (stranger.clone(), Role::Editor);
            return Ok(Grant { member, role, expires: None, version: 0, rules: [].into() });
        }
        self.verify(room, token, 0)
    }

    /// The verdict on a token of which an edge says that it has let its bearer in.
    pub fn admit_again(&self, room: &RoomId, token: &str) -> Result<Grant, Denial> {
        self.verify(room, token, limits::TOKEN_SKEW_MS)
    }

    fn verify(&self, room: &RoomId, token: &str, late_ms: Millis) -> Result<Grant, Denial> {
        let pass = self.pass(token, Some(room), late_ms);
        Ok(pass.inspect_err(|error| tracing::debug!(%error, room.id = %room, "a token was refused"))?.grant)
    }

    fn pass(&self, token: &str, room: Option<&RoomId>, late_ms: Millis) -> Result<Pass, TokenError> {
        self.tokens.as_ref().ok_or(TokenError::UnknownKey)?.pass(token, room, clock::now_ms(), late_ms)
    }

    /// Lets a request over REST through, or says why not.
    pub(super) fn allow(&self, headers: &HeaderMap, wish: Wish<'_>) -> Result<(), Refusal> {
        if !self.asks_for_tokens() {
            return Ok(());
        }
        let token = shown(headers)?;
        if self.is_admin(token) {
            return Ok(());
        }
        let pass = self.pass(token, wish.room(), 0).map_err(Refusal::Token)?;
        if wish.is_within(&pass) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Lets an operator through, whatever `AUTH` is: whoever shows the `ADMIN_TOKEN`, and nobody if there is none.
    pub(super) fn operator(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.admin.is_none() {
            return Err(Refusal::NoOperators);
        }
        if self.is_admin(shown(headers)?) { Ok(()) } else { Err(Refusal::NotOperator) }
    }

    /// Digests are compared, so that the time it takes says nothing of the token.
    fn is_admin(&self, token: &str) -> bool {
        let of = |text: &str| digest(&SHA256, text.as_bytes());
        self.admin.as_ref().is_some_and(|admin| of(admin.expose_secret()).as_ref() == of(token).as_ref())
    }
}

/// An empty one is none.
fn given(admin: Option<SecretString>) -> Option<SecretString> {
    admin.filter(|token| !token.expose_secret().is_empty())
}

fn shown(headers: &HeaderMap) -> Result<&str, Refusal> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    shown.and_then(bearer).ok_or(Refusal::Token(TokenError::Absent))
}

/// The scheme is case-insensitive (RFC 9110).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use shared::grant::MemberName;

    use super::*;

    #[test]
    fn anybody_is_an_editor_under_the_name_asked_for() {
        let access = Access::open(None);
        let asked = |name: &str| access.introduce(&Credentials { name: Some(name.to_owned()), token: None });
        assert_eq!(asked("Ada").name, MemberName::from("Ada"));
        assert_eq!(access.introduce(&Credentials::default()).name, MemberName::default());
        let (one, other) = (asked("Ada"), asked("Ada"));
        assert_ne!(one.id, other.id);
        let room = RoomId::parse("demo").unwrap();
        assert_eq!(
            access.admit(&room, &one, "anything").map(|grant| (grant.member, grant.role)),
            Ok((one, Role::Editor))
        );
    }
}

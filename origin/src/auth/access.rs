//! Who is let in and as what: the one place where that is decided, for sockets, links and REST.

use axum::http::{HeaderMap, header};
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    Millis,
    close::Denial,
    grant::{Grant, Member, Role},
    id::RoomId,
    limits,
    token::{Pass, TokenError},
};

use super::Tokens;
use crate::{clock, error::Refusal};

/// The rule by which people are let in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whether anybody is an editor (`AUTH=open`).
    open: bool,
    /// Without keys nobody comes in by a token.
    tokens: Option<Tokens>,
    admin: Option<SecretString>,
}

/// What a request over REST wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// To read what is in a room.
    Read(&'a RoomId),
    /// To make a shard.
    Create,
    /// To delete one.
    Delete(&'a RoomId),
}

impl Action<'_> {
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

    /// Whether a token is required.
    pub fn requires_tokens(&self) -> bool {
        !self.open
    }

    /// The verdict on a token that a guest shows at a socket of the room.
    pub fn admit(&self, room: &RoomId, guest: &Member, token: &str) -> Result<Grant, Denial> {
        if self.requires_tokens() { self.verify(room, token, 0) } else { Ok(Grant::of_guest(guest.clone())) }
    }

    /// The verdict on a token with which an edge has admitted its bearer.
    pub fn admit_from_edge(&self, room: &RoomId, token: &str) -> Result<Grant, Denial> {
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
    pub(crate) fn allow(&self, headers: &HeaderMap, action: Action<'_>) -> Result<(), Refusal> {
        if !self.requires_tokens() {
            return Ok(());
        }
        let token = shown(headers)?;
        if self.is_admin(token) {
            return Ok(());
        }
        let pass = self.pass(token, action.room(), 0).map_err(Refusal::Token)?;
        if action.is_within(&pass) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Lets an operator through, whatever `AUTH` is: whoever shows the `ADMIN_TOKEN`, and nobody if there is none.
    pub(crate) fn operator(&self, headers: &HeaderMap) -> Result<(), Refusal> {
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
    use super::*;

    #[test]
    fn where_no_tokens_are_required_anybody_is_an_editor() {
        let (access, guest) = (Access::open(None), Member::guest(Some("Ada"), 1));
        let room = RoomId::parse("demo").unwrap();
        assert_eq!(access.admit(&room, &guest, "anything"), Ok(Grant::of_guest(guest)));
        assert!(Access::nobody().admit(&room, &Member::guest(None, 2), "anything").is_err());
    }
}

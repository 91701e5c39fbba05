//! What a token says, and whether that lets its bearer into a room now.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::TokenError;
use crate::{
    Millis,
    grant::{Grant, Member, MemberName, Role, Rule},
    id::RoomId,
    limits,
};

/// The audience of every token of Edgeroom.
pub const AUDIENCE: &str = "edgeroom";
/// What a token names instead of a room when it is for all of them.
pub const EVERY_ROOM: &str = "*";

/// The claims of a token. Others than these are not looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Who it is: the member's id.
    pub sub: String,
    /// The name that others see; without one it is the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For whom it is: [`AUDIENCE`], or a list with it.
    pub aud: Audience,
    /// For which room it is, or [`EVERY_ROOM`].
    pub room: String,
    /// What the bearer may do.
    pub role: Role,
    /// Other roles for some paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// When it ends, in seconds since the Unix epoch.
    #[serde(serialize_with = "whole")]
    pub exp: f64,
    /// When it begins, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "whole_if_any")]
    pub nbf: Option<f64>,
}

/// For whom a token is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// What a good token gives to its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The member and the rights.
    pub grant: Grant,
    /// Whether it is for every room.
    pub every_room: bool,
}

impl Claims {
    /// What they give at `now` in `room`, or, without a room, if they are for every one. `late_ms` is how long after
    /// its end a token is still taken: 0, unless somebody else has let its bearer in while it was good.
    pub fn admit(self, room: Option<&RoomId>, now: Millis, late_ms: Millis) -> Result<Pass, TokenError> {
        let is_ours = match &self.aud {
            Audience::One(one) => one == AUDIENCE,
            Audience::Several(several) => several.iter().any(|one| one == AUDIENCE),
        };
        if !is_ours {
            return Err(TokenError::Audience);
        }
        let every_room = self.room == EVERY_ROOM;
        if !every_room && room.is_none_or(|room| room.as_str() != self.room) {
            return Err(TokenError::Room);
        }
        let expires = millis(self.exp).ok_or(TokenError::Malformed)?;
        if expires + late_ms <= now {
            return Err(TokenError::Expired);
        }
        let begins = self.nbf.map_or(Some(0), millis).ok_or(TokenError::Malformed)?;
        if begins > now + limits::TOKEN_SKEW_MS {
            return Err(TokenError::Early);
        }
        Ok(Pass { grant: self.grant(expires)?, every_room })
    }

    fn grant(self, expires: Millis) -> Result<Grant, TokenError> {
        let fits = !self.sub.trim().is_empty()
            && self.sub.len() <= limits::MEMBER_ID_BYTES
            && !self.sub.chars().any(char::is_control)
            && self.rules.len() <= limits::TOKEN_RULES;
        if !fits {
            return Err(TokenError::Malformed);
        }
        let name = self.name.as_deref().and_then(MemberName::given);
        let name = name.unwrap_or_else(|| self.sub.as_str().into());
        Ok(Grant {
            member: Member { id: self.sub.into(), name },
            role: self.role,
            expires: Some(expires),
            version: 0,
            rules: Arc::from(self.rules),
        })
    }
}

/// Whole seconds are written as others expect to read them.
fn whole<S: serde::Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match millis(*seconds) {
        Some(millis) if millis % 1000 == 0 => serializer.serialize_u64(millis / 1000),
        _ => serializer.serialize_f64(*seconds),
    }
}

fn whole_if_any<S: serde::Serializer>(seconds: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match seconds {
        Some(seconds) => whole(seconds, serializer),
        None => serializer.serialize_none(),
    }
}

/// Seconds as milliseconds; `None` for what is no time.
fn millis(seconds: f64) -> Option<Millis> {
    // The year 5138: whatever is beyond is a mistake, such as milliseconds.
    let is_time = (0.0..100_000_000_000.0).contains(&seconds);
    is_time.then_some((seconds * 1000.0) as Millis)
}

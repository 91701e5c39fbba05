//! Why a token is not accepted.

use crate::{
    close::{CloseCode, Denial},
    limits,
};

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("a token is needed")]
    Absent,
    /// Longer than [`limits::TOKEN_BYTES`].
    #[error("the token is longer than {} bytes", limits::TOKEN_BYTES)]
    TooLong,
    /// Not a JWT in its compact form, or one with claims of another kind.
    #[error("this is not a token")]
    Malformed,
    /// An algorithm that is not the one of the key, or none at all.
    #[error("the token is not signed with the algorithm of its key")]
    Algorithm,
    /// Signed with a key that is not known here.
    #[error("the token names a key that is not known")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the signature of the token does not fit")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    Early,
    /// For somebody else than Edgeroom.
    #[error("the token is for another audience")]
    Audience,
    /// For another room.
    #[error("the token is for another room")]
    Room,
}

impl TokenError {
    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "no-token",
            Self::TooLong => "token-too-long",
            Self::Malformed => "bad-token",
            Self::Algorithm => "wrong-algorithm",
            Self::UnknownKey => "unknown-key",
            Self::Signature => "wrong-signature",
            Self::Expired => "token-expired",
            Self::Early => "token-not-yet-valid",
            Self::Audience => "wrong-audience",
            Self::Room => "wrong-room",
        }
    }

    /// How a socket is closed for it: a good token for another room is no right to be in this one.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Room => CloseCode::Forbidden,
            _ => CloseCode::Unauthorized,
        }
    }
}

impl From<TokenError> for Denial {
    fn from(error: TokenError) -> Self {
        Self { code: error.close_code(), reason: error.word().to_owned() }
    }
}

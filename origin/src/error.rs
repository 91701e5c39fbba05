//! Why a request is refused, and everything that follows from it: status, code, title, log or not.

use axum::http::StatusCode;
use shared::{close::CloseCode, id::IdError, token::TokenError};

use crate::{archive::ArchiveError, rooms::RoomError, store::StoreError};

/// Why a request is not answered as asked. The text of a variant is for the client and holds no secret; what
/// only the log may know stands in [`Refusal::Failed`].
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The body is not what the interface describes.
    #[error("{0}")]
    Invalid(String),
    /// An id or path of a wrong form.
    #[error("{text:?}: {error}")]
    BadName {
        /// What was given.
        text: String,
        /// What is wrong with it.
        error: IdError,
    },
    /// Two files of a shard that cannot be there at once.
    #[error("{0:?} and {1:?} cannot both be in a project")]
    PathConflict(String, String),
    /// A template that is not there.
    #[error("there is no template {0:?}")]
    NoTemplate(String),
    /// The link's signature is missing, wrong, too old, or of an unknown key.
    #[error("the link signature was not accepted")]
    BadSignature,
    /// The edge is not one of `EDGE_URLS`.
    #[error("{0:?} is not an edge of this origin")]
    UnknownEdge(String),
    /// A token that is missing, or not good for this.
    #[error(transparent)]
    Token(TokenError),
    /// A good token without the right to do this.
    #[error("this token does not allow that")]
    NotAllowed,
    /// Operators are let in by nothing here.
    #[error("without an ADMIN_TOKEN nobody may do that here")]
    NoOperators,
    /// Not the `ADMIN_TOKEN`.
    #[error("only the ADMIN_TOKEN allows that")]
    NotOperator,
    /// A page of another origin.
    #[error("pages of {0:?} may not call here")]
    ForeignPage(String),
    /// No such thing under this address.
    #[error("nothing is here")]
    NoRoute,
    /// The address exists, but not for this method.
    #[error("this method is not possible here")]
    NoMethod,
    /// A room id that cannot exist.
    #[error("{0:?} cannot be a room")]
    NoSuchRoom(String),
    /// No such shard.
    #[error("there is no shard {0}")]
    NoShard(String),
    /// No such file in the shard.
    #[error("there is no file {0:?} in this shard")]
    NoFile(String),
    /// Nobody has the room open.
    #[error("nobody has the room {0} open")]
    NotOpen(String),
    /// The id of a new shard is taken.
    #[error("a shard {0} exists already")]
    Taken(String),
    /// The body is too large.
    #[error("the body is larger than {} bytes", shared::limits::BODY_BYTES)]
    TooLarge,
    /// A file of the body is too large, as a document: its text and a few bytes.
    #[error("the document of {0:?} is larger than {max} bytes", max = shared::limits::FILE_BYTES)]
    FileTooLarge(String),
    /// The body is not JSON.
    #[error("the body must be application/json")]
    NotJson,
    /// The process is on its way out.
    #[error("this server is draining")]
    Draining,
    /// More requests at once than this process takes.
    #[error("too many requests at once")]
    Overloaded,
    /// The answer took too long.
    #[error("the answer took too long")]
    TimedOut,
    /// The room store did not do it; the text is for operators.
    #[error("{0}")]
    StoreAway(String),
    /// A flush has failed; the text is for operators.
    #[error("{0}")]
    NotFlushed(String),
    /// Something failed here; the text is for the log only.
    #[error("something failed here")]
    Failed(String),
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.policy().0
    }

    /// The stable word for it.
    pub fn code(&self) -> &'static str {
        self.policy().1
    }

    /// The same in a few words for people, whatever the occurrence.
    pub fn title(&self) -> &'static str {
        self.policy().2
    }

    /// What the log is told, if it is told.
    pub fn for_log(&self) -> Option<&str> {
        match self {
            Self::Failed(why) => Some(why),
            _ => None,
        }
    }

    /// How a socket is closed for it.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::Draining => CloseCode::Draining,
            Self::ForeignPage(_) | Self::NotAllowed => CloseCode::Forbidden,
            Self::Token(error) => error.close_code(),
            Self::NoRoute | Self::NoSuchRoom(_) | Self::NoShard(_) | Self::NoFile(_) => CloseCode::NotFound,
            Self::Overloaded => CloseCode::RateLimited,
            _ => CloseCode::Failed,
        }
    }

    fn policy(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid", "The request is not valid"),
            Self::BadName { error: IdError::Room, .. } => {
                (StatusCode::BAD_REQUEST, "invalid-id", "The id is not valid")
            }
            Self::BadName { .. } => (StatusCode::BAD_REQUEST, "invalid-path", "The path is not valid"),
            Self::PathConflict(..) => {
                (StatusCode::BAD_REQUEST, "path-conflict", "Two paths exclude each other")
            }
            Self::NoTemplate(_) => (StatusCode::BAD_REQUEST, "unknown-template", "There is no such template"),
            Self::BadSignature => {
                (StatusCode::UNAUTHORIZED, "bad-signature", "The signature was not accepted")
            }
            Self::Token(error @ TokenError::Room) => {
                (StatusCode::FORBIDDEN, error.word(), "The token is for another room")
            }
            Self::Token(error) => (StatusCode::UNAUTHORIZED, error.word(), "The token was not accepted"),
            Self::NotAllowed => (StatusCode::FORBIDDEN, "not-allowed", "The token does not allow that"),
            Self::NoOperators => (StatusCode::FORBIDDEN, "no-admin-token", "There is no ADMIN_TOKEN here"),
            Self::NotOperator => (StatusCode::FORBIDDEN, "not-admin", "This is for operators only"),
            Self::UnknownEdge(_) => (StatusCode::FORBIDDEN, "unknown-edge", "The edge is not known here"),
            Self::ForeignPage(_) => (StatusCode::FORBIDDEN, "foreign-page", "The page may not call here"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "not-found", "Nothing is here"),
            Self::NoMethod => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not with this method"),
            Self::NoSuchRoom(_) => (StatusCode::NOT_FOUND, "no-such-room", "There is no such room"),
            Self::NoShard(_) => (StatusCode::NOT_FOUND, "no-such-shard", "There is no such shard"),
            Self::NoFile(_) => (StatusCode::NOT_FOUND, "no-such-file", "There is no such file"),
            Self::NotOpen(_) => (StatusCode::NOT_FOUND, "not-open", "Nobody has the room open"),
            Self::Taken(_) => (StatusCode::CONFLICT, "taken", "The id is taken"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::FileTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "file-too-large", "A file is too large"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "The body must be JSON"),
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining", "The server is draining"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too many requests at once"),
            Self::StoreAway(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "room-store", "The room store did not do it")
            }
            Self::NotFlushed(_) => (StatusCode::BAD_GATEWAY, "not-flushed", "The flush has failed"),
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed-out", "The answer took too long"),
            Self::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed", "Something failed here"),
        }
    }

    /// An archive error about this shard.
    pub fn of_archive(shard: &shared::id::RoomId, error: &ArchiveError) -> Self {
        match error {
            ArchiveError::Taken => Self::Taken(shard.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }

    /// A room store that does not give what operators ask for.
    pub fn of_store(error: StoreError) -> Self {
        Self::StoreAway(error.to_string())
    }

    /// A room error about this room and file.
    pub fn of_room(room: &shared::id::RoomId, file: &str, error: RoomError) -> Self {
        match error {
            RoomError::NoRoom => Self::NoShard(room.to_string()),
            RoomError::NoFile => Self::NoFile(file.to_owned()),
            RoomError::Draining => Self::Draining,
            RoomError::Failed(why) => Self::Failed(why),
        }
    }
}

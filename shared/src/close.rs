//! Close codes: what each says and whether the client should come back.

/// Why a WebSocket, or one document on it, is closed.
///
/// 4400 to 4499 are permanent, 4500 to 4599 transient, as stock `y-websocket` 3.1 reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1001: the server or the page goes away.
    GoingAway,
    /// 1012: come back and synchronise; nothing is wrong.
    Restart,
    /// 4400: a frame that cannot be read.
    BadFrame,
    /// 4401: no token, a bad one, or an expired one.
    Unauthorized,
    /// 4403: not allowed, or no longer.
    Forbidden,
    /// 4404: no such room or file.
    NotFound,
    /// 4409: the document's client id was used for other text too: go on with a new document.
    Conflict,
    /// 4410: the room was deleted.
    Deleted,
    /// 4413: more than is taken, and will not be less.
    TooLarge,
    /// 4500: something failed here; come back.
    Failed,
    /// 4503: this server is draining.
    Draining,
    /// 4508: the client reads too slowly; it comes back by state vector.
    SlowConsumer,
    /// 4513: what was typed makes the file too large: it is not saved, but taken once it is less.
    FileFull,
    /// 4529: too much at once.
    RateLimited,
}

impl CloseCode {
    /// The number on the wire.
    pub fn as_u16(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Restart => 1012,
            Self::BadFrame => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden => 4403,
            Self::NotFound => 4404,
            Self::Conflict => 4409,
            Self::Deleted => 4410,
            Self::TooLarge => 4413,
            Self::Failed => 4500,
            Self::Draining => 4503,
            Self::SlowConsumer => 4508,
            Self::FileFull => 4513,
            Self::RateLimited => 4529,
        }
    }

    /// Reads a number; an unknown one is transient.
    pub fn from_u16(code: u16) -> Self {
        [
            Self::GoingAway,
            Self::Restart,
            Self::BadFrame,
            Self::Unauthorized,
            Self::Forbidden,
            Self::NotFound,
            Self::Conflict,
            Self::Deleted,
            Self::TooLarge,
            Self::Failed,
            Self::Draining,
            Self::SlowConsumer,
            Self::FileFull,
            Self::RateLimited,
        ]
        .into_iter()
        .find(|known| known.as_u16() == code)
        .unwrap_or(Self::Failed)
    }

    /// Whether coming back can help.
    pub fn reconnect(self) -> bool {
        !(4400..4500).contains(&self.as_u16())
    }

    /// The stable word for it in `error` events, CLOSE reasons and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::GoingAway => "going-away",
            Self::Restart => "restart",
            Self::BadFrame => "bad-frame",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Deleted => "deleted",
            Self::TooLarge => "too-large",
            Self::Failed => "failed",
            Self::Draining => "draining",
            Self::SlowConsumer => "slow-consumer",
            Self::FileFull => "file-too-large",
            Self::RateLimited => "rate-limited",
        }
    }
}

/// Why a session is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The code that a socket is closed with.
    pub code: CloseCode,
    /// Why, in a stable word.
    pub reason: String,
}

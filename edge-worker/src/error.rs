//! Why a request is refused, and in which form it is told: as `application/problem+json`, or, where a WebSocket was
//! asked for, as a close code, since a refused upgrade reaches browsers only as 1006.

use serde_json::json;
use shared::{
    close::{CloseCode, Denial},
    signature::SignatureError,
    subprotocol,
};
use worker::{Headers, Response, ResponseBuilder, WebSocketPair, console_error};

use crate::{config::ConfigError, route::NoRoute};

/// Why a request is not answered as it wished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// `AUTH=open` and a host that others can reach.
    #[error(
        "AUTH=open lets anybody in and is for local use: reach it by a loopback host, or set ALLOW_OPEN=1"
    )]
    OpenBeyondLoopback,
    /// Variables that cannot be used.
    #[error("the Worker is not configured: {0}")]
    Config(#[from] ConfigError),
    /// A path that names nothing.
    #[error(transparent)]
    NoRoute(#[from] NoRoute),
    /// A page that is not on the list.
    #[error("pages of this origin may not connect: it is not in ALLOWED_ORIGINS")]
    Page,
    /// A session whose token cannot be accepted.
    #[error("the token is not accepted: {}", .0.reason)]
    Denied(Denial),
    /// A resource that is a WebSocket.
    #[error("this resource is a WebSocket: send an upgrade")]
    NotAnUpgrade,
    /// An internal request without a good signature.
    #[error("the signature is not accepted: {0}")]
    Signature(#[from] SignatureError),
    /// A link that this object has not asked for.
    #[error("the nonce is not that of a dial which this hub has asked for in the last minute")]
    Uninvited,
    /// An address that asks more often than one may.
    #[error("too many requests from this address: come back in 10 seconds")]
    TooOften,
    /// A body above the limit.
    #[error("the body is larger than {} bytes", shared::limits::BODY_BYTES)]
    BodyTooLarge,
    /// No origin can be reached.
    #[error("no origin answers")]
    NoOrigin,
    /// Something that should not happen.
    #[error("the edge failed")]
    Failed(worker::Error),
}

impl From<worker::Error> for Refusal {
    fn from(error: worker::Error) -> Self {
        Self::Failed(error)
    }
}

impl Refusal {
    /// The HTTP status.
    fn status(&self) -> u16 {
        match self {
            Self::OpenBeyondLoopback | Self::Config(_) => 503,
            Self::NoRoute(_) => 404,
            Self::Page => 403,
            Self::Denied(_) => 401,
            Self::NotAnUpgrade => 426,
            Self::Signature(_) | Self::Uninvited => 401,
            Self::BodyTooLarge => 413,
            Self::TooOften => 429,
            Self::NoOrigin => 502,
            Self::Failed(_) => 500,
        }
    }

    /// The stable word.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::OpenBeyondLoopback => "open-beyond-loopback",
            Self::Config(_) => "not-configured",
            Self::NoRoute(_) => "not-found",
            Self::Page => "origin-not-allowed",
            Self::Denied(denial) => &denial.reason,
            Self::NotAnUpgrade => "upgrade-required",
            Self::Signature(_) => "bad-signature",
            Self::Uninvited => "not-asked-for",
            Self::BodyTooLarge => "too-large",
            Self::TooOften => CloseCode::RateLimited.word(),
            Self::NoOrigin => "no-origin",
            Self::Failed(_) => "failed",
        }
    }

    /// The code that the WebSocket of a browser is closed with; `None` where the upgrade itself is refused.
    fn close(&self) -> Option<CloseCode> {
        match self {
            Self::NoRoute(NoRoute::Socket(_)) => Some(CloseCode::NotFound),
            Self::Page => Some(CloseCode::Forbidden),
            Self::Denied(denial) => Some(denial.code),
            Self::TooOften => Some(CloseCode::RateLimited),
            Self::Failed(_) => Some(CloseCode::Failed),
            _ => None,
        }
    }

    /// The answer. `protocols` is what an upgrade offers, `None` if the request is none.
    pub(crate) fn answer(&self, upgrade: Option<&Upgrade>) -> worker::Result<Response> {
        if let Self::Failed(error) = self {
            console_error!("request.failed: {error}");
        }
        match (upgrade, self.close()) {
            (Some(upgrade), Some(code)) => self.accept_and_close(upgrade, code),
            _ => self.problem(),
        }
    }

    fn problem(&self) -> worker::Result<Response> {
        let status = self.status();
        let problem = json!({
            "type": "about:blank",
            "title": self.code(),
            "status": status,
            "code": self.code(),
            "detail": self.to_string(),
        });
        let builder = ResponseBuilder::new().with_status(status).with_header("cache-control", "no-store")?;
        let mut builder = builder.with_header("content-type", "application/problem+json")?;
        if matches!(self, Self::TooOften) {
            builder = builder.with_header("retry-after", "10")?;
        }
        Ok(builder.fixed(problem.to_string().into_bytes()))
    }

    fn accept_and_close(&self, upgrade: &Upgrade, code: CloseCode) -> worker::Result<Response> {
        let pair = WebSocketPair::new()?;
        pair.server.accept()?;
        pair.server.close(Some(code.as_u16()), Some(self.code()))?;
        Ok(Response::from_websocket(pair.client)?.with_headers(upgrade.headers()?))
    }
}

/// What an upgrade offers.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade {
    /// The value of `sec-websocket-protocol`.
    pub(crate) protocols: Option<String>,
}

impl Upgrade {
    /// The upgrade that a request asks for, if it does.
    pub(crate) fn of(headers: &Headers) -> worker::Result<Option<Self>> {
        let asked = headers.get("upgrade")?.is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
        if !asked {
            return Ok(None);
        }
        Ok(Some(Self { protocols: headers.get("sec-websocket-protocol")? }))
    }

    /// The headers of the answer: clients abort when the subprotocol that they offer is not echoed.
    pub(crate) fn headers(&self) -> worker::Result<Headers> {
        let headers = Headers::new();
        if let Some(protocol) = subprotocol::echoed(self.protocols.as_deref()) {
            headers.set("sec-websocket-protocol", protocol)?;
        }
        Ok(headers)
    }
}

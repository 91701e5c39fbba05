//! Refusals as `application/problem+json` (RFC 9457), with a stable `code`.

use std::any::Any;

use axum::{
    BoxError, Json,
    body::{Bytes, HttpBody},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tower::{load_shed::error::Overloaded, timeout::error::Elapsed};

use crate::error::Refusal;

#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: String,
}

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if let Some(why) = self.for_log() {
            tracing::error!(error = why, "a request failed");
        }
        let status = self.status();
        let problem = Problem {
            title: self.title(),
            status: status.as_u16(),
            code: self.code(),
            detail: self.to_string(),
        };
        let mut response = (status, Json(problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
        if matches!(self, Self::Token(_)) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What the layers for time and load answer instead of the handler.
pub(super) async fn of_layer(error: BoxError) -> Refusal {
    if error.is::<Elapsed>() {
        Refusal::TimedOut
    } else if error.is::<Overloaded>() {
        Refusal::Overloaded
    } else {
        Refusal::Failed(error.to_string())
    }
}

/// What a handler that panicked answers.
pub(super) fn of_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Refusal::Failed(format!("a handler panicked: {text}")).into_response()
}

/// Gives refusals of the framework itself (no such method, too large a body) the form of all others.
pub(super) async fn complete<B>(response: Response<B>) -> Response
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let response = response.into_response();
    let refusal = match response.status() {
        StatusCode::NOT_FOUND => Refusal::NoRoute,
        StatusCode::METHOD_NOT_ALLOWED => Refusal::NoMethod,
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => return response,
    };
    if response.headers().get(header::CONTENT_TYPE) == Some(&MEDIA_TYPE) {
        return response;
    }
    let allowed = response.headers().get(header::ALLOW).cloned();
    let mut problem = refusal.into_response();
    if let Some(allowed) = allowed {
        problem.headers_mut().insert(header::ALLOW, allowed);
    }
    problem
}

//! REST passes through: to the first origin that takes the request, under the same request id.

use js_sys::Object;
use shared::limits;
use wasm_bindgen::{JsCast, JsValue};
use worker::{Fetch, Headers, Request, Response, Url, console_warn, wasm_bindgen_futures::JsFuture, web_sys};

use crate::{config::Config, error::Refusal, request::REQUEST_ID};

/// Headers that speak of one connection only, or that the platform sets again.
const HOP: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Answers that say that the request has reached no working origin: one that drains, or what the platform says of
/// one that it cannot connect to.
const ABSENT: [u16; 7] = [503, 521, 522, 523, 525, 526, 530];

/// Passes a request on.
pub(crate) async fn pass(
    config: &Config,
    request: &Request,
    url: &Url,
    id: &str,
) -> Result<Response, Refusal> {
    let length: Option<usize> =
        request.headers().get("content-length")?.and_then(|length| length.parse().ok());
    if length.is_some_and(|length| length > limits::BODY_BYTES) {
        return Err(Refusal::BodyTooLarge);
    }
    let headers = forwarded(request.headers())?;
    headers.set(REQUEST_ID, id)?;
    let body = body(config, request).await?;
    let mut absent = None;
    for origin in &config.origins {
        let path = url.path();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let onward = onward(request, &format!("{origin}{path}{query}"), &headers, &body)?;
        match Fetch::Request(onward).send().await {
            Ok(answer) if ABSENT.contains(&answer.status_code()) => {
                console_warn!("api.origin: {origin}: {} (request.id {id})", answer.status_code());
                absent = Some(answer);
            }
            Ok(answer) => return Ok(answer),
            Err(error) => console_warn!("api.origin: {origin}: {error} (request.id {id})"),
        }
    }
    absent.ok_or(Refusal::NoOrigin)
}

/// The body: streamed to an only origin; kept, outside the module's memory, where another one may need it again.
async fn body(config: &Config, request: &Request) -> Result<JsValue, Refusal> {
    let Some(stream) = request.inner().body() else { return Ok(JsValue::UNDEFINED) };
    if config.origins.len() == 1 {
        return Ok(stream.into());
    }
    let whole = JsFuture::from(request.inner().array_buffer().map_err(worker::Error::from)?).await;
    let whole = whole.map_err(worker::Error::from)?;
    let bytes = whole.unchecked_ref::<js_sys::ArrayBuffer>().byte_length();
    if usize::try_from(bytes).is_ok_and(|bytes| bytes > limits::BODY_BYTES) {
        return Err(Refusal::BodyTooLarge);
    }
    Ok(whole)
}

fn onward(request: &Request, url: &str, headers: &Headers, body: &JsValue) -> worker::Result<Request> {
    let init: web_sys::RequestInit = Object::new().unchecked_into();
    init.set_method(request.inner().method().as_str());
    init.set_headers(headers.as_ref());
    init.set_redirect(web_sys::RequestRedirect::Manual);
    if !body.is_undefined() {
        init.set_body(body);
    }
    Ok(web_sys::Request::new_with_str_and_init(url, &init)?.into())
}

fn forwarded(headers: &Headers) -> worker::Result<Headers> {
    let copy = Headers::new();
    for (name, value) in headers.entries() {
        if !HOP.contains(&name.as_str()) {
            copy.append(&name, &value)?;
        }
    }
    Ok(copy)
}

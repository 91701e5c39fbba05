//! Which pages in browsers may call: one list for CORS and for sockets.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use shared::address::is_loopback;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{config::AllowedOrigins, error::Refusal};

/// The rule for pages.
#[derive(Clone, Debug)]
pub struct Pages(AllowedOrigins);

impl Pages {
    /// The rule of `ALLOWED_ORIGINS`.
    pub fn new(allowed: AllowedOrigins) -> Self {
        Self(allowed)
    }

    /// Lets a socket in: without `Origin` it is no browser, with one the page must be allowed. The origin's own
    /// page is, on this machine only: elsewhere a host name proves nothing (DNS rebinding).
    pub fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(page) = headers.get(header::ORIGIN) else { return Ok(()) };
        let allowed = match &self.0 {
            AllowedOrigins::Any => true,
            AllowedOrigins::List(list) => list.contains(page) || is_own_page(page, headers),
        };
        if allowed {
            Ok(())
        } else {
            Err(Refusal::ForeignPage(String::from_utf8_lossy(page.as_bytes()).into()))
        }
    }

    /// The same rule for requests.
    pub fn cors(&self) -> CorsLayer {
        let origins = match &self.0 {
            AllowedOrigins::Any => AllowOrigin::any(),
            AllowedOrigins::List(list) => AllowOrigin::list(list.clone()),
        };
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_MATCH,
                header::IF_NONE_MATCH,
            ])
            .expose_headers([header::ETAG, HeaderName::from_static("x-request-id")])
            .max_age(Duration::from_secs(600))
    }
}

fn is_own_page(page: &HeaderValue, headers: &HeaderMap) -> bool {
    let page: Option<Uri> = page.to_str().ok().and_then(|text| text.parse().ok());
    let Some(authority) = page.as_ref().and_then(Uri::authority) else { return false };
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    host == Some(authority.as_str().as_bytes()) && is_loopback(authority.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(pages: &Pages, origin: Option<&'static str>, host: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        pages.admit(&headers).is_ok()
    }

    #[test]
    fn a_socket_comes_from_no_page_or_from_an_allowed_one() {
        let listed = Pages::new(AllowedOrigins::List(vec![HeaderValue::from_static("https://app.example")]));
        assert!(admits(&listed, None, "api.example"));
        assert!(admits(&listed, Some("https://app.example"), "api.example"));
        assert!(!admits(&listed, Some("http://app.example"), "api.example"));
        assert!(!admits(&listed, Some("null"), "api.example"));
        assert!(admits(&Pages::new(AllowedOrigins::Any), Some("https://any.example"), "api.example"));
    }

    #[test]
    fn its_own_page_is_allowed_on_this_machine_only() {
        let none = Pages::new(AllowedOrigins::List(Vec::new()));
        assert!(admits(&none, Some("http://127.0.0.1:8080"), "127.0.0.1:8080"));
        assert!(admits(&none, Some("http://[::1]:8080"), "[::1]:8080"));
        assert!(!admits(&none, Some("http://127.0.0.1:9999"), "127.0.0.1:8080"));
        assert!(!admits(&none, Some("http://rebound.example:8080"), "rebound.example:8080"));
    }
}

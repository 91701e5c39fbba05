//! The edges and the links to them.

use std::time::Duration;

use axum::http::Uri;
use secrecy::{ExposeSecret, SecretString};
use shared::signature::LinkKeys;

use super::{
    SettingsError,
    values::{above_zero, entries},
};

/// The edges and the links to them.
#[derive(Clone, Debug, clap::Args)]
pub struct EdgeSettings {
    /// The addresses of edges that may ask for a link, a comma list. EDGE_URLS, default none
    /// (with AUTH=open any loopback one).
    #[arg(long, env = "EDGE_URLS", default_value = "")]
    edge_urls: String,
    /// The keys that edges and origins sign with, id:secret in a comma list: the first signs, all are
    /// accepted. LINK_KEYS, default none: no edge is believed.
    #[arg(long, env = "LINK_KEYS", hide_env_values = true)]
    link_keys: Option<SecretString>,
    /// How often a link is pinged, in milliseconds; three without an answer end it. LINK_PING_MS, default 20000.
    #[arg(long, env = "LINK_PING_MS", default_value_t = 20_000)]
    link_ping_ms: u64,
}

impl EdgeSettings {
    /// The addresses of edges that may ask for a link, without a slash at the end.
    pub fn edge_urls(&self) -> Vec<&str> {
        entries(&self.edge_urls).map(|url| url.strip_suffix('/').unwrap_or(url)).collect()
    }

    /// The keys of the link; `None` if there are none.
    pub fn link_keys(&self) -> Result<Option<LinkKeys>, SettingsError> {
        let Some(keys) = self.link_keys.as_ref().map(ExposeSecret::expose_secret) else { return Ok(None) };
        if keys.is_empty() {
            return Ok(None);
        }
        LinkKeys::parse(keys).map(Some).map_err(|_| SettingsError::LinkKeys)
    }

    /// How often a link is pinged.
    pub fn link_ping(&self) -> Duration {
        Duration::from_millis(self.link_ping_ms)
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        above_zero("LINK_PING_MS", self.link_ping_ms)?;
        for url in self.edge_urls() {
            base_of_edge(url).ok_or_else(|| SettingsError::EdgeUrl(url.to_owned()))?;
        }
        self.link_keys().map(drop)
    }
}

/// Reads the address of an edge: http or https, a host, nothing after it.
pub(crate) fn base_of_edge(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let is_bare = uri.path() == "/" && uri.query().is_none() && !url.ends_with('/');
    let is_anonymous = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (is_web && is_bare && is_anonymous).then_some(uri)
}

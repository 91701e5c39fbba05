//! Where the queue is, as the crate wants it.

use bullmq::options::{RedisConnectionOptions, TlsCerts};
use secrecy::ExposeSecret;

use super::settings::BullSettings;
use crate::redis::Urls;

/// Where the queue is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) connection: RedisConnectionOptions,
}

impl Place {
    pub(super) fn of(settings: &BullSettings) -> anyhow::Result<Self> {
        let urls = Urls::parse(settings.url.expose_secret())?;
        let connection = match urls.authorities()? {
            Some(pem) => RedisConnectionOptions::new()
                .tls_certs(TlsCerts { root_cert: Some(pem), ..TlsCerts::default() }),
            None => RedisConnectionOptions::new(),
        };
        let prefix = settings.prefix.clone();
        let (connection, prefix) = match urls {
            Urls::Single(url) => (connection.url(url), prefix),
            Urls::Cluster(urls) if prefix.contains('{') => (connection.cluster_nodes(urls), prefix),
            Urls::Cluster(urls) => (connection.cluster_nodes(urls), format!("{{{prefix}}}")),
        };
        Ok(Self { name: settings.name.clone(), prefix, connection })
    }
}

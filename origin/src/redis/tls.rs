//! Who may vouch for a server behind TLS: the authorities that the system trusts, or that `SSL_CERT_FILE` holds.
//!
//! They are named to every client of Redis. One that is told nothing trusts a list built into it instead, since
//! the queue's crate asks `redis` for that.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::RootCertStore;

/// The certificates of the authorities, as PEM.
pub(crate) fn authorities() -> anyhow::Result<Vec<u8>> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut pem = Vec::new();
    for certificate in loaded.certs {
        // One that is damaged must not take the others along.
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            let text = STANDARD.encode(&certificate);
            pem.extend(
                format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes(),
            );
        }
    }
    if pem.is_empty() {
        let why = loaded.errors.first().map_or("there are none".to_owned(), ToString::to_string);
        anyhow::bail!("the authorities that the system trusts: {why}");
    }
    Ok(pem)
}

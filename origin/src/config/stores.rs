//! Where rooms and shards are kept.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{SettingsError, above_zero};

/// Where rooms and shards are kept: under `DATA_DIR`, unless an address says otherwise.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreSettings {
    /// Refused so far: the room store is embedded. REDIS_URL, default none.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<SecretString>,
    /// The MongoDB of the archive: `mongodb://` or `mongodb+srv://` with the options of its drivers, the database
    /// in its path, else `edgeroom`. MONGODB_URL, default none: SQLite under DATA_DIR.
    #[arg(long, env = "MONGODB_URL", hide_env_values = true)]
    mongodb_url: Option<SecretString>,
    /// An alias of MONGODB_URL, which goes first. DATABASE_URL, default none.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<SecretString>,
    /// How long an origin keeps a room without renewing, in milliseconds. LEASE_MS, default 30000.
    #[arg(long, env = "LEASE_MS", default_value_t = 30_000)]
    lease_ms: u64,
    /// How often rooms that were left behind are looked for, in milliseconds. SWEEP_MS, default 60000.
    #[arg(long, env = "SWEEP_MS", default_value_t = 60_000)]
    sweep_ms: u64,
}

impl StoreSettings {
    /// How long an origin keeps a room without renewing.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How often rooms that were left behind are looked for.
    pub fn sweep(&self) -> Duration {
        Duration::from_millis(self.sweep_ms)
    }

    pub(super) fn has_redis(&self) -> bool {
        is_given(&self.redis_url)
    }

    /// The address of the MongoDB that keeps the archive.
    pub fn mongodb_url(&self) -> Option<&SecretString> {
        self.archive_urls().into_iter().find(|(_, url)| is_given(url)).and_then(|(_, url)| url.as_ref())
    }

    fn archive_urls(&self) -> [(&'static str, &Option<SecretString>); 2] {
        [("MONGODB_URL", &self.mongodb_url), ("DATABASE_URL", &self.database_url)]
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if is_given(&self.redis_url) {
            return Err(SettingsError::NoSuchStore("REDIS_URL"));
        }
        for (name, url) in self.archive_urls() {
            let begins = |scheme: &str| url.as_ref().is_some_and(|url| url.expose_secret().starts_with(scheme));
            if is_given(url) && !["mongodb://", "mongodb+srv://"].into_iter().any(begins) {
                return Err(SettingsError::StoreAddress(name, "mongodb://host/database"));
            }
        }
        above_zero("LEASE_MS", self.lease_ms)?;
        above_zero("SWEEP_MS", self.sweep_ms)
    }
}

/// Compose files pass variables that are empty rather than absent.
fn is_given(url: &Option<SecretString>) -> bool {
    url.as_ref().is_some_and(|url| !url.expose_secret().is_empty())
}

//! Where rooms and shards are kept.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{SettingsError, above_zero};

/// Where rooms and shards are kept: so far only under `DATA_DIR`.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreSettings {
    /// Refused so far: the room store is embedded. REDIS_URL, default none.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<SecretString>,
    /// Refused so far: the archive is embedded. MONGODB_URL, default none.
    #[arg(long, env = "MONGODB_URL", hide_env_values = true)]
    mongodb_url: Option<SecretString>,
    /// An alias of MONGODB_URL. DATABASE_URL, default none.
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

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let later = [
            ("REDIS_URL", &self.redis_url),
            ("MONGODB_URL", &self.mongodb_url),
            ("DATABASE_URL", &self.database_url),
        ];
        if let Some((name, _)) = later.into_iter().find(|(_, url)| is_given(url)) {
            return Err(SettingsError::NoSuchStore(name));
        }
        above_zero("LEASE_MS", self.lease_ms)?;
        above_zero("SWEEP_MS", self.sweep_ms)
    }
}

/// Compose files pass variables that are empty rather than absent.
fn is_given(url: &Option<SecretString>) -> bool {
    url.as_ref().is_some_and(|url| !url.expose_secret().is_empty())
}

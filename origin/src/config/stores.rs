//! Where rooms and shards are kept.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{SettingsError, values::above_zero};

/// How an address of Redis begins.
const REDIS_SCHEMES: [&str; 4] = ["redis://", "rediss://", "redis+cluster://", "rediss+cluster://"];

/// Where rooms and shards are kept: under `DATA_DIR`, unless an address says otherwise.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreSettings {
    /// The Redis of the rooms: `redis://` or `rediss://` with user and password, or `redis+cluster://host,host`.
    /// REDIS_URL, default none: SQLite under DATA_DIR, for this process alone.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<SecretString>,
    /// How long a call of Redis may take until its outcome counts as unknown, in milliseconds. REDIS_DEADLINE_MS,
    /// default 2000.
    #[arg(long, env = "REDIS_DEADLINE_MS", default_value_t = 2_000)]
    redis_deadline_ms: u64,
    /// How often an idle connection to Redis is tried out, in milliseconds; a room that is quiet for twice as long
    /// is looked after. SUBSCRIBER_PROBE_MS, default 5000.
    #[arg(long, env = "SUBSCRIBER_PROBE_MS", default_value_t = 5_000)]
    subscriber_probe_ms: u64,
    /// The MongoDB of the archive: `mongodb://` or `mongodb+srv://` with the options of its drivers, the database
    /// in its path, else `edgeroom`. MONGODB_URL, default none: SQLite under DATA_DIR.
    #[arg(long, env = "MONGODB_URL", hide_env_values = true)]
    mongodb_url: Option<SecretString>,
    /// An alias of MONGODB_URL, which goes first. DATABASE_URL, default none.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<SecretString>,
    /// When an edit counts as saved: once Redis has logged it, or only once a replica of Redis has it too.
    /// DURABILITY, default log.
    #[arg(long, env = "DURABILITY", value_enum, default_value_t = Durability::Log)]
    pub durability: Durability,
    /// How long an origin keeps a room without renewing, in milliseconds. LEASE_MS, default 30000.
    #[arg(long, env = "LEASE_MS", default_value_t = 30_000)]
    lease_ms: u64,
    /// How often rooms that were left behind are looked for, in milliseconds. SWEEP_MS, default 60000.
    #[arg(long, env = "SWEEP_MS", default_value_t = 60_000)]
    sweep_ms: u64,
}

/// When an edit counts as saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Durability {
    /// Once the room store has logged it.
    Log,
    /// Once a replica of Redis has it too.
    Replica,
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

    /// The address of the Redis that keeps the rooms.
    pub fn redis_url(&self) -> Option<&SecretString> {
        self.redis_url.as_ref().filter(|_| is_given(&self.redis_url))
    }

    /// How long a call of Redis may take until its outcome counts as unknown.
    pub fn redis_deadline(&self) -> Duration {
        Duration::from_millis(self.redis_deadline_ms)
    }

    /// How often an idle connection to Redis is tried out.
    pub fn subscriber_probe(&self) -> Duration {
        Duration::from_millis(self.subscriber_probe_ms)
    }

    /// The address of the MongoDB that keeps the archive.
    pub fn mongodb_url(&self) -> Option<&SecretString> {
        self.archive_urls().into_iter().find(|(_, url)| is_given(url)).and_then(|(_, url)| url.as_ref())
    }

    fn archive_urls(&self) -> [(&'static str, &Option<SecretString>); 2] {
        [("MONGODB_URL", &self.mongodb_url), ("DATABASE_URL", &self.database_url)]
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if let Some(url) = self.redis_url()
            && !REDIS_SCHEMES.iter().any(|scheme| url.expose_secret().starts_with(scheme))
        {
            return Err(SettingsError::StoreAddress("REDIS_URL", "redis://host:6379"));
        }
        for (name, url) in self.archive_urls() {
            let url = url.as_ref().map_or("", |url| url.expose_secret());
            if !url.is_empty() && !url.starts_with("mongodb://") && !url.starts_with("mongodb+srv://") {
                return Err(SettingsError::StoreAddress(name, "mongodb://host/database"));
            }
        }
        if self.durability == Durability::Replica && self.redis_url().is_none() {
            return Err(SettingsError::NoReplica);
        }
        above_zero("REDIS_DEADLINE_MS", self.redis_deadline_ms)?;
        above_zero("SUBSCRIBER_PROBE_MS", self.subscriber_probe_ms)?;
        above_zero("LEASE_MS", self.lease_ms)?;
        above_zero("SWEEP_MS", self.sweep_ms)
    }
}

/// Compose files pass variables that are empty rather than absent.
fn is_given(url: &Option<SecretString>) -> bool {
    url.as_ref().is_some_and(|url| !url.expose_secret().is_empty())
}

//! When and how files are written to the archive.

use std::time::Duration;

use super::{SettingsError, values::above_zero};

/// The pauses between attempts are doubled each time: the last one of so many takes days.
const MOST_ATTEMPTS: u32 = 20;

/// When and how files are written to the archive.
#[derive(Clone, Debug, clap::Args)]
pub struct FlushSettings {
    /// From the first change to the flush, in milliseconds. FLUSH_DELAY_MS, default 5000.
    #[arg(long = "flush-delay-ms", env = "FLUSH_DELAY_MS", default_value_t = 5_000)]
    delay_ms: u64,
    /// Rooms that are flushed at the same time. FLUSH_CONCURRENCY, default 3.
    #[arg(long = "flush-concurrency", env = "FLUSH_CONCURRENCY", default_value_t = 3)]
    pub concurrency: usize,
    /// Flushes that may begin within a window. FLUSH_LIMIT, default 10.
    #[arg(long = "flush-limit", env = "FLUSH_LIMIT", default_value_t = 10)]
    pub limit: usize,
    /// The window of FLUSH_LIMIT, in milliseconds. FLUSH_WINDOW_MS, default 10000.
    #[arg(long = "flush-window-ms", env = "FLUSH_WINDOW_MS", default_value_t = 10_000)]
    window_ms: u64,
    /// Times that a flush is tried before it waits for the sweeper. FLUSH_ATTEMPTS, default 5.
    #[arg(long = "flush-attempts", env = "FLUSH_ATTEMPTS", default_value_t = 5)]
    pub attempts: u32,
    /// The wait before the second attempt, doubled for each further one, in milliseconds. FLUSH_BACKOFF_MS,
    /// default 1000.
    #[arg(long = "flush-backoff-ms", env = "FLUSH_BACKOFF_MS", default_value_t = 1_000)]
    backoff_ms: u64,
    /// How long one flush may take, in milliseconds. FLUSH_TIMEOUT_MS, default 60000.
    #[arg(long = "flush-timeout-ms", env = "FLUSH_TIMEOUT_MS", default_value_t = 60_000)]
    timeout_ms: u64,
    /// How long a job belongs to its worker without being renewed, in milliseconds. FLUSH_LOCK_MS, default 30000.
    #[arg(long = "flush-lock-ms", env = "FLUSH_LOCK_MS", default_value_t = 30_000)]
    lock_ms: u64,
    /// How often jobs of dead workers are looked for, in milliseconds. FLUSH_STALLED_MS, default 15000.
    #[arg(long = "flush-stalled-ms", env = "FLUSH_STALLED_MS", default_value_t = 15_000)]
    stalled_ms: u64,
    /// The name of the queue in Redis. QUEUE_NAME, default flush.
    #[arg(long, env = "QUEUE_NAME", default_value = "flush")]
    pub queue_name: String,
    /// How the queue's keys in Redis begin. QUEUE_PREFIX, default bull.
    #[arg(long, env = "QUEUE_PREFIX", default_value = "bull")]
    pub queue_prefix: String,
}

impl FlushSettings {
    /// From the first change to the flush.
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    /// How long a change may wait for the archive until members are told.
    pub fn behind(&self) -> Duration {
        self.delay().saturating_mul(3) + Duration::from_secs(5)
    }

    /// The window of the limit.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }

    /// The wait before the second attempt.
    pub fn backoff(&self) -> Duration {
        Duration::from_millis(self.backoff_ms)
    }

    /// How long one flush may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How long a job belongs to its worker without being renewed.
    pub fn lock(&self) -> Duration {
        Duration::from_millis(self.lock_ms)
    }

    /// How often jobs of dead workers are looked for.
    pub fn stalled(&self) -> Duration {
        Duration::from_millis(self.stalled_ms)
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        above_zero("FLUSH_CONCURRENCY", self.concurrency as u64)?;
        above_zero("FLUSH_LIMIT", self.limit as u64)?;
        above_zero("FLUSH_WINDOW_MS", self.window_ms)?;
        above_zero("FLUSH_ATTEMPTS", u64::from(self.attempts))?;
        if self.attempts > MOST_ATTEMPTS {
            return Err(SettingsError::TooMany("FLUSH_ATTEMPTS", MOST_ATTEMPTS));
        }
        for (name, value) in [("QUEUE_NAME", &self.queue_name), ("QUEUE_PREFIX", &self.queue_prefix)] {
            if value.is_empty() || value.contains(':') {
                return Err(SettingsError::QueueName(name));
            }
        }
        above_zero("FLUSH_LOCK_MS", self.lock_ms)?;
        above_zero("FLUSH_STALLED_MS", self.stalled_ms)?;
        above_zero("FLUSH_TIMEOUT_MS", self.timeout_ms)
    }
}

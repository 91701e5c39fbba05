//! The numbers of the queue, the same whatever it is made of.

use std::time::Duration;

/// How often and how many. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushSettings {
    /// From the first change to the flush.
    pub delay_ms: u64,
    /// Jobs at once, in all processes together.
    pub concurrency: usize,
    /// Attempts that may begin in one window, in all processes together.
    pub limit: usize,
    /// The length of the window, which begins with the first attempt in it.
    pub window_ms: u64,
    /// Attempts before a job has failed.
    pub attempts: u32,
    /// From the first failed attempt to the second; doubled each time.
    pub backoff_ms: u64,
    /// How long one attempt may take.
    pub timeout_ms: u64,
}

impl FlushSettings {
    /// How long one attempt may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Default for FlushSettings {
    fn default() -> Self {
        Self {
            delay_ms: 5000,
            concurrency: 3,
            limit: 10,
            window_ms: 10_000,
            attempts: 5,
            backoff_ms: 1000,
            timeout_ms: 60_000,
        }
    }
}

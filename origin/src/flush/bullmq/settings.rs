//! How the queue is reached, and what it is called.

use std::time::Duration;

use secrecy::SecretString;

use crate::flush::settings::FlushSettings;

/// How to reach the queue, and what it is called.
#[derive(Clone)]
pub struct BullSettings {
    /// As in `REDIS_URL`.
    pub url: SecretString,
    /// `QUEUE_PREFIX`; put in braces in a cluster, where all keys of a queue must be on one node.
    pub prefix: String,
    /// `QUEUE_NAME`.
    pub name: String,
    /// The numbers.
    pub flush: FlushSettings,
    /// How long a job is its worker's without being renewed.
    pub lock: Duration,
    /// How often jobs of dead workers are looked for; they are found by the second look.
    pub stalled: Duration,
    /// How long a call may take.
    pub deadline: Duration,
    /// How often an idle connection is tried out.
    pub probe: Duration,
    /// What this process is called on the jobs that it does.
    pub worker: String,
}

//! Logging: lines to standard error, each within the span of its request, link or room.

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, ServiceSettings};

/// Starts logging for the whole process; the second call fails.
pub fn start(settings: &ServiceSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log).context("reading RUST_LOG")?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}

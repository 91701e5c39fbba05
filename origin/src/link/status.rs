//! The status of the hub at the other end of a link, as it reports it.

use shared::{hub::Stats, wire::link::HubMessage};

use crate::metrics::Metrics;

/// The last report of a hub, counted in the metrics until it is dropped.
#[derive(Debug)]
pub(super) struct HubStatus<'a> {
    metrics: &'a Metrics,
    region: &'a str,
    last: Stats,
}

impl<'a> HubStatus<'a> {
    /// Nothing is known yet.
    pub(super) fn new(metrics: &'a Metrics, region: &'a str) -> Self {
        Self { metrics, region, last: Stats::default() }
    }

    /// Takes the reports out of what a hub says; the rest is for the room.
    pub(super) fn take(&mut self, messages: Vec<HubMessage>) -> Vec<HubMessage> {
        let mut rest = Vec::with_capacity(messages.len());
        for message in messages {
            match message {
                HubMessage::Stats { json } => self.report(&json),
                other => rest.push(other),
            }
        }
        rest
    }

    fn report(&mut self, json: &[u8]) {
        match serde_json::from_slice::<Stats>(json) {
            Ok(stats) => {
                self.metrics.hub_reported(self.region, &self.last, &stats);
                self.last = stats;
            }
            Err(error) => tracing::info!(%error, "the stats of a hub cannot be read"),
        }
    }
}

impl Drop for HubStatus<'_> {
    fn drop(&mut self) {
        self.metrics.hub_reported(self.region, &self.last, &Stats::default());
    }
}

//! What the hubs at the edges say of themselves over their links, by region.

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use shared::hub::Stats;

use super::names::Names;

type Label = [(&'static str, String); 1];
type Counters = Family<Label, Counter>;
type Gauges = Family<Label, Gauge>;

/// The metrics of the hubs that have a link to this origin. Gauges are as fresh as the last report, 20 s.
#[derive(Debug)]
pub(super) struct HubMetrics {
    sessions: Gauges,
    outbox_changes: Gauges,
    outbox_bytes: Gauges,
    outbox_rows: Gauges,
    changes: Counters,
    refused: Counters,
    deliveries: Counters,
    slow_consumers: Counters,
    dials: Counters,
    missing: Counters,
    rate_limited: Counters,
}

impl HubMetrics {
    pub(super) fn register(names: &mut Names) -> Self {
        let mut gauge = |name, help| names.add(name, help, Gauges::default());
        let sessions = gauge("hub_sessions", "Sockets of clients at hubs linked here, by region");
        let outbox_changes =
            gauge("hub_outbox_changes", "Changes at hubs that are not acknowledged, by region");
        let outbox_bytes = gauge("hub_outbox_bytes", "Bytes of those changes, by region");
        let outbox_rows = gauge("hub_outbox_rows", "Rows of the outbox that hubs have stored, by region");
        let mut counter = |name, help| names.add(name, help, Counters::default());
        Self {
            sessions,
            outbox_changes,
            outbox_bytes,
            outbox_rows,
            changes: counter("hub_changes", "Changes that hubs took from clients, by region"),
            refused: counter("hub_refused", "Changes that hubs refused, by region"),
            deliveries: counter("hub_deliveries", "Frames that hubs sent to clients, by region"),
            slow_consumers: counter("hub_slow_consumers", "Clients that hubs closed for slowness, by region"),
            dials: counter("hub_dials", "Times that hubs asked an origin to dial, by region"),
            missing: counter("hub_missing", "Changes of hubs whose dependencies were missing, by region"),
            rate_limited: counter("hub_rate_limited", "What hubs refused or dropped for its rate, by region"),
        }
    }

    /// A hub whose last report was `before` reports `now`; its counters are what it has counted since.
    pub(super) fn reported(&self, region: &str, before: &Stats, now: &Stats) {
        let label = [("region", region.to_owned())];
        let moved = |gauges: &Gauges, before: usize, now: usize| {
            let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            gauges.get_or_create(&label).inc_by(size(now) - size(before));
        };
        moved(&self.sessions, before.sessions, now.sessions);
        moved(&self.outbox_changes, before.unacknowledged, now.unacknowledged);
        moved(&self.outbox_bytes, before.outbox_bytes, now.outbox_bytes);
        moved(&self.outbox_rows, before.outbox_rows, now.outbox_rows);
        let counted = |counters: &Counters, count: u64| {
            counters.get_or_create(&label).inc_by(count);
        };
        counted(&self.changes, now.counters.changes);
        counted(&self.refused, now.counters.refused);
        counted(&self.deliveries, now.counters.deliveries);
        counted(&self.slow_consumers, now.counters.slow_consumers);
        counted(&self.dials, now.counters.dials);
        counted(&self.missing, now.counters.missing);
        counted(&self.rate_limited, now.counters.rate_limited);
    }
}

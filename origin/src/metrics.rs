//! What is counted: the one place that names metrics.
//!
//! Each doc comment is the help text. Everybody else calls a method and knows no name. The registry is a value.

mod names;
mod hubs;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use room::Counts;
use shared::hub::Stats;

use self::{hubs::HubMetrics, names::Names};
use crate::{
    connections::ConnectionState,
    flush::{Depth, sweep::Swept},
};

/// The metrics of one origin.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    updates_received: Counter,
    updates_logged: Counter,
    updates_refused: Counter,
    updates_missing: Counter,
    batches: Counter,
    append_seconds: Histogram,
    backfills: Counter,
    files_unchecked: Counter,
    rooms_open: Gauge,
    sessions: Gauge,
    links: Gauge,
    dials_failed: Counter,
    slow_consumers: Counter,
    flush_jobs: Counter,
    flush_failures: Counter,
    flush_files: Counter,
    flush_bytes: Counter,
    flush_seconds: Histogram,
    flush_stalled: Counter,
    flush_worker_errors: Counter,
    flush_queue: Family<Vec<(&'static str, &'static str)>, Gauge>,
    flush_parked: Gauge,
    unstored_seconds: Gauge,
    rooms_dirty: Gauge,
    rooms_log_bytes: Gauge,
    room_log_bytes: Family<Vec<(&'static str, String)>, Gauge>,
    rooms_unstored_seconds: Gauge,
    /// The timestamp (µs) of the oldest unflushed change that the last sweep saw; 0 for none.
    oldest_unflushed: AtomicU64,
    connections_up: Family<Vec<(&'static str, String)>, Gauge>,
    hubs: HubMetrics,
}

impl Metrics {
    /// Registers every metric, all at zero.
    pub fn new() -> Self {
        let mut names = Names(Registry::with_prefix("edgeroom"));
        Self {
            updates_received: names.add(
                "updates_received",
                "Changes that came from hubs",
                Counter::default(),
            ),
            updates_logged: names.add("updates_logged", "Changes logged by this origin", Counter::default()),
            updates_refused: names.add("updates_refused", "Changes refused for good", Counter::default()),
            updates_missing: names.add(
                "updates_missing",
                "Changes not logged because what they depend on was missing",
                Counter::default(),
            ),
            batches: names.add("batches", "Group commits", Counter::default()),
            append_seconds: names.add_seconds("append", "Time of one group commit", 0.000_1),
            backfills: names.add(
                "backfills",
                "Times a room read the log again because it had missed something; a healthy run has none",
                Counter::default(),
            ),
            files_unchecked: names.add(
                "files_unchecked",
                "Files opened that have text in impossible places: new text is not refused for its place",
                Counter::default(),
            ),
            rooms_open: names.add("rooms_open", "Rooms that this origin has open", Gauge::default()),
            sessions: names.add("sessions", "Sockets of clients at this origin", Gauge::default()),
            links: names.add("links", "Links to edges", Gauge::default()),
            dials_failed: names.add("dials_failed", "Dials that did not become a link", Counter::default()),
            slow_consumers: names.add(
                "slow_consumers",
                "Sockets closed because they read too slowly",
                Counter::default(),
            ),
            flush_jobs: names.add("flush_jobs", "Attempts to flush a room", Counter::default()),
            flush_failures: names.add(
                "flush_failures",
                "Attempts to flush a room that failed",
                Counter::default(),
            ),
            flush_files: names.add("flush_files", "Files written to the archive", Counter::default()),
            flush_bytes: names.add(
                "flush_bytes",
                "Bytes of text and state written to the archive",
                Counter::default(),
            ),
            flush_seconds: names.add_seconds("flush", "Time of one attempt to flush a room", 0.001),
            flush_stalled: names.add(
                "flush_stalled",
                "Attempts at jobs over which a worker had died",
                Counter::default(),
            ),
            flush_worker_errors: names.add(
                "flush_worker_errors",
                "Times that the worker could not take, renew or end a job",
                Counter::default(),
            ),
            flush_queue: names.add(
                "flush_queue_jobs",
                "Jobs in the queue of flushes, of all processes, by state",
                Family::default(),
            ),
            flush_parked: names.add(
                "flush_parked_files",
                "Files that cannot be flushed and wait for their own time, as this process knows",
                Gauge::default(),
            ),
            unstored_seconds: names.add_in_seconds(
                "unstored",
                "Age of the oldest change in rooms open here that is not in the archive; 0 if there is none",
            ),
            rooms_dirty: names.add(
                "rooms_dirty",
                "Rooms with files to flush, of all processes, when this one last swept",
                Gauge::default(),
            ),
            rooms_log_bytes: names.add_in_bytes(
                "rooms_log",
                "What the logs of all rooms took in the room store at the last sweep, about",
                Gauge::default(),
            ),
            room_log_bytes: names.add_in_bytes(
                "room_log",
                "The same of the rooms with the largest logs, by room",
                Family::default(),
            ),
            rooms_unstored_seconds: names.add_in_seconds(
                "rooms_unstored",
                "Age of the oldest change of all rooms that was not in the archive at the last sweep",
            ),
            oldest_unflushed: AtomicU64::new(0),
            connections_up: names.add(
                "connection_up",
                "Whether a connection to a store is up, by name and purpose",
                Family::default(),
            ),
            hubs: HubMetrics::register(&mut names),
            registry: names.0,
        }
    }

    /// One group commit was answered: so many changes are logged.
    pub fn batch_logged(&self, changes: u64, took: Duration) {
        self.batches.inc();
        self.updates_logged.inc_by(changes);
        self.append_seconds.observe(took.as_secs_f64());
    }

    /// What a room has counted since the last time.
    pub fn room_counted(&self, counts: Counts) {
        self.updates_received.inc_by(counts.received);
        self.updates_refused.inc_by(counts.refused);
        self.updates_missing.inc_by(counts.missing);
        self.backfills.inc_by(counts.backfills);
        self.files_unchecked.inc_by(counts.unchecked);
    }

    /// A room was opened here.
    pub fn room_opened(&self) {
        self.rooms_open.inc();
    }

    /// A room was closed here.
    pub fn room_closed(&self) {
        self.rooms_open.dec();
    }

    /// A client's socket was accepted.
    pub fn session_opened(&self) {
        self.sessions.inc();
    }

    /// A client's socket is gone.
    pub fn session_closed(&self) {
        self.sessions.dec();
    }

    /// A link to an edge is up.
    pub fn link_opened(&self) {
        self.links.inc();
    }

    /// A link to an edge is gone.
    pub fn link_closed(&self) {
        self.links.dec();
    }

    /// A dial did not become a link.
    pub fn dial_failed(&self) {
        self.dials_failed.inc();
    }

    /// A socket was closed because it read too slowly.
    pub fn slow_consumer(&self) {
        self.slow_consumers.inc();
    }

    /// The worker could not take, renew or end a job.
    pub fn worker_failed(&self) {
        self.flush_worker_errors.inc();
    }

    /// A job is begun over which a worker has died.
    pub fn job_stalled(&self) {
        self.flush_stalled.inc();
    }

    /// An attempt to flush a room has ended, well or not.
    pub fn flush_ended(&self, well: bool, took: Duration) {
        self.flush_jobs.inc();
        self.flush_seconds.observe(took.as_secs_f64());
        if !well {
            self.flush_failures.inc();
        }
    }

    /// A flush has written so many files with so many bytes.
    pub fn files_flushed(&self, files: u64, bytes: u64) {
        self.flush_files.inc_by(files);
        self.flush_bytes.inc_by(bytes);
    }

    /// A hub in `region` whose last report was `before` reports `now`.
    pub fn hub_reported(&self, region: &str, before: &Stats, now: &Stats) {
        self.hubs.reported(region, before, now);
    }

    /// How many jobs the queue has.
    pub fn queue(&self, depth: Depth) {
        let states = [
            ("waiting", depth.waiting),
            ("delayed", depth.delayed),
            ("active", depth.active),
            ("failed", depth.failed),
        ];
        for (state, jobs) in states {
            self.flush_queue
                .get_or_create(&vec![("state", state)])
                .set(i64::try_from(jobs).unwrap_or(i64::MAX));
        }
    }

    /// What a sweep has found.
    pub fn swept(&self, swept: &Swept) {
        self.rooms_dirty.set(i64::try_from(swept.dirty + swept.missed).unwrap_or(i64::MAX));
        self.flush_parked.set(i64::try_from(swept.parked).unwrap_or(i64::MAX));
        let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.rooms_log_bytes.set(size(swept.log_bytes));
        self.room_log_bytes.clear();
        for (room, bytes) in &swept.largest {
            self.room_log_bytes.get_or_create(&vec![("room", room.to_string())]).set(size(*bytes));
        }
        // What was not looked at may be as old as what was there before.
        let before = Some(self.oldest_unflushed.load(Ordering::Relaxed)).filter(|_| swept.missed > 0);
        let oldest = before.filter(|before| *before > 0).into_iter().chain(swept.oldest).min();
        self.oldest_unflushed.store(oldest.unwrap_or(0), Ordering::Relaxed);
    }

    /// How long changes wait at `now_us` (µs): those of rooms open here since `oldest_ms`, and those of the last
    /// sweep.
    pub fn oldest_unflushed(&self, oldest_ms: Option<u64>, now_us: u64) {
        let seconds =
            |since_us: u64| i64::try_from(now_us.saturating_sub(since_us) / 1_000_000).unwrap_or(i64::MAX);
        self.unstored_seconds.set(oldest_ms.map_or(0, |since| seconds(since * 1000)));
        let swept = self.oldest_unflushed.load(Ordering::Relaxed);
        self.rooms_unstored_seconds.set(if swept == 0 { 0 } else { seconds(swept) });
    }

    /// The state of the connections to the stores now; others are forgotten.
    pub fn connections(&self, states: &[ConnectionState]) {
        self.connections_up.clear();
        for state in states {
            let labels = vec![("name", state.name.clone()), ("purpose", state.purpose.word().to_owned())];
            self.connections_up.get_or_create(&labels).set(i64::from(state.up));
        }
    }

    /// The metrics in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_origin_shows_every_metric_at_zero() {
        let text = Metrics::new().render();
        for line in ["edgeroom_backfills_total 0", "edgeroom_rooms_open 0", "edgeroom_append_seconds_count 0"]
        {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_batch_counts_its_changes_and_its_time() {
        let metrics = Metrics::new();
        metrics.batch_logged(3, Duration::from_millis(2));
        let text = metrics.render();
        assert!(text.contains("edgeroom_updates_logged_total 3"), "{text}");
        assert!(text.contains("edgeroom_append_seconds_sum 0.002"), "{text}");
    }

    #[test]
    fn a_room_that_a_sweep_could_not_look_at_is_not_taken_for_stored() {
        let metrics = Metrics::new();
        let oldest = |swept: Swept| {
            metrics.swept(&swept);
            metrics.oldest_unflushed(None, 100_000_000);
            (metrics.rooms_unstored_seconds.get(), metrics.rooms_dirty.get())
        };
        let one = Swept { dirty: 1, oldest: Some(60_000_000), ..Swept::default() };
        assert_eq!(oldest(one), (40, 1));
        assert_eq!(oldest(Swept { missed: 1, ..Swept::default() }), (40, 1));
        let another = Swept { dirty: 1, missed: 1, oldest: Some(90_000_000), ..Swept::default() };
        assert_eq!(oldest(another), (40, 2));
        assert_eq!(oldest(Swept { missed: 1, oldest: Some(10_000_000), ..Swept::default() }), (90, 1));
        assert_eq!(oldest(Swept::default()), (0, 0));
        assert_eq!(oldest(Swept { missed: 1, ..Swept::default() }), (0, 1));
    }
}

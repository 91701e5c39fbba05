//! What a hub counts, and how it stands.

/// What a hub has counted: since it was made, or since it last told an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Changes taken from sessions.
    pub changes: u64,
    /// Changes refused.
    pub refused: u64,
    /// Frames sent to sessions.
    pub deliveries: u64,
    /// Sessions closed because they read too slowly.
    pub slow_consumers: u64,
    /// Times an origin was asked to dial.
    pub dials: u64,
    /// Times a change was not logged because what it depends on was missing.
    pub missing: u64,
    /// Frames, documents, events and presence beyond a member's rate.
    pub rate_limited: u64,
}

/// How a hub stands. In a `stats` message of the link the counters are those since the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Sessions connected.
    pub sessions: usize,
    /// Documents open on them.
    pub channels: usize,
    /// Changes that the origin has not acknowledged.
    pub unacknowledged: usize,
    /// Their bytes.
    pub outbox_bytes: usize,
    /// Rows of the outbox that are stored.
    pub outbox_rows: usize,
    /// Whether there is a link.
    pub link_up: bool,
    /// What was counted.
    pub counters: Counters,
}

impl Counters {
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            changes: self.changes - earlier.changes,
            refused: self.refused - earlier.refused,
            deliveries: self.deliveries - earlier.deliveries,
            slow_consumers: self.slow_consumers - earlier.slow_consumers,
            dials: self.dials - earlier.dials,
            missing: self.missing - earlier.missing,
            rate_limited: self.rate_limited - earlier.rate_limited,
        }
    }
}

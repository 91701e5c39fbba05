//! Where one is in a room's history.

use serde::{Deserialize, Serialize};

/// Names one life of a room: another one each time the room is populated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// A point in a room's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The life of the room that the rest is counted in.
    pub epoch: Epoch,
    /// Counts the room's updates and events from 1 without gaps; 0 is the populated room.
    pub seq: u64,
    /// Microseconds since the Unix epoch, strictly rising with `seq`.
    pub ts: u64,
}

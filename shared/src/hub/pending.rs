//! What comes before its document is open: it waits, in order, within bounds that a stock provider keeps to, which
//! sends everything for all of its documents at once.

use crate::limits;

/// What a frame or token that waits counts.
pub(super) fn weight(bytes: usize) -> usize {
    bytes + limits::PENDING_FRAME_BYTES
}

/// How much waits on one session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    weight: usize,
}

impl Pending {
    /// Adds something, if there is room for it below `most`; whether there was.
    pub(super) fn add(&mut self, weight: usize, most: usize) -> bool {
        let fits = self.weight + weight <= most;
        if fits {
            self.weight += weight;
        }
        fits
    }

    /// Adds something that may be larger than the room, if nothing else waits.
    pub(super) fn add_alone(&mut self, weight: usize) -> bool {
        let alone = self.weight == 0;
        if alone {
            self.weight = weight;
        }
        alone
    }

    /// Something waits no longer.
    pub(super) fn remove(&mut self, weight: usize) {
        self.weight -= weight;
    }

    pub(super) fn exceeds(&self, most: usize) -> bool {
        self.weight > most
    }
}

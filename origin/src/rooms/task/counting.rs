//! What a room tells the metrics.

use super::{Hold, Task};

impl Task {
    pub(super) fn count(&mut self) {
        // A room that is left is somebody else's to flush, or flushed.
        let since = self.room.unstored_since().filter(|_| self.hold == Hold::Live);
        if since != self.unstored {
            self.unstored = since;
            self.inner.room_unstored(&self.id, since);
        }
        self.inner.parts.metrics.room_counted(self.room.counts());
    }
}

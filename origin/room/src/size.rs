//! How large a file's state is: measured, and from then on counted upwards by what is logged. What replaces text makes
//! the count grow and not the state, so near the limits it is measured again before anything is refused by it.

use shared::{id::FileId, limits, update::Deletions, wire::link::OriginMessage};

/// From here on the next update may be refused, here or at a hub.
const NEAR: usize = limits::FILE_BYTES - crate::limits::FILE_SLACK_BYTES;

/// The size of a file's state in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileSize {
    /// 0 until it was.
    measured: usize,
    /// The size of the text in it.
    text: usize,
    logged_since: usize,
    /// UTF-16 units that were deleted since then: about as many bytes less than were counted.
    deleted_since: u64,
}

impl FileSize {
    /// Hardly ever below the real one.
    pub(crate) fn bytes(&self) -> usize {
        self.measured + self.logged_since
    }

    /// What a hub is told that may have to refuse something by it.
    pub(crate) fn message(&self, file: FileId) -> Option<OriginMessage> {
        let (bytes, text_bytes) = (self.bytes() as u64, self.text as u64);
        (self.measured > 0).then_some(OriginMessage::Size { file, bytes, text_bytes })
    }

    /// An update was logged.
    pub(crate) fn add(&mut self, bytes: usize, deletions: Deletions) {
        let traces =
            usize::try_from(deletions.ranges).unwrap_or(usize::MAX).saturating_mul(limits::RANGE_BYTES);
        self.logged_since = self.logged_since.saturating_add(bytes).saturating_add(traces);
        self.deleted_since += deletions.units;
    }

    /// It is close enough to the limits to count, and enough was logged or deleted since it was measured to make
    /// measuring worth its work, which grows with the state.
    pub(crate) fn is_doubtful(&self) -> bool {
        let changed = self.deleted_since + self.logged_since as u64;
        let never = self.measured == 0;
        self.bytes() > NEAR && (never || changed >= crate::limits::FILE_DOUBT_BYTES as u64)
    }

    /// The same for a change of this size: a large one is worth measuring for whatever has changed.
    pub(crate) fn is_doubtful_with(&self, bytes: usize) -> bool {
        let has_changed = self.deleted_since + self.logged_since as u64 > 0;
        self.is_doubtful() || (has_changed && bytes >= crate::limits::FILE_DOUBT_BYTES)
    }

    pub(crate) fn measure(&mut self, state: usize, text: usize) {
        *self = Self { measured: state, text, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(units: u64) -> Deletions {
        Deletions { units, ranges: 0 }
    }

    #[test]
    fn it_is_measured_near_the_limit_only_and_not_for_every_update_there() {
        let mut size = FileSize::default();
        size.add(NEAR, Deletions::default());
        assert!(!size.is_doubtful());
        size.add(1, Deletions::default());
        assert!(size.is_doubtful());
        size.measure(NEAR + 1, 7);
        assert_eq!(size.bytes(), NEAR + 1);
        size.add(crate::limits::FILE_DOUBT_BYTES - 1, Deletions::default());
        assert!(!size.is_doubtful());
        size.add(1, Deletions::default());
        assert!(size.is_doubtful());
        size.measure(1000, 7);
        size.add(NEAR - 1000, units(limits::FILE_BYTES as u64));
        assert!(!size.is_doubtful(), "far from the limit nothing is measured");
    }

    #[test]
    fn a_small_update_that_deletes_much_is_a_reason_to_measure() {
        let mut size = FileSize::default();
        size.measure(NEAR + 1, NEAR);
        size.add(10, units(crate::limits::FILE_DOUBT_BYTES as u64));
        assert!(size.is_doubtful());
        size.measure(100, 0);
        assert_eq!(size.bytes(), 100);
    }
}

//! How much a member may ask for: token buckets, one set for all sockets of a member in a hub.
//!
//! What is beyond them harms its sender and nobody else: presence is dropped, an event or a document is refused, and a
//! flood of frames ends the session with 4529.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Millis,
    grant::Grant,
    id::SessionId,
    limits::{self, Rate},
};

/// Whose limits count: those of a member, or of a socket that has not shown a token yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Consumer {
    Member(Arc<str>),
    Guest(SessionId),
}

impl Consumer {
    pub(super) fn new(session: SessionId, grant: Option<&Grant>) -> Self {
        grant.map_or(Self::Guest(session), |grant| Self::Member(grant.member.id.clone()))
    }
}

/// The limits of all who have asked for something lately.
#[derive(Debug, Default)]
pub(super) struct RateLimits(BTreeMap<Consumer, Limits>);

/// What is left for one consumer.
#[derive(Clone, Debug)]
struct Limits {
    frames: Bucket,
    bytes: Bucket,
    opens: Bucket,
    events: Bucket,
    presence: Bucket,
    left: Left,
}

/// The documents that were open on sockets that have ended, by name: opening them again is not counted twice.
#[derive(Clone, Debug, Default)]
struct Left {
    names: BTreeMap<Arc<str>, u32>,
    count: u64,
    at: Millis,
}

/// What belongs to the opening of a document and was counted with it: its first Step1, and what it shows first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Included {
    step1: bool,
    presence: bool,
}

impl Included {
    pub(super) fn opening() -> Self {
        Self { step1: true, presence: true }
    }

    /// Whether this is the Step1 of the opening.
    pub(super) fn step1(&mut self) -> bool {
        std::mem::take(&mut self.step1)
    }

    /// Whether this is what the channel shows first.
    pub(super) fn presence(&mut self) -> bool {
        std::mem::take(&mut self.presence)
    }
}

impl Left {
    fn add(&mut self, name: Arc<str>, now: Millis) {
        self.forget_old(now);
        self.at = now;
        // More than could have been opened at once is not remembered.
        if self.count < limits::RATE_OPENS.burst {
            self.count += 1;
            *self.names.entry(name).or_default() += 1;
        }
    }

    fn take(&mut self, name: &str, now: Millis) -> bool {
        self.forget_old(now);
        let Some(count) = self.names.get_mut(name) else { return false };
        *count -= 1;
        self.count -= 1;
        if *count == 0 {
            self.names.remove(name);
        }
        true
    }

    fn forget_old(&mut self, now: Millis) {
        if self.at + limits::REOPEN_MS < now {
            *self = Self::default();
        }
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// A frame of so many bytes.
    Frame(usize),
    /// A document, or its text once more.
    Open,
    /// A room event.
    Event,
    /// An awareness update.
    Presence,
}

/// A token bucket. It counts in thousandths, so that a millisecond fills a whole number of them.
#[derive(Clone, Debug)]
struct Bucket {
    rate: Rate,
    left: u64,
    at: Millis,
}

impl Bucket {
    fn full(rate: Rate, now: Millis) -> Self {
        Self { rate, left: rate.burst * 1000, at: now }
    }

    fn fill(&mut self, now: Millis) {
        let gained = now.saturating_sub(self.at).saturating_mul(self.rate.per_second);
        self.left = self.left.saturating_add(gained).min(self.rate.burst * 1000);
        self.at = now;
    }

    fn is_full(&mut self, now: Millis) -> bool {
        self.fill(now);
        self.left == self.rate.burst * 1000
    }

    fn consume(&mut self, count: u64, now: Millis) -> bool {
        self.fill(now);
        let cost = count.saturating_mul(1000);
        let enough = self.left >= cost;
        if enough {
            self.left -= cost;
        }
        enough
    }
}

impl Limits {
    fn new(now: Millis) -> Self {
        Self {
            frames: Bucket::full(limits::RATE_FRAMES, now),
            bytes: Bucket::full(limits::RATE_BYTES, now),
            opens: Bucket::full(limits::RATE_OPENS, now),
            events: Bucket::full(limits::RATE_EVENTS, now),
            presence: Bucket::full(limits::RATE_PRESENCE, now),
            left: Left::default(),
        }
    }

    fn consume(&mut self, cost: Cost, now: Millis) -> bool {
        match cost {
            Cost::Frame(bytes) => {
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                self.frames.consume(1, now) && self.bytes.consume(bytes, now)
            }
            Cost::Open => self.opens.consume(1, now),
            Cost::Event => self.events.consume(1, now),
            Cost::Presence => self.presence.consume(1, now),
        }
    }

    fn is_full(&mut self, now: Millis) -> bool {
        [&mut self.frames, &mut self.bytes, &mut self.opens, &mut self.events, &mut self.presence]
            .into_iter()
            .all(|bucket| bucket.is_full(now))
    }
}

impl RateLimits {
    /// Takes what something costs; `false` if there is not enough left.
    #[must_use]
    pub(super) fn consume(&mut self, who: Consumer, cost: Cost, now: Millis) -> bool {
        self.of(who, now).consume(cost, now)
    }

    /// Takes what opening the document of this name costs: nothing if the member had it open when a socket ended.
    #[must_use]
    pub(super) fn consume_opening(&mut self, who: Consumer, name: &str, now: Millis) -> bool {
        let limits = self.of(who, now);
        limits.left.take(name, now) || limits.consume(Cost::Open, now)
    }

    /// A socket ends that had the documents of these names open.
    pub(super) fn ended(&mut self, who: Consumer, names: Vec<Arc<str>>, now: Millis) {
        if !names.is_empty() {
            let left = &mut self.of(who, now).left;
            names.into_iter().for_each(|name| left.add(name, now));
        }
    }

    /// Forgets the limits of consumers that have asked for nothing lately: they would start full again.
    pub(super) fn forget_full(&mut self, now: Millis) {
        self.0.retain(|_, limits| !limits.is_full(now));
    }

    fn of(&mut self, who: Consumer, now: Millis) -> &mut Limits {
        self.0.entry(who).or_insert_with(|| Limits::new(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(Rate { burst: 10, per_second: 2 }, 1_000);
        assert_eq!((0..20).filter(|_| bucket.consume(1, 1_000)).count(), 10);
        assert!(!bucket.consume(1, 1_499));
        assert!(bucket.consume(1, 1_500));
        assert!(!bucket.is_full(5_000));
        assert!(bucket.is_full(6_500));
        assert!(!bucket.consume(11, 100_000));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::full(Rate { burst: 1, per_second: 1 }, 5_000);
        assert!(bucket.consume(1, 5_000));
        assert!(!bucket.consume(1, 1_000));
        assert!(!bucket.consume(1, 1_900));
        assert!(bucket.consume(1, 2_000));
    }
}

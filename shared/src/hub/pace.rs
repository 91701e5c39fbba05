//! How much a member may ask for: token buckets, one set for all sockets of a member in a hub.
//!
//! What is beyond them costs its sender something and nobody else: presence is dropped, an event or a document is
//! refused, and a flood of frames ends the session with 4529.

use std::sync::Arc;

use super::Hub;
use crate::{
    Millis,
    id::SessionId,
    limits::{self, Rate},
};

/// Who pays: a member, or a socket that has not shown a token yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payer {
    Member(Arc<str>),
    Stranger(SessionId),
}

/// What is left for one payer.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    frames: Bucket,
    bytes: Bucket,
    opens: Bucket,
    events: Bucket,
    presence: Bucket,
}

/// What is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fare {
    /// A frame of so many bytes.
    Frame(usize),
    /// A document.
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

    fn pay(&mut self, count: u64, now: Millis) -> bool {
        self.fill(now);
        let price = count.saturating_mul(1000);
        let affordable = self.left >= price;
        if affordable {
            self.left -= price;
        }
        affordable
    }
}

impl Pace {
    fn new(now: Millis) -> Self {
        Self {
            frames: Bucket::full(limits::RATE_FRAMES, now),
            bytes: Bucket::full(limits::RATE_BYTES, now),
            opens: Bucket::full(limits::RATE_OPENS, now),
            events: Bucket::full(limits::RATE_EVENTS, now),
            presence: Bucket::full(limits::RATE_PRESENCE, now),
        }
    }

    fn pay(&mut self, fare: Fare, now: Millis) -> bool {
        match fare {
            Fare::Frame(bytes) => {
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                self.frames.pay(1, now) && self.bytes.pay(bytes, now)
            }
            Fare::Open => self.opens.pay(1, now),
            Fare::Event => self.events.pay(1, now),
            Fare::Presence => self.presence.pay(1, now),
        }
    }

    fn is_rested(&mut self, now: Millis) -> bool {
        [&mut self.frames, &mut self.bytes, &mut self.opens, &mut self.events, &mut self.presence]
            .into_iter()
            .all(|bucket| bucket.is_full(now))
    }
}

impl Hub {
    /// Takes the fare from whoever is at the other end of the socket; `false` if it cannot be paid.
    pub(super) fn pays(&mut self, session: SessionId, fare: Fare, now: Millis) -> bool {
        let grant = self.sessions.get(&session).and_then(|session| session.admission.grant.as_ref());
        let payer = grant.map_or(Payer::Stranger(session), |grant| Payer::Member(grant.member.id.clone()));
        let paid = self.paces.entry(payer).or_insert_with(|| Pace::new(now)).pay(fare, now);
        if !paid {
            self.counters.rate_limited += 1;
        }
        paid
    }

    /// Forgets those who have asked for nothing lately: theirs would start full again.
    pub(super) fn forget_rested(&mut self, now: Millis) {
        self.paces.retain(|_, pace| !pace.is_rested(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(Rate { burst: 10, per_second: 2 }, 1_000);
        assert_eq!((0..20).filter(|_| bucket.pay(1, 1_000)).count(), 10);
        assert!(!bucket.pay(1, 1_499));
        assert!(bucket.pay(1, 1_500));
        assert!(!bucket.is_full(5_000));
        assert!(bucket.is_full(6_500));
        assert!(!bucket.pay(11, 100_000));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::full(Rate { burst: 1, per_second: 1 }, 5_000);
        assert!(bucket.pay(1, 5_000));
        assert!(!bucket.pay(1, 1_000));
        assert!(!bucket.pay(1, 1_900));
        assert!(bucket.pay(1, 2_000));
    }
}

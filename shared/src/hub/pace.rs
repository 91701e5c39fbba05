//! How much a member may ask for: token buckets, one set for all sockets of a member in a hub.
//!
//! What is beyond them costs its sender something and nobody else: presence is dropped, an event or a document is
//! refused, and a flood of frames ends the session with 4529.

use std::{collections::BTreeMap, sync::Arc};

use super::{Hub, channel::Stage};
use crate::{
    Millis,
    id::{ChannelId, SessionId},
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
    left: Left,
}

/// The documents that were open on sockets that have ended, by name: opening them again is not paid twice.
#[derive(Clone, Debug, Default)]
struct Left {
    names: BTreeMap<Arc<str>, u32>,
    count: u64,
    at: Millis,
}

/// What belongs to the opening of a document and was paid with it: its first Step1, and what it shows first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paid {
    step1: bool,
    presence: bool,
}

impl Paid {
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

/// What is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fare {
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
            left: Left::default(),
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
        let paid = self.pace_of(session, now).pay(fare, now);
        if !paid {
            self.counters.rate_limited += 1;
        }
        paid
    }

    /// Takes what opening the document of a channel costs: nothing if the member had it open when a socket ended.
    pub(super) fn pays_opening(&mut self, id: ChannelId, now: Millis) -> bool {
        let Some(name) = self.channels.get(&id).map(|channel| channel.name().to_owned()) else {
            return false;
        };
        self.pace_of(id.session(), now).left.take(&name, now) || self.pays(id.session(), Fare::Open, now)
    }

    /// A socket ends: its member has paid for what these channels had open.
    pub(super) fn may_come_back(&mut self, session: SessionId, channels: &[ChannelId], now: Millis) {
        let paid = |id: &ChannelId| {
            let channel = self.channels.get(id)?;
            matches!(channel.stage, Stage::Opening | Stage::Open(_)).then(|| Arc::from(channel.name()))
        };
        let names: Vec<Arc<str>> = channels.iter().filter_map(paid).collect();
        if !names.is_empty() {
            let left = &mut self.pace_of(session, now).left;
            names.into_iter().for_each(|name| left.add(name, now));
        }
    }

    fn pace_of(&mut self, session: SessionId, now: Millis) -> &mut Pace {
        let grant = self.sessions.get(&session).and_then(|session| session.admission.grant.as_ref());
        let payer = grant.map_or(Payer::Stranger(session), |grant| Payer::Member(grant.member.id.clone()));
        self.paces.entry(payer).or_insert_with(|| Pace::new(now))
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

//! How often a room is handed on to the queue: the first time at once, then at most once in a while, and the last
//! request never without effect. No clock: times (ms) come in, due rooms go out.

use std::collections::{BTreeSet, HashMap};

use shared::id::RoomId;

/// Between two requests of one room that reach the queue, at most. Each costs a script and an event.
const EVERY: u64 = 1000;

/// Which rooms are to be handed on, and when.
#[derive(Debug)]
pub(super) struct Throttle {
    rooms: HashMap<RoomId, Request>,
    /// By when they are to be handed on.
    due: BTreeSet<(u64, RoomId)>,
    /// By when they were last.
    handed: BTreeSet<(u64, RoomId)>,
    every: u64,
}

#[derive(Debug, Default)]
struct Request {
    /// When it was last handed on.
    last: Option<u64>,
    /// When it is handed on next.
    due: Option<u64>,
    /// Whether its job is to begin at once.
    at_once: bool,
}

impl Throttle {
    /// For jobs that begin so long after they are asked for: a request that is repeated finds the job still waiting,
    /// and so does not make another.
    pub(super) fn new(delay_ms: u64) -> Self {
        let every = EVERY.min(delay_ms / 2);
        Self { rooms: HashMap::new(), due: BTreeSet::new(), handed: BTreeSet::new(), every }
    }

    /// Somebody wants a flush after the flush delay.
    pub(super) fn request(&mut self, room: &RoomId, now: u64) {
        let asked = self.rooms.entry(room.clone()).or_default();
        if asked.due.is_none() {
            let earliest = asked.last.map_or(now, |last| now.max(last + self.every));
            self.is_due(room, earliest);
        }
    }

    /// Somebody wants a flush now.
    pub(super) fn request_now(&mut self, room: &RoomId, now: u64) {
        self.is_due(room, now).at_once = true;
    }

    /// What was taken could not be handed on: it is due again after a while.
    pub(super) fn refused(&mut self, room: &RoomId, at_once: bool, now: u64) {
        let known = self.rooms.get(room).and_then(|asked| asked.due);
        self.is_due(room, known.unwrap_or(now + EVERY)).at_once |= at_once;
    }

    /// Takes the rooms that are to be handed on now, and whether their jobs are to begin at once.
    pub(super) fn take_due(&mut self, now: u64) -> Vec<(RoomId, bool)> {
        while let Some((last, _)) = self.handed.first()
            && last + self.every <= now
            && let Some((_, room)) = self.handed.pop_first()
        {
            match self.rooms.get_mut(&room) {
                Some(asked) if asked.due.is_some() => asked.last = None,
                _ => drop(self.rooms.remove(&room)),
            }
        }
        let mut taken = Vec::new();
        while let Some((due, _)) = self.due.first()
            && *due <= now
            && let Some((_, room)) = self.due.pop_first()
        {
            let Some(asked) = self.rooms.get_mut(&room) else { continue };
            asked.due = None;
            if let Some(before) = asked.last.replace(now) {
                self.handed.remove(&(before, room.clone()));
            }
            self.handed.insert((now, room.clone()));
            taken.push((room, std::mem::take(&mut asked.at_once)));
        }
        taken
    }

    /// When [`Self::take_due`] has more to give.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(due, _)| *due)
    }

    /// A room is to be handed on at this time, or earlier if that was said before.
    fn is_due(&mut self, room: &RoomId, at: u64) -> &mut Request {
        let asked = self.rooms.entry(room.clone()).or_default();
        if asked.due.is_none_or(|due| at < due) {
            if let Some(due) = asked.due.replace(at) {
                self.due.remove(&(due, room.clone()));
            }
            self.due.insert((at, room.clone()));
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> RoomId {
        RoomId::parse("r").unwrap()
    }

    #[test]
    fn the_first_request_goes_at_once_and_the_last_one_always() {
        let mut throttle = Throttle::new(5000);
        throttle.request(&room(), 5000);
        assert_eq!(throttle.take_due(5000), [(room(), false)]);
        (5001..5900).for_each(|now| throttle.request(&room(), now));
        assert_eq!((throttle.next_due(), throttle.take_due(5999)), (Some(6000), vec![]));
        assert_eq!(throttle.take_due(6000), [(room(), false)]);
        assert_eq!(throttle.next_due(), None);
        assert_eq!(throttle.take_due(7000), []);
        assert!(throttle.rooms.is_empty(), "a quiet room is forgotten");
    }

    #[test]
    fn who_wants_it_now_waits_for_nothing() {
        let mut throttle = Throttle::new(5000);
        throttle.request(&room(), 0);
        throttle.take_due(0);
        throttle.request(&room(), 10);
        throttle.request_now(&room(), 20);
        throttle.request(&room(), 30);
        assert_eq!(throttle.take_due(30), [(room(), true)]);
    }

    #[test]
    fn what_was_refused_is_handed_on_again_as_urgently_as_before() {
        let mut throttle = Throttle::new(5000);
        throttle.request_now(&room(), 0);
        throttle.take_due(0);
        throttle.refused(&room(), true, 100);
        assert_eq!(throttle.take_due(1099), []);
        assert_eq!(throttle.take_due(1100), [(room(), true)]);
    }
}

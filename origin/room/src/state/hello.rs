//! A hub says how far it has read: it gets everything after that, its own changes included.

use shared::{Millis, position::Position, wire::link::OriginMessage};

use super::{Effect, LinkId, Room, links::Reading};
use crate::{
    log::{FileLog, LogEntry},
    store::{Backfill, StoreError},
};

/// Changes that may wait for a hub that is being told what it lacks; more ends its link.
const WAITING: usize = 10_000;

impl Room {
    pub(super) fn hello(&mut self, link: LinkId, hub: String, position: Option<Position>, now: Millis) {
        // A hub has one link: what it had before is dead, whether or not that was noticed.
        let older: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(id, state)| **id != link && state.hub == hub)
            .map(|(id, _)| *id)
            .collect();
        for old in older {
            self.links.remove(&old);
            self.close_link(old);
            self.effects.push(Effect::Unlink(old, "replaced"));
        }
        self.keep_presence(&hub, now);
        let Some(state) = self.links.get_mut(&link) else { return };
        state.hub = hub;
        if position.is_some_and(|read| read.epoch == self.position.epoch && read.seq > self.position.seq) {
            // Its members have seen through another origin what has not reached this one yet.
            self.catch_up();
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        match position {
            Some(position) if position.epoch != self.position.epoch || position.seq != self.position.seq => {
                state.reading = Reading::Behind(Vec::new());
                state.read = position.seq;
                self.effects.push(Effect::Backfill(link, position));
            }
            _ => {
                state.reading = Reading::Until(self.position.seq);
                self.tell(
                    link,
                    vec![OriginMessage::Updates { position: self.position, updates: Vec::new() }],
                );
            }
        }
    }

    /// The room store's answer to [`Effect::Backfill`].
    pub fn backfilled(&mut self, link: LinkId, answer: Result<Backfill, StoreError>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let Reading::Behind(waiting) = std::mem::take(&mut state.reading) else { return };
        match answer {
            Ok(Backfill::Changes(position, entries)) if position.epoch == self.position.epoch => {
                state.reading = Reading::Until(position.seq.max(self.position.seq));
                for entry in &entries {
                    self.send_logged(link, entry, true);
                }
                let later: Vec<LogEntry> =
                    waiting.into_iter().filter(|entry| entry.seq > position.seq).collect();
                for entry in &later {
                    self.send_logged(link, entry, false);
                }
                self.tell(link, vec![OriginMessage::Updates { position, updates: Vec::new() }]);
            }
            Ok(Backfill::Reset(position)) if position.epoch == self.position.epoch => {
                let read = std::mem::take(&mut state.read);
                state.reading = Reading::Until(self.position.seq);
                self.tell(link, vec![OriginMessage::Reset { position: self.position }]);
                self.effects.push(Effect::Events(link, read));
            }
            Ok(_) => {
                state.reading = Reading::Until(self.position.seq);
                self.tell(link, vec![OriginMessage::Reset { position: self.position }]);
            }
            Err(_) => self.unlink(link, "backfill-failed"),
        }
        self.commit_next();
    }

    /// The room store's answer to [`Effect::Events`]: documents are told whole, chat is not in them.
    pub fn events_read(&mut self, link: LinkId, read: u64, answer: Result<FileLog, StoreError>) {
        let Ok(log) = answer else { return self.unlink(link, "backfill-failed") };
        let missed = log.updates.into_iter().filter(|entry| entry.seq > read);
        let messages =
            missed.map(|entry| OriginMessage::Event { position: None, channel: None, json: entry.bytes });
        self.tell(link, messages.collect());
    }

    /// Ends links for which too much waits.
    pub(super) fn drop_overflowing(&mut self) {
        let overflowing: Vec<LinkId> = self
            .links
            .iter()
            .filter(
                |(_, state)| matches!(&state.reading, Reading::Behind(waiting) if waiting.len() > WAITING),
            )
            .map(|(id, _)| *id)
            .collect();
        for link in overflowing {
            self.unlink(link, "too-far-behind");
        }
    }

    fn unlink(&mut self, link: LinkId, why: &'static str) {
        self.effects.push(Effect::Unlink(link, why));
    }
}

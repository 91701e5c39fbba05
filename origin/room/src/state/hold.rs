//! The room store takes nothing: hubs keep their changes, the log is asked what it has, the hubs replay.

use shared::{Millis, limits, wire::link::OriginMessage};

use super::{Effect, LinkId, Room};
use crate::store::{Backfill, StoreError};

const FIRST_MS: Millis = 200;
const MOST_MS: Millis = 5_000;

/// Whether the room holds, and when it tries again.
#[derive(Debug, Default)]
pub(super) struct Hold {
    until: Option<Millis>,
    attempts: u32,
}

impl Room {
    /// Gives up what is in flight and queued, and tells every hub to keep it.
    pub(super) fn hold(&mut self, why: &str, now: Millis) {
        let given_up = self.commit.give_up();
        self.settle_files(given_up.iter().map(|change| &change.file));
        for change in given_up {
            if let Some(state) = self.links.get_mut(&change.link) {
                let from = state.replay_from.get_or_insert(change.hub_seq);
                *from = (*from).min(change.hub_seq);
            }
        }
        let hold = &mut self.commit.hold;
        hold.until = Some(now + (FIRST_MS << hold.attempts.min(8)).min(MOST_MS));
        hold.attempts += 1;
        for state in self.links.values_mut().filter(|state| !state.held) {
            state.held = true;
            state.out.push(OriginMessage::Hold { why: why.to_owned() });
        }
    }

    /// Whether a change of this link is the next one. While the room holds, or when its queue is full, the link
    /// is told to keep it; until the replay has come round to the first one given up, nothing is taken.
    pub(super) fn follows(&mut self, link: LinkId, hub_seq: u64, bytes: usize) -> bool {
        let holds = self.commit.hold.until.is_some();
        let full = self.commit.queued_bytes + bytes > limits::QUEUE_BYTES && !self.commit.queue.is_empty();
        let Some(state) = self.links.get_mut(&link) else { return false };
        if hub_seq == 0 {
            return true;
        }
        if let Some(from) = state.replay_from {
            if hub_seq > from {
                return false;
            }
            if !holds && !state.held {
                state.replay_from = None;
            }
        }
        if holds || full || state.held {
            state.replay_from = Some(hub_seq);
            if !state.held {
                state.held = true;
                state.out.push(OriginMessage::Hold { why: "busy".to_owned() });
            }
            return false;
        }
        true
    }

    /// The queue is empty: links that were told to wait for it go on.
    pub(super) fn resume_busy_links(&mut self) {
        if self.commit.hold.until.is_some() {
            return;
        }
        for state in self.links.values_mut().filter(|state| state.held) {
            state.held = false;
            state.out.push(OriginMessage::Resume);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        if self.commit.hold.until.is_some_and(|at| at <= now) && !self.catching_up {
            self.catch_up();
        }
        self.close_gap(now);
        if self.gives_back_at().is_some_and(|at| at <= now) {
            self.give_back();
            self.commit_next();
        }
        self.end_stale_presence(now);
        self.drop_overflowing();
        self.look_at_storing(now);
    }

    /// When [`Self::tick`] wants to be called next.
    pub fn next_tick(&self) -> Option<Millis> {
        let hold = self.commit.hold.until.filter(|_| !self.catching_up);
        let others = [self.presence.due_at(), self.gap_at(), self.storing_at(), self.gives_back_at()];
        others.into_iter().chain([hold]).flatten().min()
    }

    /// The room store's answer to [`Effect::CatchUp`]: what it has beyond the room's position, which settles the
    /// outcome of an append whose answer was lost.
    pub fn caught_up(&mut self, answer: Result<Backfill, StoreError>, now: Millis) {
        self.catching_up = false;
        match answer {
            Ok(Backfill::Changes(position, entries)) if position.epoch == self.position.epoch => {
                for entry in entries {
                    self.apply_logged(entry);
                }
                self.commit.hold.until = None;
                self.commit.hold.attempts = 0;
                for file in std::mem::take(&mut self.reread) {
                    self.want(&file);
                }
                self.look_at_storing(now);
                self.give_back();
                self.commit_next();
            }
            // Emptied, or populated anew by another origin: nothing here continues it.
            Ok(_) | Err(StoreError::Cold | StoreError::Epoch(_)) => self.stale = true,
            Err(error) => self.hold(error.word(), now),
        }
    }

    /// Whether the room store has the room in another epoch: it is to be joined anew.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Ends every link: the hubs come back and synchronise.
    pub fn unlink_all(&mut self, why: &'static str) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.effects.push(Effect::Unlink(link, why));
        }
    }
}

//! One room in memory. Decisions about it (`log.rs`, `leases.rs`, `catalog.rs`) change only leases and loader; what must
//! last is a [`Change`], which is first written to disk and then given to [`Room::apply`].

use std::collections::HashMap;

use shared::position::Epoch;

use super::{
    change::{Answered, Change},
    open::{BEGUN, File, Open},
};
use crate::store::{ListedMember, LoaderToken, Published, StoreError};

/// What a decision may know of the world.
#[derive(Clone, Copy)]
pub(super) struct Now {
    /// The time in microseconds.
    pub(super) us: u64,
    /// The highest epoch that any room has had.
    pub(super) last_epoch: u64,
}

/// A room, populated or about to be.
#[derive(Default)]
pub(super) struct Room {
    pub(super) leases: HashMap<String, Lease>,
    pub(super) loader: Option<Loader>,
    /// Nobody joins before this time.
    pub(super) sealed_until: u64,
    pub(super) open: Option<Open>,
}

/// An origin's hold on the room, and who it says is there.
#[derive(Default)]
pub(super) struct Lease {
    pub(super) until: u64,
    pub(super) listed: Option<Vec<ListedMember>>,
}

/// Who populates the room.
pub(super) struct Loader {
    pub(super) token: LoaderToken,
    pub(super) origin: String,
    pub(super) until: u64,
}

impl Room {
    /// A room as it was read back from disk: populated, nobody in it.
    pub(super) fn reopened(open: Open) -> Self {
        Self { open: Some(open), ..Self::default() }
    }

    /// Whether forgetting the room loses nothing.
    pub(super) fn is_vacant(&self) -> bool {
        self.open.is_none() && self.leases.is_empty() && self.loader.is_none() && self.sealed_until == 0
    }

    pub(super) fn is_populated(&self) -> bool {
        self.open.is_some()
    }

    /// Makes a change that is on disk visible, and says what the room's subscribers are to hear.
    pub(super) fn apply(&mut self, change: Change) -> Option<Published> {
        match change {
            Change::None => None,
            Change::Opened { position, bases } => {
                self.loader = None;
                self.open = Some(Open::new(position, bases));
                Some(Published::Epoch(position.epoch))
            }
            Change::Logged { position, entries, created, answered, clocks } => {
                let open = self.open.as_mut()?;
                open.position = position;
                open.clocks.extend(clocks);
                if let Some((id, path)) = created {
                    open.add(id, File::created(path, position));
                }
                entries.iter().for_each(|entry| open.log(entry.clone()));
                if let Some(Answered { origin, number, answers }) = answered {
                    open.batches.insert(origin, (number, answers));
                }
                (!entries.is_empty()).then_some(Published::Changes(position.epoch, entries))
            }
            Change::Based { ack, unflushed } => {
                self.open.as_mut()?.rebase(ack, unflushed);
                None
            }
            Change::Sealed(sealed) => {
                let marks = &mut self.open.as_mut()?.marks;
                if sealed {
                    marks.insert(BEGUN.to_owned(), 1)
                } else {
                    marks.remove(BEGUN)
                };
                None
            }
            Change::Gone => {
                self.open = None;
                None
            }
            Change::Erased => {
                *self = Self::default();
                Some(Published::Erased)
            }
        }
    }

    /// Ends the leases and the seal that are over.
    pub(super) fn expire(&mut self, now: Now) {
        self.leases.retain(|_, lease| lease.until > now.us);
        if self.sealed_until <= now.us {
            self.sealed_until = 0;
        }
    }

    /// What it holds, if it is populated.
    pub(super) fn populated(&self) -> Result<&Open, StoreError> {
        self.open.as_ref().ok_or(StoreError::Cold)
    }

    /// The same, if it is in this epoch.
    pub(super) fn in_epoch(&self, epoch: Epoch) -> Result<&Open, StoreError> {
        let open = self.populated()?;
        if open.position.epoch == epoch { Ok(open) } else { Err(StoreError::Epoch(open.position.epoch)) }
    }
}

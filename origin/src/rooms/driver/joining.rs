//! A room is joined when a hub needs it, left when no document is open, and joined again if the store has lost what is
//! kept here.

use shared::close::CloseCode;
use tokio::time::Instant;

use super::{Driver, TRY_AGAIN};
use crate::{
    clock,
    rooms::{
        populate::{PopulateError, Populated, populate},
        residency::Residency,
        subscription::Subscription,
    },
    store::{Left, StoreError},
};

impl Driver {
    /// When the room is joined although no hub has come: what is kept of it may be lost.
    pub(super) fn comes_back_at(&self) -> Option<Instant> {
        let keeps = self.room.holds_unflushed() && !self.draining;
        self.residency.comes_back_at().filter(|_| keeps)
    }

    /// Populates the room if it is not. If that fails, every open is refused with the reason.
    pub(super) async fn ensure_live(&mut self, may_create: bool) {
        match self.residency {
            Residency::Live { .. } | Residency::Leaving { .. } => return,
            Residency::Failed { until } if until > Instant::now() => return,
            _ => {}
        }
        // Replies to calls from before the room begins again mean nothing.
        self.calls.clear();
        self.roster.ended();
        self.roster.changed(Instant::now());
        self.subscription = Subscription::begin(&self.rooms.parts.store, &self.id).await;
        match populate(&self.rooms.parts, &self.id, may_create).await {
            Ok(populated) => {
                let Populated { position, names, secret } = populated;
                self.room.begin(position, names, clock::now_us(), secret);
                self.residency = Residency::Live { renew_at: Instant::now() + self.rooms.parts.lease / 3 };
            }
            Err(error) => {
                let (code, reason) = match &error {
                    PopulateError::NoShard => (CloseCode::NotFound, "no-room"),
                    PopulateError::Store(StoreError::Sealed) => (CloseCode::Deleted, "deleted"),
                    PopulateError::Store(_) | PopulateError::Archive(_) => {
                        tracing::error!(room.id = %self.id, %error, "a room cannot be populated");
                        (CloseCode::Failed, "cannot-populate")
                    }
                };
                self.room.refuse(code, reason);
                self.residency = Residency::Failed { until: Instant::now() + TRY_AGAIN };
            }
        }
    }

    /// Leaves the room store when no document is open, and comes back when it has to.
    pub(super) async fn look_after(&mut self) {
        if self.residency.is_joined() && self.room.is_stale() {
            self.start_over("the room is in another epoch");
            self.carry_out();
        }
        if self.comes_back_at().is_some_and(|at| at <= Instant::now()) {
            self.ensure_live(false).await;
            self.carry_out();
        }
        let is_busy = !self.room.is_idle() || self.room.is_restoring() || !self.calls.is_empty();
        let now = Instant::now();
        match self.residency {
            Residency::Failed { until } if self.room.is_idle() => {
                self.residency = Residency::Parked { back_at: until, may_have_lease: true };
            }
            Residency::Failed { .. } | Residency::Parked { .. } => {}
            _ if self.draining => {}
            Residency::Leaving { .. } if is_busy => self.residency = Residency::Live { renew_at: now },
            Residency::Live { .. } if is_busy => {}
            Residency::Leaving { again_at } if again_at > now => {}
            Residency::Live { .. } | Residency::Leaving { .. } => self.leave().await,
        }
    }

    async fn leave(&mut self) {
        let parts = &self.rooms.parts;
        let epoch = self.room.position().epoch;
        match parts.store.leave(&self.id, &parts.origin_id, epoch).await {
            // The other origins keep copies of what comes from now on, not of what was there before.
            Ok(Left::Members(_)) if self.room.holds_unflushed() => {
                let dirty = parts.store.dirty(&self.id).await.ok();
                self.room.hand_over(dirty.as_ref());
                self.residency = Residency::Leaving { again_at: Instant::now() + TRY_AGAIN };
            }
            Ok(Left::Gone | Left::Members(_) | Left::NotMine) => self.park(),
            Ok(Left::Dirty(_)) => {
                if self.residency.has_lease() {
                    parts.queue.request_now(&self.id);
                }
                self.residency = Residency::Leaving { again_at: Instant::now() + TRY_AGAIN };
            }
            Err(error) => {
                tracing::warn!(room.id = %self.id, %error, "a room could not be left");
                self.residency = Residency::Leaving { again_at: Instant::now() + TRY_AGAIN };
            }
        }
    }

    /// Lets go of the room. If it is gone before all of it is known to be stored, the notes about that may still be on
    /// their way; else the store has lost it.
    fn park(&mut self) {
        self.residency = Residency::parked(Instant::now() + TRY_AGAIN);
        if !self.room.holds_unflushed() {
            self.subscription = Subscription::Off;
        }
    }

    pub(super) fn start_over(&mut self, why: &'static str) {
        tracing::warn!(room.id = %self.id, why, "the room starts over");
        self.room.unlink_all("epoch");
        self.residency = Residency::Parked { back_at: Instant::now(), may_have_lease: true };
        self.subscription = Subscription::Off;
    }
}

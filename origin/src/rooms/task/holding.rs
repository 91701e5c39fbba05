//! How a room is held: joined when somebody needs it, left when nobody does, and joined again if the store has lost
//! what is kept here.

use shared::close::CloseCode;
use tokio::time::Instant;

use super::{Hold, TRY_AGAIN, Task};
use crate::{
    clock,
    rooms::{
        hearing::Hearing,
        populate::{PopulateError, Populated, populate},
    },
    store::{Left, StoreError},
};

impl Task {
    /// When the room is joined although nobody has come: what is kept of it may be lost.
    pub(super) fn comes_back_at(&self) -> Option<Instant> {
        let keeps = self.room.keeps_unstored() && !self.draining;
        match self.hold {
            Hold::Parked => keeps.then_some(self.back_at),
            Hold::Failed(until) => keeps.then_some(until),
            Hold::Live => None,
        }
    }

    /// Populates the room if it is not. If that fails, whoever opens something is refused with the reason.
    pub(super) async fn ensure_live(&mut self, may_create: bool) {
        match self.hold {
            Hold::Live => return,
            Hold::Failed(until) if until > Instant::now() => return,
            _ => {}
        }
        self.may_have_lease = true;
        // What was asked of the room before it began anew is answered for nobody.
        self.jobs.clear();
        self.roll.told();
        self.roll.changed(Instant::now());
        self.hearing = Hearing::begin(&self.inner.parts.store, &self.id).await;
        match populate(&self.inner.parts, &self.id, may_create).await {
            Ok(populated) => {
                let Populated { position, names, secret } = populated;
                self.room.begin(position, names, clock::now_us(), secret);
                self.may_have_lease = false;
                self.hold = Hold::Live;
                self.renew_at = Instant::now() + self.inner.parts.lease / 3;
            }
            Err(PopulateError::NoShard) => {
                self.room.refuse(CloseCode::NotFound, "no-room");
                self.hold = Hold::Failed(Instant::now() + TRY_AGAIN);
            }
            Err(PopulateError::Store(StoreError::Sealed)) => {
                self.room.refuse(CloseCode::Deleted, "deleted");
                self.hold = Hold::Failed(Instant::now() + TRY_AGAIN);
            }
            Err(error) => {
                tracing::error!(room.id = %self.id, %error, "a room cannot be populated");
                self.room.refuse(CloseCode::Failed, "cannot-populate");
                self.hold = Hold::Failed(Instant::now() + TRY_AGAIN);
            }
        }
    }

    /// Leaves the room store when nobody is here, and comes back when somebody is.
    pub(super) async fn look_after(&mut self) {
        if self.hold == Hold::Live && self.room.is_stale() {
            self.start_over("the room is in another epoch");
            self.carry_out();
        }
        if self.comes_back_at().is_some_and(|at| at <= Instant::now()) {
            self.ensure_live(false).await;
            self.carry_out();
        }
        if let Hold::Failed(until) = self.hold
            && self.room.is_idle()
        {
            self.hold = Hold::Parked;
            self.back_at = until;
        }
        if self.hold != Hold::Live || self.draining {
            return;
        }
        if !self.room.is_idle() || self.room.is_giving_back() || !self.jobs.is_empty() {
            if self.leave_at.take().is_some() {
                self.renew_at = Instant::now();
            }
            return;
        }
        if self.leave_at.is_none_or(|at| at <= Instant::now()) {
            self.leave().await;
        }
    }

    async fn leave(&mut self) {
        let parts = &self.inner.parts;
        let epoch = self.room.position().epoch;
        match parts.store.leave(&self.id, &parts.origin_id, epoch).await {
            // Who is left keeps what comes from now on, not what was there before.
            Ok(Left::Members(_)) if self.room.keeps_unstored() => {
                self.room.retire();
                if let Ok(dirty) = parts.store.dirty(&self.id).await {
                    self.room.learn_dirty(&dirty);
                }
                self.leave_at = Some(Instant::now() + TRY_AGAIN);
            }
            Ok(Left::Gone | Left::Members(_) | Left::NotMine) => self.park(),
            Ok(Left::Dirty(_)) => {
                if self.leave_at.is_none() {
                    parts.queue.request_now(&self.id);
                }
                self.leave_at = Some(Instant::now() + TRY_AGAIN);
            }
            Err(error) => {
                tracing::warn!(room.id = %self.id, %error, "a room could not be left");
                self.leave_at = Some(Instant::now() + TRY_AGAIN);
            }
        }
    }

    /// Lets go of the room. If it is gone before all of it is known to be stored, the news may still be on their way;
    /// else the store has lost it.
    fn park(&mut self) {
        self.hold = Hold::Parked;
        self.leave_at = None;
        self.back_at = Instant::now() + TRY_AGAIN;
        if !self.room.keeps_unstored() {
            self.hearing = Hearing::Nothing;
        }
    }

    pub(super) fn start_over(&mut self, why: &'static str) {
        tracing::warn!(room.id = %self.id, why, "the room starts over");
        self.room.unlink_all("epoch");
        self.may_have_lease = true;
        self.hold = Hold::Parked;
        self.hearing = Hearing::Nothing;
        self.leave_at = None;
        self.back_at = Instant::now();
    }
}

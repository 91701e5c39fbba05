//! The gate as edge and origin have it together.

use shared::update::{Ahead, GateError, History, check};

/// What the gate says of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Logged,
    Duplicate,
    Refused(GateError),
}

/// A log, and what the gate knows of it.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) history: History,
    ahead: Ahead,
    in_flight: Vec<Vec<u8>>,
}

impl Gate {
    /// Validates an incremental update, and logs what passes.
    pub(crate) fn take(&mut self, update: &[u8]) -> Verdict {
        let verdict = self.validate(update, true);
        self.answer();
        verdict
    }

    /// The same for the answer to a Step1.
    pub(crate) fn take_step2(&mut self, update: &[u8]) -> Verdict {
        let verdict = self.validate(update, false);
        self.answer();
        verdict
    }

    /// Validates an update; what passes is in flight until [`Self::answer`].
    pub(crate) fn validate(&mut self, update: &[u8], incremental: bool) -> Verdict {
        match self.try_take(update, incremental) {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Refused(error),
        }
    }

    /// The append of what is in flight is answered.
    pub(crate) fn answer(&mut self) {
        self.ahead.clear();
        self.history.settle();
        for update in self.in_flight.drain(..) {
            self.history.absorb(&update).expect("what passed can be read");
        }
    }

    /// Up to where a client's text is logged or in flight.
    pub(crate) fn clock(&self, client: u64) -> u32 {
        self.history.state_vector.get(client).max(self.ahead.get(client))
    }

    fn try_take(&mut self, update: &[u8], incremental: bool) -> Result<Verdict, GateError> {
        let shape = check(update)?;
        if incremental && shape.garbage {
            return Err(GateError::Garbage);
        }
        let novelty = self.history.compare(&self.ahead, update)?;
        if novelty.new_garbage {
            return Err(GateError::Garbage);
        }
        if !novelty.is_new {
            return Ok(Verdict::Duplicate);
        }
        let advance = self.history.admit(&self.ahead, update)?;
        self.ahead.apply(&advance, update)?;
        self.in_flight.push(update.to_vec());
        Ok(Verdict::Logged)
    }
}

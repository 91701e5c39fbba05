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
}

impl Gate {
    /// Judges an incremental update, and logs what passes.
    pub(crate) fn take(&mut self, update: &[u8]) -> Verdict {
        self.judge(update, true)
    }

    /// The same for the answer to a Step1.
    pub(crate) fn take_step2(&mut self, update: &[u8]) -> Verdict {
        self.judge(update, false)
    }

    fn judge(&mut self, update: &[u8], incremental: bool) -> Verdict {
        match self.try_take(update, incremental) {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Refused(error),
        }
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
        // The append is answered.
        self.ahead.clear();
        self.history.settle();
        self.history.absorb(update)?;
        Ok(Verdict::Logged)
    }
}

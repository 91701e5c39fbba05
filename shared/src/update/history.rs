//! What the log holds of one file, without its text.

use super::{
    Advance, Ahead, GateError, IdRanges, StateVector, causality, check,
    read::{self, Content, Part},
};

/// Which characters were ever typed and which of them are deleted, as far as they are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Up to where each author's text is logged.
    pub state_vector: StateVector,
    /// What of it is deleted.
    pub deleted: IdRanges,
}

impl History {
    /// The history of a file by its whole state; an error if it is not whole.
    pub fn of(update: &[u8]) -> Result<Self, GateError> {
        let mut history = Self::default();
        history.admit(&Ahead::default(), update)?;
        history.absorb(update)?;
        Ok(history)
    }

    /// Adds what was logged. Nothing is added if the update does not pass [`check`].
    pub fn absorb(&mut self, update: &[u8]) -> Result<(), GateError> {
        check(update)?;
        read::walk(update, |part| match part {
            Part::Struct(client, read) if read.clock <= self.state_vector.get(client) => {
                if read.content != Content::Skip {
                    self.state_vector.advance(client, read.end);
                }
                if read.content == Content::Deleted {
                    self.deleted.insert(client, read.clock..read.end);
                }
            }
            Part::Range(client, range) => self.deleted.insert(client, range),
            _ => {}
        })
    }

    /// Whether the update holds text or deletions that are not logged.
    pub fn brings_new(&self, update: &[u8]) -> Result<bool, GateError> {
        check(update)?;
        let mut new = false;
        read::walk(update, |part| match part {
            Part::Struct(client, read) if read.content != Content::Skip => {
                new |= read.end > self.state_vector.get(client);
            }
            Part::Range(client, range) => new |= !self.deleted.contains_range(client, range),
            _ => {}
        })?;
        Ok(new)
    }

    /// Admits an update if everything that it builds on is logged, on its way, or in the update itself;
    /// [`GateError::Missing`] if not.
    pub fn admit(&self, ahead: &Ahead, update: &[u8]) -> Result<Advance, GateError> {
        check(update)?;
        causality::settle(causality::Known { logged: &self.state_vector, ahead }, update)
    }
}

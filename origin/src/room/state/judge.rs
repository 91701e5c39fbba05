//! The gate in front of the log: shape, rights, size, novelty, causality.

use shared::{limits, update};

use super::{
    Room,
    commit::{Change, What},
};

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Log it.
    Log,
    /// It brings nothing that is not logged: acknowledge only.
    Known,
    /// It depends on what is not logged.
    Missing,
    /// Refused for good.
    Refuse(&'static str),
}

impl Room {
    /// Judges one change against what is logged and what the batch before it adds.
    pub(super) fn judge(&mut self, change: &Change) -> Verdict {
        if change.what == What::Event {
            return Verdict::Log;
        }
        let Some(live) = self.live.get_mut(&change.file) else { return Verdict::Refuse("no-file") };
        if let Err(error) = update::check(&change.bytes) {
            return Verdict::Refuse(error.word());
        }
        match live.history.brings_new(&change.bytes) {
            Ok(false) => return Verdict::Known,
            Ok(true) => {}
            Err(error) => return Verdict::Refuse(error.word()),
        }
        if change.what == (What::Step2 { may_edit: false }) {
            return Verdict::Refuse("read-only");
        }
        // The hub has let it in below its own cap: the slack keeps the two from disagreeing.
        if live.size + change.bytes.len() > limits::FILE_BYTES + limits::FILE_SLACK_BYTES {
            return Verdict::Refuse("file-too-large");
        }
        match live.history.admit(&live.ahead, &change.bytes) {
            Ok(advance) => {
                live.ahead.apply(&advance);
                Verdict::Log
            }
            Err(error) if error.is_missing() => Verdict::Missing,
            Err(error) => Verdict::Refuse(error.word()),
        }
    }
}

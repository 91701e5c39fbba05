//! The gate in front of the log: shape, rights, size, novelty, causality.

use bytes::Bytes;
use shared::{limits, update};

use super::{
    Room,
    commit::{Change, What},
    file::LiveFile,
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
    pub(super) fn judge(&mut self, change: &mut Change) -> Verdict {
        let may_edit = match change.what {
            What::Event => return Verdict::Log,
            What::Text(_) => return self.judge_text(change),
            What::Step2 { may_edit } => may_edit,
            What::Update | What::Returned => true,
        };
        let Some(live) = self.live.get_mut(&change.file) else { return Verdict::Refuse("no-file") };
        match live.brings_new(&change.bytes) {
            Verdict::Log if !may_edit => Verdict::Refuse("read-only"),
            // It was within the bounds when it was logged first.
            Verdict::Log if change.what == What::Returned => live.advance(&change.bytes),
            Verdict::Log => live.admit(&change.bytes),
            verdict => verdict,
        }
    }
}

impl LiveFile {
    /// Whether an update has the right shape and something that is not logged.
    pub(super) fn brings_new(&self, bytes: &Bytes) -> Verdict {
        if let Err(error) = update::check(bytes) {
            return Verdict::Refuse(error.word());
        }
        match self.history.brings_new(bytes) {
            Ok(false) => Verdict::Known,
            Ok(true) => Verdict::Log,
            Err(error) => Verdict::Refuse(error.word()),
        }
    }

    /// Admits an update that brings something, of somebody who may edit.
    pub(super) fn admit(&mut self, bytes: &Bytes) -> Verdict {
        // The hub has let it in below its own cap: the slack keeps the two from disagreeing.
        if self.size + bytes.len() > limits::FILE_BYTES + limits::FILE_SLACK_BYTES {
            return Verdict::Refuse("file-too-large");
        }
        self.advance(bytes)
    }

    /// Lets the gate's view run ahead over an update, if everything that it builds on is there.
    fn advance(&mut self, bytes: &Bytes) -> Verdict {
        match self.history.admit(&self.ahead, bytes) {
            Ok(advance) => {
                self.ahead.apply(&advance);
                Verdict::Log
            }
            Err(error) if error.is_missing() => Verdict::Missing,
            Err(error) => Verdict::Refuse(error.word()),
        }
    }
}

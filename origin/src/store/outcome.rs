//! What is known of a room beside its text: how its flushes ended, how much its logs take, whether its shard was being
//! deleted. For operators and sweeps.

use serde::{Deserialize, Serialize};
use shared::id::FileId;

/// How the flushes of a populated room ended, whoever did them. `None`: nothing of that kind has happened yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// When one last went well (µs).
    pub flushed_at: Option<u64>,
    /// How one last failed.
    pub failed: Option<FailedFlush>,
    /// The files that the last one put aside, at most [`crate::limits::PARKED_SHOWN`].
    pub parked: Option<Vec<SetAside>>,
}

/// A flush that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFlush {
    /// When (µs).
    pub at: u64,
    /// Why.
    pub reason: String,
}

/// A file that a flush put aside because trying again soon is no use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The file.
    pub file: FileId,
    /// Why.
    pub reason: String,
}

/// What [`super::Catalog::survey`] finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// About how many bytes the logs take in the room store.
    pub log_bytes: u64,
    /// Those of each file that was asked for, in the same order.
    pub file_bytes: Vec<u64>,
    /// Whether a deletion of the shard was begun, and its seal has ended without the room being erased.
    pub deletion_left: bool,
    /// How its flushes ended.
    pub outcome: Outcome,
}

impl Outcome {
    /// One that went well or at least had an end, and put these files aside.
    pub fn ended(flushed_at: Option<u64>, parked: impl Iterator<Item = (FileId, String)>) -> Self {
        let parked = parked.take(crate::limits::PARKED_SHOWN);
        let parked = parked.map(|(file, reason)| SetAside { file, reason: cut(&reason) }).collect();
        Self { flushed_at, failed: None, parked: Some(parked) }
    }

    /// One that failed.
    pub fn failed(at: u64, reason: &str) -> Self {
        Self { failed: Some(FailedFlush { at, reason: cut(reason) }), ..Self::default() }
    }

    /// What is known after `later`, too.
    pub fn and(self, later: Self) -> Self {
        Self {
            flushed_at: later.flushed_at.or(self.flushed_at),
            failed: later.failed.or(self.failed),
            parked: later.parked.or(self.parked),
        }
    }
}

/// A reason of bounded size.
fn cut(reason: &str) -> String {
    reason[..reason.floor_char_boundary(crate::limits::REASON_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_files_are_bounded() {
        let file = FileId::parse("f_0000000000000001").unwrap();
        let long = "\u{e9}".repeat(crate::limits::REASON_BYTES);
        let many = (0..crate::limits::PARKED_SHOWN + 1).map(|_| (file.clone(), long.clone()));
        let parked = Outcome::ended(Some(1), many).parked.unwrap();
        assert_eq!(
            (parked.len(), parked[0].reason.len()),
            (crate::limits::PARKED_SHOWN, crate::limits::REASON_BYTES)
        );
    }
}

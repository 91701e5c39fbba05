//! The gate: what a Yjs v1 update of a text file may look like, and whether what it builds on is there.
//!
//! [`check`] decides by the bytes alone and is the same at the edge and at the origin. [`History`] is what
//! the log holds of one file; it finds what an update brings and what it lacks. No document is built for any
//! of it, and whatever passes is safe to be handed to one.

mod causality;
mod check;
mod history;
mod id_ranges;
mod read;
mod state_vector;

pub use self::{
    causality::{Advance, Ahead},
    check::{Shape, check, is_empty},
    history::History,
    id_ranges::IdRanges,
    state_vector::StateVector,
};
use crate::wire::varint::ReadError;

/// Largest client id of Yjs.
const CLIENT_MAX: u64 = (1 << 53) - 1;
/// Largest clock, and largest end of a range of clocks.
const CLOCK_MAX: u64 = (1 << 31) - 1;

/// Why an update does not pass the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// The bytes end too early.
    #[error("the update ends too early")]
    End,
    /// A number above its limit, or not in its shortest spelling.
    #[error("the update has a number that is too large or oddly spelled")]
    Number,
    /// A struct of a kind that a text file has no use for.
    #[error("the update has a struct of kind {0}, which is not for text")]
    Kind(u8),
    /// A struct whose parent is not the file's text.
    #[error("the update changes something else than the file's text")]
    Root,
    /// A string that is not UTF-8.
    #[error("the update has a string that is not UTF-8")]
    Text,
    /// A length of zero, or a range that ends beyond the largest clock.
    #[error("the update has a length of zero or beyond the limit")]
    Length,
    /// Delete ranges that do not ascend or that touch each other twice.
    #[error("the update has delete ranges out of order")]
    Order,
    /// A client with two groups of structs, or two lists of ranges.
    #[error("the update names a client twice")]
    Twice,
    /// A struct that says it stands beside one that its author made later.
    #[error("the update has a struct that refers to the future")]
    Future,
    /// Bytes after the end.
    #[error("the update has bytes after its end")]
    Trailing,
    /// It builds on something that is not there (yet).
    #[error("the update depends on what is not there")]
    Missing,
}

impl GateError {
    /// The stable word for it in CLOSE reasons, `error` events and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::End => "update-truncated",
            Self::Number => "update-number",
            Self::Kind(_) => "update-kind",
            Self::Root => "update-root",
            Self::Text => "update-text",
            Self::Length => "update-length",
            Self::Order => "update-order",
            Self::Twice => "update-twice",
            Self::Future => "update-future",
            Self::Trailing => "update-trailing",
            Self::Missing => "update-missing",
        }
    }

    /// Whether it may pass later, when what it depends on is there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

impl From<ReadError> for GateError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::End => Self::End,
            ReadError::Number => Self::Number,
            ReadError::Text => Self::Text,
        }
    }
}

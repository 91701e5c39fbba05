//! Why an update does not pass the gate.

use crate::wire::varint::ReadError;

/// The word for an update under whose clocks something else is known: its author's document cannot be healed.
pub const REUSE: &str = "update-reuse";

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
    /// A client with two lists of ranges.
    #[error("the update names a client twice")]
    Twice,
    /// Groups of structs whose clients do not descend: a merge of such updates loses text.
    #[error("the update has its clients' structs out of order")]
    Groups,
    /// New text of more clients than [`crate::limits::UPDATE_CLIENTS`].
    #[error("the update brings text of too many clients")]
    Clients,
    /// A Deleted struct that the update does not delete.
    #[error("the update has a deleted struct that its delete list does not cover")]
    Uncovered,
    /// A struct between a character and that same character, or whose neighbours are in the wrong order.
    #[error("the update has a struct whose right neighbour does not follow its left one")]
    Place,
    /// Too much was typed at the same place at the same time.
    #[error("the update has text at a place where too many have typed at once")]
    Conflicts,
    /// Garbage where only text is.
    #[error("the update has garbage, which a text never has")]
    Garbage,
    /// Other text, or text in another place, under clocks that are known.
    #[error("the update has other text under clocks that are in use")]
    Reuse,
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
            Self::Groups => "update-groups",
            Self::Clients => "update-clients",
            Self::Uncovered => "update-uncovered",
            Self::Place => "update-place",
            Self::Conflicts => "update-conflicts",
            Self::Garbage => "update-garbage",
            Self::Reuse => REUSE,
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

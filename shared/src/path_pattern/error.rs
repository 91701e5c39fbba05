//! Why a text is not a path pattern.

use crate::limits;

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Empty, or longer than a path can be.
    #[error("a path pattern has 1 to {} bytes", limits::PATH_BYTES)]
    Length,
    /// `{` without `}`, or the other way round.
    #[error("a brace of a path pattern has no counterpart: write \\{{ or \\}} for the character")]
    Brace,
    /// Nothing follows the last `\`.
    #[error("nothing follows the last \\ of a path pattern")]
    Quote,
    /// More than [`limits::PATTERN_ALTERNATIVES`].
    #[error("the braces of a path pattern hold more than {} alternatives", limits::PATTERN_ALTERNATIVES)]
    Alternatives,
    /// A combining character would change what `*`, `?` or a brace before it fits.
    #[error("a combining character of a path pattern follows no character that it could be part of")]
    Combining,
    /// A part of it fits no path, such as a leading `/`.
    #[error("a part of the path pattern fits no path: paths are relative, no segment is empty, . or ..")]
    Void,
}

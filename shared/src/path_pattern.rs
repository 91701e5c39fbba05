//! Path patterns: the files that a rule of a token is about.
//!
//! `*` is any number of characters of one segment, `**` any number of characters, `?` one character of a segment,
//! `{a,b}` one of several, and `\` takes its meaning from the character after it. Every other character is itself.
//! A character is a Unicode scalar value of the path in NFC.
//!
//! Promise: a pattern is refused unless each part of it can fit some path, so no rule is void without a word. Its
//! steps are followed side by side, as in Thompson's construction: whatever the pattern, the time for a path is at
//! most the product of the two lengths.

mod compile;
mod program;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use self::program::Program;
use crate::{id::FilePath, limits};

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

/// A pattern that was read.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: Arc<str>,
    program: Arc<Program>,
}

impl PathPattern {
    /// Reads a pattern. It is normalised like a path: NFC is applied, everything else must already hold.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let program = compile::compile(text)?;
        if program.is_partly_void() || text == limits::ROOM_DOCUMENT {
            return Err(PatternError::Void);
        }
        Ok(Self { text: text.into(), program: Arc::new(program) })
    }

    /// The pattern that fits every path.
    pub fn everything() -> Self {
        Self { text: "**".into(), program: Arc::new(Program::everything()) }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it fits the whole of a path.
    pub fn fits(&self, path: &FilePath) -> bool {
        self.program.fits(path.as_str())
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathPattern {}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathPattern({})", self.text)
    }
}

impl TryFrom<String> for PathPattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> String {
        pattern.text.to_string()
    }
}

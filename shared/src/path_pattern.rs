//! Path patterns: the files that a rule of a token is about.
//!
//! `*` is any number of characters of one segment, `**` any number of characters, `?` one character of a segment,
//! `{a,b}` one of several, and `\` takes its meaning from the character after it. Every other character is itself.
//! A character is a Unicode scalar value of the path in NFC.
//!
//! Promise: a pattern is refused unless each part of it can fit some path, so no rule is void without a word. Its
//! steps are followed side by side, as in Thompson's construction: whatever the pattern, the time for a path is at
//! most the product of the two lengths.

mod error;
mod compile;
mod program;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

pub use self::error::PatternError;
use self::program::Program;
use crate::{id::FilePath, limits};

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

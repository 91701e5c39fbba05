//! Projects: what they start from and how they are made.

pub mod templates;
pub mod shards;

pub use room::{edits, lines, text};

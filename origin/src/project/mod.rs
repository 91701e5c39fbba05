//! Projects: their texts and how a text becomes shared state and comes back.

pub mod text;
pub(crate) mod document;
pub mod edits;
pub mod lines;
pub mod templates;
pub mod shards;

//! Projects: their texts and how a text becomes shared state and comes back.

pub mod text;
pub mod edits;
pub mod templates;
pub mod shards;

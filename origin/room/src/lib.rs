//! The live room as a pure state machine, and the text of its files: no socket, no store, no clock. What comes in are
//! messages of hubs, answers of the room store and the time; what comes out is what is to be done.

pub mod log;
pub mod store;
pub mod lines;
pub mod edits;
mod document;
pub mod text;
pub mod state;

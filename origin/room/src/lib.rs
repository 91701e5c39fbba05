//! The live room as a pure state machine, and the text of its files: no socket, no store, no clock. Messages of hubs,
//! answers of the room store and the time go in; what comes out is what is to be done.

// The log and the text of files.
pub mod limits;
pub mod log;
pub mod store;
pub mod lines;
pub mod edits;
mod document;
pub mod text;

// The machine, and what goes in and out.
mod effect;
mod room;

// Its parts, from the hubs to the archive.
mod link;
mod links;
mod opens;
mod awareness;
mod visible;
mod presence;
mod notes;
mod events;
mod own_texts;
mod text_view;
mod text_clients;
mod change;
mod queue;
mod commit;
mod tail;
mod names;
mod claims;
mod size;
mod text_history;
mod file;
mod documents;
mod ledger;
mod flush_lag;
mod recovery;

pub use self::{
    effect::{Counts, Effect, LinkId, Settings},
    file::{Broken, text_of},
    room::Room,
};

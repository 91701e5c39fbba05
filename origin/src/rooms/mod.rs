//! Live rooms: populated when the first member joins, gone when the last has left and all is stored.
//!
//! [`room::state::Room`] is a pure state machine (events and time in, effects out); `task` carries its effects out
//! against the room store. Promise: nothing is acknowledged before it is in the room store, and every hub gets
//! everything after the position that it names.

mod task;
mod jobs;
mod announcer;
mod roll;
mod hearing;
mod populate;
mod registry;
mod report;

pub use registry::{Attachment, Parts, Rooms};
pub use report::{FileReport, RoomReport};

use crate::archive::Eol;

/// The text of a file in an open room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveText {
    /// What the log holds.
    pub text: String,
    /// Another one after each change of the file; without quotes.
    pub etag: String,
    /// The file's line ends outside.
    pub eol: Eol,
}

/// Why a room does not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// There is no such room.
    #[error("no such room")]
    NoRoom,
    /// There is no such file in the room.
    #[error("no such file")]
    NoFile,
    /// This origin takes nobody any more.
    #[error("this origin is draining")]
    Draining,
    /// Anything else.
    #[error("room: {0}")]
    Failed(String),
}

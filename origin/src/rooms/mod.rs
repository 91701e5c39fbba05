//! Live rooms: populated when the first member joins, gone when the last has left and all is stored.
//!
//! [`room::Room`] is a pure state machine (events and time in, effects out); the driver carries its effects out
//! against the room store. Promise: nothing is acknowledged before it is in the room store, and every hub gets
//! everything after the position that it names.

mod error;
mod parts;
mod registry;
mod open_rooms;
mod driver;
mod residency;
mod populate;
mod calls;
mod subscription;
mod announcer;
mod roster;
mod report;

pub use error::RoomError;
pub use parts::Parts;
pub use registry::{Attachment, Rooms};
pub use report::{FileReport, LiveText, RoomReport};

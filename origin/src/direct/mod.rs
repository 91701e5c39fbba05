//! The origin's own sockets: the same hub as at the edge, with a link inside the process.
//!
//! One task per room hosts the hub, one per socket reads and writes. Promise: every queue between them is
//! bounded; a client that reads too slowly is closed with 4508 and comes back by state vector.

mod outgoing;
mod input;
mod socket;
mod hub;
mod hubs;

use std::sync::Arc;

pub(crate) use self::socket::turn_away;
pub use self::{
    hubs::DirectHubs,
    input::{MESSAGE_BYTES, READ_BYTES},
};
use crate::{auth::Access, metrics::Metrics, rooms::Rooms, shutdown::Lifecycle};

/// What the hubs are made of.
pub struct Parts {
    /// The rooms that they attach to.
    pub rooms: Rooms,
    /// Who is let in.
    pub access: Access,
    /// When to end, and the tracker of their tasks.
    pub lifecycle: Lifecycle,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// This origin's id, part of the hubs' name.
    pub origin_id: String,
}

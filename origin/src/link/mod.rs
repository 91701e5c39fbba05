//! Links: the connections to the hubs at the edges, each asked for by its hub and opened from here.
//!
//! Promise: only who holds a link key is believed, only edges of this origin are called, and of each hub there
//! is one live link: a new one replaces the old.

mod dial;
mod live;
mod socket;
mod status;

use std::{sync::Arc, time::Duration};

use shared::signature::LinkKeys;

pub use self::dial::{Call, Dialler};
use crate::{auth::Access, metrics::Metrics, rooms::Rooms, shutdown::Lifecycle};

/// What dialling needs.
pub struct Parts {
    /// The keys of the link; without any, nobody is believed.
    pub keys: Option<LinkKeys>,
    /// The edges that may be dialled, without a slash at the end.
    pub edges: Vec<String>,
    /// Whether an edge on this machine needs no listing (`AUTH=open`).
    pub any_loopback: bool,
    /// How often a link is pinged.
    pub ping: Duration,
    /// Who is let in: tokens that an edge has verified are verified again.
    pub access: Access,
    /// The rooms that links attach to.
    pub rooms: Rooms,
    /// When to end, and the tracker of the links' tasks.
    pub lifecycle: Lifecycle,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

//! Links: the connections to the hubs at the edges, each asked for by its hub and opened from here.
//!
//! Promise: only who holds a link key is believed, only edges of this origin are called, and of each hub there
//! is one live link: a new one replaces the old.

mod dial;
mod live;
mod socket;
mod status;

pub use self::dial::{Call, Dialler, Parts};

//! What the two ends of Edgeroom agree on: the words of the protocol and the hub that speaks it.
//!
//! Pure: nothing here does I/O, reads a clock or draws a random number. Time, ids and bytes come in as
//! parameters; what should happen goes out as values. So the whole protocol runs in simulated time.

pub mod id;
pub mod position;
pub mod limits;
pub mod fingerprint;
pub mod close;
pub mod address;
pub mod subprotocol;
pub mod path_pattern;
pub mod grant;
pub mod token;
pub mod wire;
pub mod update;
pub mod signature;
pub mod hub;

/// Milliseconds since the Unix epoch, read by whoever calls in.
pub type Millis = u64;

//! What must hold of every parser, whatever the bytes: one function for each, which panics where it does not.
//!
//! `tests/fixed.rs` runs each on the same inputs every time; `cargo fuzz run NAME --features libfuzzer` in `shared/`
//! runs one for as long as one likes.

mod hub;
mod link;
mod token;
mod updates;
mod wire;

pub use self::{
    hub::hub,
    link::{link_hub, link_origin, signature},
    token::token,
    updates::{state_vector, update},
    wire::{awareness, bare_frame, client_frame, event, server_frame, text_frame, varint},
};

/// A name and what must hold of any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its program.
pub const TARGETS: [Target; 14] = [
    ("awareness", awareness),
    ("bare_frame", bare_frame),
    ("client_frame", client_frame),
    ("event", event),
    ("hub", hub),
    ("link_hub", link_hub),
    ("link_origin", link_origin),
    ("server_frame", server_frame),
    ("signature", signature),
    ("state_vector", state_vector),
    ("text_frame", text_frame),
    ("token", token),
    ("update", update),
    ("varint", varint),
];

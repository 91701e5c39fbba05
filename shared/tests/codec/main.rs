//! The parsers and writers of the wire, and the gate: one file per behaviour.

#![expect(clippy::unwrap_used, reason = "what a test cannot read ends it")]

mod support;

mod against_yrs;
mod awareness;
mod causality;
mod work;
mod events;
mod gate;
mod golden_frames;
mod link_frames;
mod path_patterns;
mod signature;
mod tokens;

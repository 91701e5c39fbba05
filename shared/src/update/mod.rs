//! The gate: what a Yjs v1 update of a text file may look like, and whether what it builds on is there.
//!
//! [`check`] decides by the bytes alone and is the same at the edge and at the origin. [`History`] is what
//! the log holds of one file; it finds whether an update contradicts it, what it brings and what it lacks. No document
//! is built for any of it, and whatever passes is safe to be handed to one.

mod error;
mod causality;
mod check;
mod history;
mod id_ranges;
mod read;
mod runs;
mod order;
mod labels;
mod spans;
mod state_vector;

pub use self::{
    causality::{Advance, Ahead, Extension},
    check::{Shape, check, is_empty},
    error::{GateError, REUSE},
    history::{Deletions, History, Novelty},
    id_ranges::IdRanges,
    spans::{Span, builds_on, learn, spans},
    state_vector::StateVector,
};

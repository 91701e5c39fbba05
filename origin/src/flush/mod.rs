//! Writing the dirty files of rooms to the archive, on threads of its own.
//!
//! Promise: a change that is logged is either in the archive or still dirty in the room store. A flush may
//! die or fail at any point; the next one finishes what it left. Which process flushes is nobody's affair: the
//! queue is shared where the room store is, and what it forgets is found by the sweep.

pub mod settings;
pub mod report;
mod pace;
mod merge;
mod file;
mod compact;
pub mod parking;
pub mod job;
pub mod threads;
pub mod runner;
pub mod flusher;
pub(crate) mod queue;
pub mod embedded;
pub mod bullmq;
pub mod sweep;

pub use self::{
    queue::{Depth, FailedJob, FlushQueue, JobState, QueueError},
    settings::FlushSettings,
};

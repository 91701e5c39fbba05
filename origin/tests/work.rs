//! How much work things are, counted in bytes that are allocated: a log of four times the length costs four times as
//! much.
//!
//! In a binary of its own, since the counters are those of the whole process: one test at a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    alloc::System,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use origin::project::text::{Merged, TextError};
use shared::limits;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use yrs::{ClientID, Doc, Options, Text, Transact};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static ALONE: Mutex<()> = Mutex::new(());

/// The bytes that were asked for while `run` ran, freed or not.
fn allocated<T>(run: impl FnOnce() -> T) -> usize {
    let region = Region::new(ALLOCATOR);
    std::hint::black_box(run());
    let change = region.change();
    change.bytes_allocated + usize::try_from(change.bytes_reallocated).unwrap_or(0)
}

/// Every keystroke of somebody who types so many letters, each an update.
fn strokes(count: usize) -> Vec<Bytes> {
    let doc = Doc::with_options(Options::with_client_id(ClientID::new(7)));
    let text = doc.get_or_insert_text(limits::TEXT_ROOT);
    let strokes = (0..count).map(|_| {
        let mut change = doc.transact_mut();
        text.push(&mut change, "x");
        Bytes::from(change.encode_update_v1())
    });
    strokes.collect()
}

#[test]
fn a_log_that_is_four_times_as_long_is_merged_with_four_times_the_work() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let merge = |strokes: &[Bytes]| -> Result<String, TextError> {
        let merged = Merged::of(strokes.iter().map(|update| &**update))?;
        Ok(merged.text())
    };
    let strokes = strokes(16_000);
    let (short, long) = (allocated(|| merge(&strokes[..4_000])), allocated(|| merge(&strokes)));
    assert_eq!(merge(&strokes).unwrap().len(), strokes.len());
    assert!(long < 5 * short, "{long} bytes to {short}");
}

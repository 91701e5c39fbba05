//! `cargo fuzz run state_vector --features libfuzzer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::state_vector(bytes));

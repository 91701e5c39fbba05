//! `cargo fuzz run awareness --features libfuzzer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::awareness(bytes));

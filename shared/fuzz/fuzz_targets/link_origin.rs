//! `cargo fuzz run link_origin --features libfuzzer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::link_origin(bytes));

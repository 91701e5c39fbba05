//! `cargo fuzz run text_frame --features libfuzzer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::text_frame(bytes));

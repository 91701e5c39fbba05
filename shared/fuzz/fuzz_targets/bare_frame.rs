//! `cargo fuzz run bare_frame --features libfuzzer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::bare_frame(bytes));

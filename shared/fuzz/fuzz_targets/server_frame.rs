//! `cargo fuzz run server_frame --features libfuzzer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::server_frame(bytes));

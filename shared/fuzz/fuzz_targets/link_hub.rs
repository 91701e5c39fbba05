//! `cargo fuzz run link_hub --features libfuzzer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::link_hub(bytes));

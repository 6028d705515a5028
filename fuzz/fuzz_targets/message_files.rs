#![no_main]

#[path = "../../crates/message/tests/files/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::envelopes_hold(input));

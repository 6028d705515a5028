#![no_main]

#[path = "../../crates/transport/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::tickets_hold(input);
});

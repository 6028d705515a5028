#![no_main]

#[path = "../../crates/rights/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::folders_hold(input);
});

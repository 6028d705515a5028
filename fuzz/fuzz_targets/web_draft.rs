#![no_main]

#[path = "../../crates/web/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::draft_holds(input);
});

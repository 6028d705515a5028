#![no_main]

#[path = "../../crates/smtp/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let at = input.first().map_or(0, |byte| usize::from(*byte));
    checks::chunks_hold(input, at, at % 8);
});

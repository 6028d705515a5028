#![no_main]

#[path = "../../crates/smtp/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let at = input.first().map_or(0, |byte| usize::from(*byte));
    checks::data_holds(input, at, at % 8);
    checks::stuffing_holds(input, at);
});

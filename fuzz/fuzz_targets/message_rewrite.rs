#![no_main]

#[path = "../../crates/message/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let at = input.first().map_or(0, |byte| usize::from(*byte));
    checks::header_holds(input, at);
    checks::rewrite_holds(input);
});

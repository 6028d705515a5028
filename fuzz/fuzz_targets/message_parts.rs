#![no_main]

#[path = "../../crates/message/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let piece = input.first().map_or(1, |byte| usize::from(*byte));
    checks::parts_hold(input, piece);
    checks::spared_parts_hold(input, piece);
});

#![no_main]

#[path = "../../crates/smtp/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::command_holds(input);
    checks::lines_hold(input, 3);
});

#![no_main]

#[path = "../../crates/smtp/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::client_holds(input);
});

#![no_main]

#[path = "../../crates/kerberos/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::answers_hold(input);
});

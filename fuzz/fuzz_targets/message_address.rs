#![no_main]

#[path = "../../crates/message/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::address_holds(input);
});

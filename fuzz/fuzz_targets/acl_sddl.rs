#![no_main]

#[path = "../../crates/acl/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::sddl_holds(input);
});

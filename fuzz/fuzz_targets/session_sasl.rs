#![no_main]

#[path = "../../crates/session/tests/checks/mod.rs"]
mod checks;
#[path = "../../crates/session/tests/authz/organization.rs"]
#[allow(dead_code)]
mod organization;
#[path = "../../crates/session/tests/authz/script.rs"]
#[allow(dead_code)]
mod script;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::sasl_holds(input);
});

#![no_main]

#[path = "../../crates/content/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::rspamd_holds(input);
});

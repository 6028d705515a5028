#![no_main]

#[path = "../../crates/transport/src/delivery/policy.rs"]
mod policy;

use policy::{Demand, Mode, policy_id};

// A policy that is taken names hosts and ends; what it allows are names that fit one of its patterns.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    if let Some(id) = policy_id(&[text.clone().into_owned()]) {
        assert!((1..=32).contains(&id.len()) && text.contains(&id));
    }
    let Ok((demand, age)) = Demand::parse(&text) else { return };
    assert!(age.as_secs() <= 31_557_600);
    if demand.mode == Mode::None {
        return;
    }
    for host in text.split([' ', ':', '\r', '\n']) {
        if demand.allows(host) {
            let lower = text.to_ascii_lowercase();
            let below = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
            assert!(lower.contains(host) || below.is_some_and(|pattern| lower.contains(&pattern)), "{host}");
        }
    }
});

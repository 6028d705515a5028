//! What holds for whatever a domain controller says; for the corpus, and for fuzzing (`fuzz/`).

use directory::import::{AttributeMap, Source};
use ldap::message::{Answer, Body, answer, length};
use ldap::{controls, found};

/// Octets are one answer after the other, or none: how long an answer is does not depend on what follows it, a part of one
/// is none, and what is read of it is in it. An object of a domain is read the same each time.
pub fn answers_hold(input: &[u8]) {
    let mut rest = input;
    while let Ok(Some(end)) = length(rest) {
        for cut in 0..end.min(rest.len()) {
            assert!(matches!(length(&rest[..cut]), Ok(None) | Ok(Some(_))));
        }
        let Some(octets) = rest.get(..end) else {
            assert!(answer(rest).is_err(), "a part of an answer is read as one");
            return;
        };
        if let Ok(read) = answer(octets) {
            assert_eq!(answer(rest).as_ref(), Ok(&read), "what follows an answer changes it");
            said(&read, octets);
        }
        rest = &rest[end..];
    }
}

fn said(read: &Answer, octets: &[u8]) {
    let has = |part: &[u8]| part.is_empty() || octets.windows(part.len()).any(|window| window == part);
    let _ = (controls::next_page(&read.controls), controls::synced(&read.controls));
    for control in &read.controls {
        assert!(has(control.oid.as_bytes()) && control.value.as_ref().is_none_or(|value| has(value)));
    }
    match &read.body {
        Body::Entry(entry) => {
            for (name, values) in &entry.attributes {
                assert!(has(name.as_bytes()) && values.iter().all(|value| has(value)));
                if let Some((name, upper)) = found::range(name) {
                    assert!(has(name.as_bytes()) && upper.is_none_or(|upper| has(upper.to_string().as_bytes())));
                }
            }
            let map = AttributeMap {
                entries: vec![
                    ("proxyAddresses".into(), Source::Attribute("mail".into())),
                    ("mail".into(), Source::Template("{sAMAccountName}@example.test".into())),
                ],
            };
            let object = found::found(entry, &map, 1000);
            assert_eq!(object, found::found(entry, &map, 1000));
            if let Some(object) = object {
                assert!(has(&object.guid.0) && entry.dn.ends_with(&object.dn) && !object.dn.is_empty());
            }
        }
        Body::Done(outcome) => assert!(!outcome.to_string().is_empty() || outcome.code == 0),
        _ => {}
    }
}

#![no_main]

use directory::{dn, ldif};

// What is read of a file is written to something that reads the same, and so is the name of each object.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(entries) = ldif::parse(input) else { return };
    let again = ldif::parse(ldif::write_entries(&entries).as_bytes()).expect("what was written is LDIF");
    let said = |entries: &[ldif::Entry]| -> Vec<_> {
        entries.iter().map(|entry| (entry.dn.clone(), entry.change.clone())).collect()
    };
    assert_eq!(said(&again), said(&entries));
    for entry in &entries {
        let Ok(rdns) = dn::parse(&entry.dn) else { continue };
        assert_eq!(dn::parse(&dn::join(&rdns)).as_ref(), Ok(&rdns), "{:?}", entry.dn);
        let _ = dn::domain_name(&rdns);
    }
});

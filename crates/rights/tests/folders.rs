//! What an import brings of rights on folders, whatever it is.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod checks;

use acl::{AccessMask, Ace, Acl, SecurityDescriptor, Sid, well_known};
use directory::folders::FolderDescriptor;
use proptest::prelude::*;

fn sid() -> impl Strategy<Value = Sid> {
    prop_oneof![
        Just(well_known::EVERYONE),
        Just(well_known::ANONYMOUS_LOGON),
        (1000..1004_u32).prop_map(|rid| format!("S-1-5-21-1-2-3-{rid}").parse().unwrap()),
    ]
}

fn ace() -> impl Strategy<Value = Ace> {
    let mask = prop_oneof![Just(0x401), Just(0x1FFB & !0x401), Just(0x1FFB), any::<u32>()];
    (any::<bool>(), sid(), mask).prop_map(|(deny, sid, mask)| {
        if deny { Ace::deny(sid, AccessMask(mask)) } else { Ace::allow(sid, AccessMask(mask)) }
    })
}

proptest! {
    #[test]
    fn octets_are_read_without_harm(input in any::<Vec<u8>>()) {
        checks::folders_hold(&input);
    }

    #[test]
    fn words_are_read_without_harm(input in "(\\\\|[A-Za-z ,é\\\\]){0,24}") {
        checks::folders_hold(input.as_bytes());
    }

    #[test]
    fn a_descriptor_in_any_order_is_shown_as_a_list_only_where_it_is_one(aces in prop::collection::vec(ace(), 0..7)) {
        let descriptor = SecurityDescriptor::with_dacl(Acl::new(aces));
        let folder = FolderDescriptor { path: "\\Calendar".to_owned(), descriptor };
        checks::folders_hold(&folder.to_value());
    }
}

#[test]
fn inputs_of_the_corpus_hold() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/rights_folders");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        checks::folders_hold(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0);
}

//! Gives every file of a target's corpus to a check: what fuzzing once found worth keeping holds ever after. Included by the
//! tests of the crates that have targets.

use std::path::Path;

pub fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = std::fs::read_dir(&folder).expect("the corpus is in the repository").collect();
    assert!(!files.is_empty());
    for file in files {
        check(&std::fs::read(file.expect("readable").path()).expect("readable"));
    }
}

//! AdminSDHolder (acl-algorithms 1.6).

use crate::{Change, Snapshot};

/// What the AdminSDHolder task would change now: none when all protected objects carry the template.
pub fn changes(snapshot: &Snapshot) -> Vec<Change> {
    let _ = snapshot;
    todo!()
}

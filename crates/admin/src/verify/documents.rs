//! Documents of the comparison of what is held with what is stored.

use serde::{Deserialize, Serialize};

/// The next piece of the comparison.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verify {
    /// Where the piece before ended; none: from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<VerifyPlace>,
}

/// Where a piece of the comparison ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyPlace {
    /// Among the stored records, behind this one.
    Record(i64),
    /// Among the steps that are about all objects, before this one.
    Step(u32),
}

/// A piece of the comparison.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VerifyPage {
    /// Records and steps of this piece.
    pub done: u64,
    /// Records and steps in all.
    pub of: u64,
    /// What is not as it should be.
    pub rows: Vec<VerifyRow>,
    /// Where the next piece begins; none: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<VerifyPlace>,
}

/// Something that is held and should be something else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyRow {
    /// Distinguished name of the object; its objectGUID where it is not held; empty: the directory as a whole.
    pub object: String,
    /// `descriptor`, `mailbox-descriptor`, `token`, `attribute …`, `index …`, `links`, `configuration`, ….
    pub what: String,
    /// What it should be.
    pub computed: String,
    /// What it is.
    pub held: String,
}

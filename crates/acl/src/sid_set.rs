//! Interned SIDs and the sets of them that a token holds.

/// A SID by its number in a table that the caller keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SidId(pub u32);

/// The enabled SIDs of a token. `contains` takes constant time and touches one or two cache lines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SidSet {
    count: u32,
    /// A quarter of the slots as a bitmap of hashes, then an open-addressing table of ids.
    words: Box<[u32]>,
}

impl SidSet {
    /// Whether the token holds this SID.
    pub fn contains(&self, id: SidId) -> bool {
        let _ = id;
        todo!()
    }

    /// Number of SIDs.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The SIDs, in no order that means something.
    pub fn iter(&self) -> impl Iterator<Item = SidId> + '_ {
        self.words.iter().map(|id| SidId(*id))
    }
}

impl FromIterator<SidId> for SidSet {
    fn from_iter<I: IntoIterator<Item = SidId>>(ids: I) -> SidSet {
        let _ = ids;
        todo!()
    }
}

//! Interned SIDs and the sets of them that a token holds.

/// A SID by its number in a table that the caller keeps. `u32::MAX` is reserved: no set ever holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SidId(pub u32);

/// The enabled SIDs of a token.
///
/// `contains` takes constant time: a "no" nearly always costs one load from a bitmap of 16 to 32 bits for each SID, a
/// "yes" one more from a half-full hash table.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SidSet {
    count: u32,
    /// The bitmap has `1 << filter_bits` bits, the table `1 << table_bits` slots.
    filter_bits: u8,
    table_bits: u8,
    /// The bitmap, then the table. Ids are entered in ascending order, so that equal sets have equal words.
    words: Box<[u32]>,
}

const EMPTY: u32 = u32::MAX;

impl SidSet {
    /// Whether the token holds this SID.
    #[inline]
    pub fn contains(&self, id: SidId) -> bool {
        let hash = hash(id);
        self.filter(hash) && self.probe(id, hash)
    }

    /// Whether the bitmap does not rule the SID out.
    #[inline]
    pub(crate) fn may_contain(&self, id: SidId) -> bool {
        self.filter(hash(id))
    }

    #[inline]
    fn filter(&self, hash: u32) -> bool {
        let bit = hash >> (32 - self.filter_bits);
        let word = self.words.get(bit as usize / 32).copied().unwrap_or(0);
        word >> (bit % 32) & 1 != 0
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
        self.table().iter().filter(|id| **id != EMPTY).map(|id| SidId(*id))
    }

    fn table(&self) -> &[u32] {
        &self.words[(1 << self.filter_bits) / 32..]
    }

    fn probe(&self, id: SidId, hash: u32) -> bool {
        let table = self.table();
        let mask = table.len() - 1;
        let mut slot = (hash >> (32 - self.table_bits)) as usize;
        // The table is at most half full, so that the walk ends.
        loop {
            match table[slot & mask] {
                EMPTY => return false,
                other if other == id.0 => return true,
                _ => slot += 1,
            }
        }
    }
}

impl FromIterator<SidId> for SidSet {
    fn from_iter<I: IntoIterator<Item = SidId>>(ids: I) -> SidSet {
        let mut ids: Vec<SidId> = ids.into_iter().filter(|id| id.0 != EMPTY).collect();
        ids.sort_unstable();
        ids.dedup();
        let filter_bits = (ids.len() * 16).next_power_of_two().trailing_zeros().clamp(6, 31);
        let table_bits = (ids.len() * 2).next_power_of_two().trailing_zeros().clamp(2, 31);
        let bitmap = (1usize << filter_bits) / 32;
        let mut words = vec![0; bitmap];
        words.resize(bitmap + (1 << table_bits), EMPTY);
        let (filter, table) = words.split_at_mut(bitmap);
        let mask = table.len() - 1;
        for id in &ids {
            let hash = hash(*id);
            let bit = hash >> (32 - filter_bits);
            filter[bit as usize / 32] |= 1 << (bit % 32);
            let mut slot = (hash >> (32 - table_bits)) as usize;
            while table[slot & mask] != EMPTY {
                slot += 1;
            }
            table[slot & mask] = id.0;
        }
        SidSet {
            count: ids.len() as u32,
            filter_bits: filter_bits as u8,
            table_bits: table_bits as u8,
            words: words.into(),
        }
    }
}

impl Default for SidSet {
    fn default() -> SidSet {
        SidSet::from_iter([])
    }
}

impl std::fmt::Debug for SidSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(|id| id.0)).finish()
    }
}

/// Multiplicative hashing: neighbouring ids, as groups of one import are, spread evenly.
#[inline]
fn hash(id: SidId) -> u32 {
    id.0.wrapping_mul(0x9E37_79B1)
}

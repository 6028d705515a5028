//! Where a body lies: a list of blocks, each with its own checksum.

/// Largest block in octets: what is kept in memory for one body, and what is verified before any of it is given out.
pub(crate) const BLOCK: usize = 64 << 10;

const ENCODED: usize = 20;

/// A piece of a body in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Number of the segment.
    pub(crate) segment: u32,
    /// Octets from the start of the segment.
    pub(crate) offset: u64,
    /// Octets.
    pub(crate) length: u32,
    /// CRC-32C of the octets.
    pub(crate) checksum: u32,
}

impl Block {
    /// First octet after the block.
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// The form in the database: 20 octets a block, little-endian segment, offset, length, checksum.
pub(crate) fn encode(blocks: &[Block]) -> Vec<u8> {
    let mut out = Vec::with_capacity(blocks.len() * ENCODED);
    for block in blocks {
        out.extend_from_slice(&block.segment.to_le_bytes());
        out.extend_from_slice(&block.offset.to_le_bytes());
        out.extend_from_slice(&block.length.to_le_bytes());
        out.extend_from_slice(&block.checksum.to_le_bytes());
    }
    out
}

/// Reads [`encode`]'s form; `None` if it is not one.
pub(crate) fn decode(octets: &[u8]) -> Option<Vec<Block>> {
    let (entries, rest) = octets.as_chunks::<ENCODED>();
    if !rest.is_empty() {
        return None;
    }
    let four =
        |entry: &[u8; ENCODED], at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    entries
        .iter()
        .map(|entry| {
            let offset = u64::from(four(entry, 4)) | u64::from(four(entry, 8)) << 32;
            let length = four(entry, 12);
            let block = Block { segment: four(entry, 0), offset, length, checksum: four(entry, 16) };
            (length as usize <= BLOCK && offset <= i64::MAX as u64 - BLOCK as u64).then_some(block)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets_decode_to_blocks_that_encode_back_or_to_nothing(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(blocks) = decode(&octets) {
                prop_assert_eq!(encode(&blocks), octets);
            }
        }
    }

    #[test]
    fn blocks_survive_the_database_form() {
        let blocks = vec![
            Block { segment: 7, offset: 5 << 32 | 4096, length: 65_536, checksum: 0xdead_beef },
            Block { segment: 8, offset: 0, length: 1, checksum: 0 },
        ];
        assert_eq!(decode(&encode(&blocks)), Some(blocks));
    }
}

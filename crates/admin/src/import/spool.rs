//! A file of octets that is written once from end to end and then read at any place: what an import brings, and what is
//! planned of it, which together may be larger than memory.
//!
//! Compressed in blocks, since the same disk takes the mail that is being accepted: descriptors repeat, so that a dump shrinks
//! to about a tenth. The file has no name: whatever happens to the process, nothing is left behind.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use directory::import::Dump;
use lz4_flex::block::{compress, decompress_into};

/// Octets that are compressed together.
const BLOCK: usize = 256 << 10;
/// Octets of the file that are left to the kernel to write when it likes. More of them would delay what others sync.
const UNSYNCED: u64 = 2 << 20;

/// See the module.
pub(super) struct Spool {
    file: File,
    blocks: Vec<Block>,
    /// Octets in blocks, not compressed, and those of the file.
    length: u64,
    written: u64,
    synced: u64,
    /// What is no block yet.
    tail: Vec<u8>,
    /// The block that was read last, by its number.
    read: Option<(usize, Vec<u8>)>,
}

struct Block {
    /// Where it begins in the file, and how many octets it has there.
    at: u64,
    compressed: usize,
    /// How many octets it stands for, and how many are before it.
    length: usize,
    start: u64,
}

impl Spool {
    /// An empty one, in a directory.
    pub(super) fn create(directory: &Path) -> io::Result<Spool> {
        Ok(Spool {
            file: tempfile::tempfile_in(directory)?,
            blocks: Vec::new(),
            length: 0,
            written: 0,
            synced: 0,
            tail: Vec::new(),
            read: None,
        })
    }

    /// Octets so far.
    pub(super) fn len(&self) -> u64 {
        self.length + self.tail.len() as u64
    }

    /// Adds octets at the end.
    pub(super) fn append(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            let (now, later) = octets.split_at(octets.len().min(BLOCK - self.tail.len()));
            self.tail.extend_from_slice(now);
            octets = later;
            if self.tail.len() == BLOCK {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> io::Result<()> {
        let compressed = compress(&self.tail);
        self.file.write_all_at(&compressed, self.written)?;
        let (start, length) = (self.length, self.tail.len());
        self.blocks.push(Block { at: self.written, compressed: compressed.len(), length, start });
        self.written += compressed.len() as u64;
        self.length += length as u64;
        self.tail.clear();
        if self.written - self.synced > UNSYNCED {
            self.file.sync_data()?;
            self.synced = self.written;
        }
        Ok(())
    }

    fn block(&mut self, number: usize) -> io::Result<&[u8]> {
        if self.read.as_ref().is_none_or(|(read, _)| *read != number) {
            let block = &self.blocks[number];
            let mut compressed = vec![0; block.compressed];
            self.file.read_exact_at(&mut compressed, block.at)?;
            let mut octets = vec![0; block.length];
            let length = decompress_into(&compressed, &mut octets).map_err(io::Error::other)?;
            if length != block.length {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            self.read = Some((number, octets));
        }
        Ok(self.read.as_ref().map_or(&[], |(_, octets)| octets))
    }

    /// Reads so many octets from a place on.
    pub(super) fn read_exact_at(&mut self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut octets = vec![0; length];
        let mut at = 0;
        while at < length {
            match self.read_at(offset + at as u64, &mut octets[at..])? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                read => at += read,
            }
        }
        Ok(octets)
    }
}

impl Dump for Spool {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let copy = |from: &[u8], skipped: usize, buffer: &mut [u8]| {
            let from = from.get(skipped..).unwrap_or_default();
            let length = from.len().min(buffer.len());
            buffer[..length].copy_from_slice(&from[..length]);
            length
        };
        if offset >= self.length {
            return Ok(copy(&self.tail, (offset - self.length) as usize, buffer));
        }
        let number = self.blocks.partition_point(|block| block.start <= offset) - 1;
        let skipped = (offset - self.blocks[number].start) as usize;
        Ok(copy(self.block(number)?, skipped, buffer))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_was_written_is_read_at_any_place(
            pieces in prop::collection::vec((any::<u8>(), 0_usize..300_000), 0..8),
            at in 0_usize..1_500_000,
            length in 0_usize..600_000,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut spool = Spool::create(directory.path()).unwrap();
            let mut all = Vec::new();
            for (octet, count) in pieces {
                let piece: Vec<u8> = (0..count).map(|n| octet.wrapping_mul((n % 251) as u8)).collect();
                spool.append(&piece).unwrap();
                all.extend(piece);
            }
            prop_assert_eq!(spool.len(), all.len() as u64);
            let wanted = all.get(at..at + length);
            prop_assert_eq!(spool.read_exact_at(at as u64, length).ok(), wanted.map(<[u8]>::to_vec));
        }
    }

    #[test]
    fn a_spool_leaves_no_file_in_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(directory.path()).unwrap();
        spool.append(&vec![7; BLOCK + 1]).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

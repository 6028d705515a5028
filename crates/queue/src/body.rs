//! Bodies on their way into and out of the segments.

use std::io;

use crate::QueueError;

/// Takes the body of a message piece by piece. Dropped without being committed, it leaves nothing behind.
#[derive(Debug)]
pub struct BodyWriter {
    _private: (),
}

impl BodyWriter {
    /// Appends octets. Keeps up to 64 KiB in memory; beyond that, writes to the current segment.
    ///
    /// # Errors
    /// [`QueueError::Full`] without space; after an error the body cannot be committed any more.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), QueueError> {
        let _ = octets;
        todo!()
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads the body of a queued message, 64 KiB in memory at a time. Every part is compared with its checksum before any
/// of it is given out; a mismatch is an error of kind `InvalidData` whose source is [`QueueError::Damaged`].
#[derive(Debug)]
pub struct BodyReader {
    _private: (),
}

impl BodyReader {
    /// Octets of the whole body.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// The body has no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next octets, at most 64 KiB; empty at the end.
    ///
    /// # Errors
    /// [`QueueError::Damaged`], [`QueueError::Io`].
    pub fn next_block(&mut self) -> Result<&[u8], QueueError> {
        todo!()
    }
}

impl io::Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = buffer;
        todo!()
    }
}

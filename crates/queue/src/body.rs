//! Bodies on their way into and out of the segments.

use std::io;
use std::sync::Arc;

use crate::block::{BLOCK, Block};
use crate::segment::{Segment, Segments};
use crate::{QueueError, fail_point};

/// A large body reserves as much of a segment again as it has taken, up to this, so that its blocks lie together; what it
/// reserves and does not use stays empty until the segment is drained.
const RESERVATION: u64 = 256 << 10;

/// Takes the body of a message piece by piece. Dropped without being committed, it leaves nothing behind.
#[derive(Debug)]
pub struct BodyWriter {
    segments: Arc<Segments>,
    /// What is not in a segment yet, at most one block.
    buffer: Vec<u8>,
    blocks: Vec<Block>,
    /// The segments that `blocks` lie in.
    touched: Vec<Arc<Segment>>,
    reserved: Option<Reserved>,
    length: u64,
    /// Where in `buffer` a new block begins.
    cut: Option<usize>,
    fault: Option<QueueError>,
}

#[derive(Debug)]
struct Reserved {
    segment: Arc<Segment>,
    offset: u64,
    left: usize,
}

impl BodyWriter {
    pub(crate) fn new(segments: Arc<Segments>) -> BodyWriter {
        BodyWriter {
            segments,
            buffer: Vec::new(),
            blocks: Vec::new(),
            touched: Vec::new(),
            reserved: None,
            length: 0,
            cut: None,
            fault: None,
        }
    }

    /// Appends octets. Keeps up to 64 KiB in memory; beyond that, writes to the current segment.
    ///
    /// # Errors
    /// [`QueueError::Full`] without space; after an error the body cannot be committed any more.
    pub fn write(&mut self, mut octets: &[u8]) -> Result<(), QueueError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        self.length += octets.len() as u64;
        while self.buffer.len() + octets.len() > BLOCK {
            let (now, later) = octets.split_at(BLOCK - self.buffer.len());
            self.buffer.extend_from_slice(now);
            octets = later;
            if let Err(fault) = self.spill() {
                self.fault = Some(fault.clone());
                return Err(fault);
            }
        }
        self.buffer.extend_from_slice(octets);
        Ok(())
    }

    /// What is written from now on can stay when what was written so far is replaced
    /// ([`crate::Resolution::Release`]). To be called once.
    pub fn boundary(&mut self) {
        if self.cut.is_none() && !self.buffer.is_empty() {
            self.cut = Some(self.buffer.len());
        }
    }

    /// Reads what was written so far, from its beginning.
    pub fn reread(&self) -> Reread<'_> {
        Reread { writer: self, next: 0, part: Vec::new(), position: 0 }
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Moves the full buffer to the segments.
    fn spill(&mut self) -> Result<(), QueueError> {
        let reserved = match &mut self.reserved {
            Some(reserved) if reserved.left >= self.buffer.len() => reserved,
            _ => {
                let taken: u64 = self.blocks.iter().map(|block| u64::from(block.length)).sum();
                let length = taken.clamp(BLOCK as u64, RESERVATION) as usize;
                let space = self.segments.allocate(&[length])?.swap_remove(0);
                if !self.touched.iter().any(|segment| segment.id() == space.segment.id()) {
                    self.touched.push(space.segment.clone());
                }
                self.reserved.insert(Reserved { segment: space.segment, offset: space.offset, left: length })
            }
        };
        fail_point("spill.before_write");
        reserved.segment.write_at(&self.buffer, reserved.offset)?;
        fail_point("spill.after_write");
        let (segment, offset) = (reserved.segment.id(), reserved.offset);
        reserved.offset += self.buffer.len() as u64;
        reserved.left -= self.buffer.len();
        self.blocks_written(segment, offset);
        self.buffer.clear();
        Ok(())
    }

    /// Octets that are in the segments already.
    pub(crate) fn spilled(&self) -> u64 {
        self.length - self.buffer.len() as u64
    }

    /// Syncs what is in the segments already.
    pub(crate) fn sync_spilled(&self) -> Result<(), QueueError> {
        self.touched.iter().try_for_each(|segment| segment.sync())
    }

    /// The fault of an earlier write.
    pub(crate) fn fault(&self) -> Option<&QueueError> {
        self.fault.as_ref()
    }

    /// The octets that the committer has to write.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.buffer
    }

    /// Notes where the committer wrote [`BodyWriter::tail`].
    pub(crate) fn tail_written(&mut self, segment: Arc<Segment>, offset: u64) {
        self.blocks_written(segment.id(), offset);
        if !self.touched.iter().any(|other| other.id() == segment.id()) {
            self.touched.push(segment);
        }
        self.buffer = Vec::new();
    }

    /// Notes where the buffer was written: one block, or two where a boundary lies in it.
    fn blocks_written(&mut self, segment: u32, mut offset: u64) {
        let cut = self.cut.take_if(|cut| *cut <= self.buffer.len()).unwrap_or(0);
        let (before, after) = self.buffer.split_at(cut);
        for octets in [before, after].into_iter().filter(|octets| !octets.is_empty()) {
            let (length, checksum) = (octets.len() as u32, crc32c::crc32c(octets));
            self.blocks.push(Block { segment, offset, length, checksum });
            offset += octets.len() as u64;
        }
    }

    /// The segments to be synced.
    pub(crate) fn touched(&self) -> &[Arc<Segment>] {
        &self.touched
    }

    /// Where the body lies so far.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The message is durable: its blocks belong to the database now.
    pub(crate) fn keep(mut self) {
        self.blocks.clear();
    }
}

/// Reads what a [`BodyWriter`] has taken so far; as with [`BodyReader`], nothing is given out that differs from its checksum.
#[derive(Debug)]
pub struct Reread<'a> {
    writer: &'a BodyWriter,
    /// The next block; behind the last one comes the buffer.
    next: usize,
    part: Vec<u8>,
    position: usize,
}

impl io::Read for Reread<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.part.len() {
            let blocks = self.writer.blocks.len();
            self.part.clear();
            self.position = 0;
            if self.next < blocks {
                let block = self.writer.blocks[self.next];
                let segment = self.writer.touched.iter().find(|segment| segment.id() == block.segment);
                let segment = segment.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                self.part.resize(block.length as usize, 0);
                segment.read_at(&mut self.part, block.offset)?;
                if crc32c::crc32c(&self.part) != block.checksum {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "checksum mismatch"));
                }
            } else if self.next == blocks {
                self.part.extend_from_slice(&self.writer.buffer);
            } else {
                return Ok(0);
            }
            self.next += 1;
        }
        let left = &self.part[self.position..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.position += count;
        Ok(count)
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.touched.clear();
        if let Some(Reserved { segment, left, .. }) = self.reserved.take() {
            let id = segment.id();
            drop(segment);
            self.segments.release_space(id, left as u64);
        }
        if !self.blocks.is_empty() {
            self.segments.release(&self.blocks);
        }
    }
}

/// Reads the body of a queued message, 64 KiB in memory at a time. Every part is compared with its checksum before any
/// of it is given out; a mismatch is an error of kind `InvalidData` whose source is [`QueueError::Damaged`].
#[derive(Debug)]
pub struct BodyReader {
    queue_id: String,
    parts: std::vec::IntoIter<(Block, Arc<Segment>)>,
    buffer: Vec<u8>,
    position: usize,
    length: u64,
    damage: Option<QueueError>,
}

impl BodyReader {
    /// A body in `blocks`.
    pub(crate) fn new(queue_id: &str, blocks: Vec<Block>, segments: &Segments) -> Result<BodyReader, QueueError> {
        let length = blocks.iter().map(|block| u64::from(block.length)).sum();
        let parts: Vec<(Block, Arc<Segment>)> = blocks
            .into_iter()
            .map(|block| {
                segments.get(block.segment).map(|segment| (block, segment)).ok_or_else(|| QueueError::Damaged {
                    queue_id: queue_id.to_owned(),
                    detail: format!("segment {:08}.seg is missing", block.segment),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(BodyReader {
            queue_id: queue_id.to_owned(),
            parts: parts.into_iter(),
            buffer: Vec::new(),
            position: 0,
            length,
            damage: None,
        })
    }

    /// Octets of the whole body.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// The body has no octets.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The next octets, at most 64 KiB; empty at the end.
    ///
    /// # Errors
    /// [`QueueError::Damaged`].
    pub fn next_block(&mut self) -> Result<&[u8], QueueError> {
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        if self.position == self.buffer.len() {
            self.position = 0;
            self.buffer.clear();
            if let Some((block, segment)) = self.parts.next() {
                self.fill(block, &segment)?;
            }
        }
        let from = std::mem::replace(&mut self.position, self.buffer.len());
        Ok(&self.buffer[from..])
    }

    fn fill(&mut self, block: Block, segment: &Segment) -> Result<(), QueueError> {
        self.buffer.resize(block.length as usize, 0);
        let fault = match segment.read_at(&mut self.buffer, block.offset) {
            Err(error) => error.to_string(),
            Ok(()) if crc32c::crc32c(&self.buffer) != block.checksum => "checksum mismatch".to_owned(),
            Ok(()) => return Ok(()),
        };
        self.buffer.clear();
        let detail = format!("{:08}.seg, {} octets at {}: {fault}", block.segment, block.length, block.offset);
        let damage = QueueError::Damaged { queue_id: self.queue_id.clone(), detail };
        self.damage = Some(damage.clone());
        Err(damage)
    }
}

impl io::Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.buffer.len() {
            self.next_block().map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
            self.position = 0;
        }
        let left = &self.buffer[self.position..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.position += count;
        Ok(count)
    }
}

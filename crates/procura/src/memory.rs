//! The allocator: mimalloc, and the system itself for large blocks.
//!
//! A password check takes 19 MiB for some 30 ms. An allocator keeps such blocks for the thread that freed them, or for
//! threads that have ended: a server that checked a few passwords would hold 60 MB for nothing. Mapped and unmapped, they
//! are gone at once; the pages come zeroed, which is how argon2 wants them.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;

use mimalloc::MiMalloc;
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap, munmap};

/// Blocks of this size and more are mapped.
const LARGE: usize = 8 << 20;
/// What the system aligns mappings to, on every platform.
const PAGE: usize = 4096;

/// See the module.
pub struct Allocator;

fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE
}

fn map(size: usize) -> *mut u8 {
    // SAFETY: an anonymous mapping at an address of the system's choice touches no memory that is in use.
    let mapped =
        unsafe { mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
    mapped.map_or(ptr::null_mut(), <*mut _>::cast)
}

// SAFETY: whether a block is mapped or mimalloc's depends on its layout alone, which callers give unchanged to `dealloc`
// and `realloc`; each block is therefore given back to where it came from. Mappings are aligned to pages.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller's layout, as it came.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            // Fresh pages are zero.
            return map(layout.size());
        }
        // SAFETY: the caller's layout, as it came.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: a block of this layout was mapped with this size, and nobody uses it any more. Unmapping a whole
            // mapping does not fail.
            let _ = unsafe { munmap(block.cast(), layout.size()) };
            return;
        }
        // SAFETY: a block of this layout is mimalloc's.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that `size`, rounded up to the alignment, fits into an `isize`.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: the block is mimalloc's and stays it.
            (false, false) => unsafe { MiMalloc.realloc(block, layout, size) },
            // SAFETY: the block was mapped with its old size and nobody else refers to it.
            (true, true) => unsafe {
                mremap(block.cast(), layout.size(), size, MremapFlags::MAYMOVE).map_or(ptr::null_mut(), <*mut _>::cast)
            },
            // SAFETY: both blocks hold the bytes that are copied, and do not overlap.
            _ => unsafe {
                let moved = self.alloc(wanted);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_block_keeps_its_bytes_while_it_grows_and_shrinks_across_the_limit() {
        let mut bytes: Vec<u8> = (0..255u8).cycle().take(1 << 20).collect();
        for size in [7 << 20, 9 << 20, 40 << 20, 8 << 20, (8 << 20) - 1, 1 << 20] {
            bytes.resize(size, 7);
            bytes.shrink_to_fit();
            assert!(bytes[..1 << 20].iter().eq((0..255u8).cycle().take(1 << 20).collect::<Vec<_>>().iter()), "{size}");
            assert!(bytes[1 << 20..].iter().all(|byte| *byte == 7), "{size}");
        }
    }

    #[test]
    fn a_large_zeroed_block_is_zero() {
        assert!(vec![0u64; 4 << 20].iter().all(|word| *word == 0));
    }
}

//! The hot path does not allocate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use acl::{AccessMask, CompiledDacl, Principals, SddlContext, SecurityDescriptor, SidId, SidSet, names};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn checks_of_compiled_dacls_do_not_allocate() {
    let sddl = "O:BAD:(XA;;RP;;;BA;((Member_of {SID(BA), SID(SY)}) || (!(Member_of_Any {SID(AU)}))))\
                (OD;;CR;ab721a56-1e2f-11d0-9819-00aa0040529b;;SY)(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;BA)\
                (OA;;WP;77b5b886-944a-11d1-aebd-0000f80367c1;;BA)(A;;CC;;;PS)";
    let sd = SecurityDescriptor::from_sddl(sddl, &SddlContext::default()).unwrap();
    let dacl = CompiledDacl::compile(&sd, &mut |sid| SidId(sid.rid().unwrap()));
    let token: SidSet = [544, 18].map(SidId).into_iter().collect();
    let who = Principals { is_self: true, is_owner: true };
    let path = [names::USER, names::PERSONAL_INFORMATION];
    let before = ALLOCATIONS.with(Cell::get);
    let allowed = [
        dacl.control_access(&token, who, &names::SEND_AS).is_allowed(),
        !dacl.control_access(&token, who, &names::RECEIVE_AS).is_allowed(),
        dacl.access(&token, who, AccessMask(0x2_0011)).is_allowed(),
        dacl.property_access(&token, who, AccessMask::WRITE_PROPERTY, &path).is_allowed(),
        !dacl.maximum_access(&token, who).is_empty(),
    ];
    let after = ALLOCATIONS.with(Cell::get);
    assert_eq!(after, before);
    assert_eq!(allowed, [true; 5]);
}

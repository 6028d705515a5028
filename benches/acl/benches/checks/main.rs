//! Access checks side by side: the hot path, the full check, Cedar, Samba.
//!
//! First a table of latencies, each check timed by itself on random pairs of 10,000 descriptors and 1,000 tokens; then
//! divan's throughput. Run with `cargo bench` in this folder; python3-samba is measured when it is installed.

mod cedar;
mod data;
mod timer;

use std::io::Write;
use std::process::{Command, Stdio};

use acl::check::{Step, check_right};
use acl::{AccessMask, CompiledDacl, SecurityDescriptor};
use data::{RIGHTS, World};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use timer::Latencies;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CHECKS: usize = 400_000;

fn main() {
    // `cargo test` and `cargo bench -- --list` want no measurement.
    if std::env::args().any(|argument| argument == "--bench") {
        table();
    }
    divan::main();
}

fn table() {
    let mut world = World::new(10_000, 1_000);
    println!("10,000 descriptors, {:.1} ACEs each on average; 1,000 tokens; nothing cached", world.average_aces());
    let heap: usize = world.compiled.iter().map(|dacl| dacl.heap_size() + size_of::<CompiledDacl>()).sum();
    println!("compiled: {} bytes each; bytes on the wire: {}", heap / 10_000, world.average_bytes());
    println!("timer: {:.0} ns, subtracted\n", timer::overhead());
    println!("| what | token of | p50 ns | p99 ns |\n|---|---|---|---|");
    for size in [10, 50, 200] {
        let pairs = world.pairs(CHECKS, size);
        let row = |name: &str, latencies: Latencies| {
            println!("| {name} | {size} SIDs | {:.0} | {:.0} |", latencies.percentile(50), latencies.percentile(99));
        };
        row(
            "control right",
            Latencies::of(&pairs, |pair| {
                world.compiled[pair.descriptor].control_access(&world.sets[pair.token], pair.who, &RIGHTS[pair.right])
            }),
        );
        let mut steps: Vec<Step> = Vec::with_capacity(64);
        row(
            "control right with trace",
            Latencies::of(&pairs, |pair| {
                steps.clear();
                let dacl = &world.compiled[pair.descriptor];
                dacl.trace_control_access(&world.sets[pair.token], pair.who, &RIGHTS[pair.right], &mut steps)
            }),
        );
        row(
            "mask (read and write properties)",
            Latencies::of(&pairs, |pair| {
                world.compiled[pair.descriptor].access(&world.sets[pair.token], pair.who, AccessMask(0x30))
            }),
        );
        let few = &pairs[..40_000];
        row(
            "control right, full check on plain SIDs",
            Latencies::of(few, |pair| {
                let (sd, token) = (&world.descriptors[pair.descriptor], &world.tokens[pair.token]);
                check_right(sd, token, RIGHTS[pair.right], None)
            }),
        );
        let cedar = cedar::Cedar::new(&world, size, 200, 20);
        row("Cedar, one policy for each control right ACE", cedar.latencies(&pairs[..20_000]));
        if let Some((p50, p99)) = samba(&world, size) {
            println!("| Samba from Python, plain ACEs | {size} SIDs | {p50} | {p99} |");
        }
    }
    let mut random = data::Random(3);
    let pick: Vec<usize> = (0..100_000).map(|_| random.below(10_000)).collect();
    let near: Vec<usize> = pick.iter().map(|at| at % 256).collect();
    for (aces, bytes) in [("40-60", &world.bytes), ("25", &world.bytes_of(25)), ("12", &world.bytes_of(12))] {
        for (place, pick) in [("bytes in the cache", &near), ("bytes anywhere", &pick)] {
            let parse = Latencies::of(pick, |at| SecurityDescriptor::parse(&bytes[*at]));
            println!("| parse, {place} | {aces} ACEs | {:.0} | {:.0} |", parse.percentile(50), parse.percentile(99));
        }
    }
    println!();
}

/// Samba's C code called from Python, on the plain ACEs of some descriptors.
fn samba(world: &World, size: usize) -> Option<(String, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/checks/time_samba.py");
    let mut python = Command::new("/usr/bin/python3");
    let python = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut python = python.spawn().ok()?;
    let mut input = python.stdin.take()?;
    for bytes in world.plain(200) {
        writeln!(input, "D {}", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()).ok()?;
    }
    for token in world.tokens_of(size).take(20) {
        let sids: Vec<String> = world.tokens[token].sids.iter().map(|sid| sid.to_string()).collect();
        writeln!(input, "T {}", sids.join(",")).ok()?;
    }
    drop(input);
    let output = String::from_utf8(python.wait_with_output().ok()?.stdout).ok()?;
    let (p50, p99) = output.trim().split_once(' ')?;
    Some((p50.into(), p99.into()))
}

#[divan::bench(args = [10, 50, 200])]
fn control_right(bencher: Bencher<'_, '_>, size: usize) {
    let mut world = World::new(10_000, 1_000);
    let pairs = world.pairs(1 << 16, size);
    let mut batches = pairs.chunks_exact(256).cycle();
    bencher.counter(ItemsCount::new(256usize)).bench_local(|| {
        for pair in batches.next().into_iter().flatten() {
            let dacl = &world.compiled[pair.descriptor];
            black_box(dacl.control_access(&world.sets[pair.token], pair.who, &RIGHTS[pair.right]));
        }
    });
}

#[divan::bench]
fn compile(bencher: Bencher<'_, '_>) {
    let world = World::new(1_000, 3);
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % world.descriptors.len();
        CompiledDacl::compile(&world.descriptors[at], &mut |sid| acl::SidId(sid.rid().unwrap_or(0)))
    });
}

#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let world = World::new(1_000, 3);
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % world.bytes.len();
        SecurityDescriptor::parse(&world.bytes[at])
    });
}

#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    let world = World::new(1_000, 3);
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % world.descriptors.len();
        world.descriptors[at].to_bytes()
    });
}

#[divan::bench]
fn inherit(bencher: Bencher<'_, '_>) {
    let world = World::new(1_000, 3);
    let cx = acl::InheritContext { classes: &[acl::names::USER], owner: None, group: None };
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % world.descriptors.len();
        world.descriptors[at].dacl.as_ref().map(|dacl| acl::inherited_aces(dacl, &cx))
    });
}

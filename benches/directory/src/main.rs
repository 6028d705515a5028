//! What a directory of many mailboxes costs. `directory-bench generate DIR MAILBOXES`, then `directory-bench measure DIR`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use acl::{AccessMask, Ace, AceFlags, names};
use directory::{Change, ChangeBatch, Class, ObjectId, Snapshot, Time, attributes as a};
use generate::{Forest, Plan};
use rights::{Permission, SendAsAudit, who_can, who_people};
use store::DirectoryStore;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["generate", dir, mailboxes] => generate(Path::new(dir), mailboxes.parse()?),
        ["measure", dir] => measure(Path::new(dir)),
        _ => Err("usage: directory-bench generate DIR MAILBOXES | directory-bench measure DIR".into()),
    }
}

fn database(dir: &Path) -> PathBuf {
    dir.join("directory.db")
}

fn generate(dir: &Path, mailboxes: u32) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)?;
    let forest = Forest::new(Plan::new(1, mailboxes))?;
    let begin = Instant::now();
    let mut store = DirectoryStore::open(&database(dir))?;
    store.fill(&acl::well_known::SYSTEM, Time(0), "generated", forest.records())?;
    println!("generated {} objects in {:.1} s", forest.len(), begin.elapsed().as_secs_f64());
    Ok(())
}

fn measure(dir: &Path) -> Result<(), Failure> {
    let store = DirectoryStore::open(&database(dir))?;
    let at = Used::now();
    let version = store.version();
    let loaded = store.load(|records| Snapshot::load(records, version))??;
    let snapshot = loaded.snapshot;
    let mailboxes = snapshot.objects().filter(|(_, object)| object.mailbox().is_some()).count();
    row("load", at, &format!("{} objects, {mailboxes} mailboxes, {} problems", snapshot.len(), loaded.problems.len()));
    println!("memory: {} MiB now, {} MiB at most", status("VmRSS:") / 1024, status("VmHWM:") / 1024);
    shape(&snapshot);
    grant(&snapshot)?;
    who(&snapshot);
    audit(&snapshot);
    expanded_audit(&snapshot);
    Ok(())
}

/// Send As of the whole forest, one row for each deciding entry, SELF left out, each half of the owners on its own thread.
fn audit(snapshot: &Snapshot) {
    let owners: Vec<ObjectId> = owners(snapshot).collect();
    let at = Used::now();
    let begin = Instant::now();
    let rows: usize = std::thread::scope(|scope| {
        let halves = owners.chunks(owners.len().div_ceil(2).max(1));
        let running: Vec<_> = halves
            .map(|half| {
                scope.spawn(move || {
                    let mut audit = SendAsAudit::new(snapshot);
                    half.iter()
                        .map(|owner| audit.entries(*owner).iter().map(std::hint::black_box).count())
                        .sum::<usize>()
                })
            })
            .collect();
        running.into_iter().filter_map(|half| half.join().ok()).sum()
    });
    let rate = rows as f64 / begin.elapsed().as_secs_f64();
    row("audit of Send As", at, &format!("{} owners, {rows} rows, {rate:.0} rows/s", owners.len()));
}

/// The same with groups expanded to people, for as many owners as ten seconds suffice.
fn expanded_audit(snapshot: &Snapshot) {
    let at = Used::now();
    let begin = Instant::now();
    let mut audit = SendAsAudit::new(snapshot);
    let (mut rows, mut done) = (0usize, 0);
    for owner in owners(snapshot) {
        rows += audit.people(owner).map(std::hint::black_box).count();
        done += 1;
        if begin.elapsed() > Duration::from_secs(10) {
            break;
        }
    }
    let rate = rows as f64 / begin.elapsed().as_secs_f64();
    row("audit, groups expanded", at, &format!("{done} owners, {rows} rows, {rate:.0} rows/s"));
}

fn owners(snapshot: &Snapshot) -> impl Iterator<Item = ObjectId> + '_ {
    snapshot.objects().filter(|(_, object)| object.mailbox().is_some()).map(|(id, _)| id)
}

/// Distinct descriptors, ACEs.
fn shape(snapshot: &Snapshot) {
    let mut distinct: BTreeMap<usize, usize> = BTreeMap::new();
    for (id, object) in snapshot.objects() {
        if let Some(descriptor) = snapshot.descriptor(id).filter(|_| object.class() == Class::User) {
            let aces = descriptor.sd().dacl.as_ref().map_or(0, |dacl| dacl.aces.len());
            distinct.insert(std::ptr::from_ref(descriptor) as usize, aces);
        }
    }
    let (least, most) = (distinct.values().min(), distinct.values().max());
    println!("descriptors of users: {} distinct, of {least:?} to {most:?} ACEs", distinct.len());
}

/// A grant on the division with the most users.
fn grant(snapshot: &Snapshot) -> Result<(), Failure> {
    let unit = snapshot
        .objects()
        .filter(|(_, object)| object.class() == Class::OrganizationalUnit && object.name().starts_with("Division"))
        .map(|(id, _)| (snapshot.subtree(id).len(), id))
        .filter(|(size, _)| *size > 1)
        .min_by_key(|(size, _)| size.abs_diff(10_000));
    let Some((size, unit)) = unit else { return Ok(()) };
    let (Some(sd), Some(object)) = (snapshot.explicit_descriptor(unit), snapshot.object(unit)) else { return Ok(()) };
    let mut sd = (*sd).clone();
    let flags = AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0);
    let trustee = acl::well_known::AUTHENTICATED_USERS;
    let ace = Ace::allow_object(trustee, AccessMask::CONTROL_ACCESS, names::SEND_AS).for_class(names::USER);
    if let Some(dacl) = &mut sd.dacl {
        acl::edit::add(dacl, ace.with_flags(flags));
    }
    let change =
        Change::Modify { guid: object.guid(), attributes: vec![(a::DESCRIPTOR.to_owned(), vec![sd.to_bytes()])] };
    let batch =
        ChangeBatch { author: acl::well_known::SYSTEM, time: Time(0), comment: String::new(), changes: vec![change] };
    let before = status("VmRSS:");
    let at = Used::now();
    let applied = snapshot.apply(&batch)?;
    row("grant", at, &format!("on a unit with {size} objects"));
    println!("memory: {} KiB more", status("VmRSS:") as i64 - before as i64);
    drop(applied);
    Ok(())
}

fn who(snapshot: &Snapshot) {
    let users: Vec<ObjectId> = owners(snapshot).collect();
    let sample: Vec<ObjectId> = users.iter().copied().step_by((users.len() / 100).max(1)).collect();
    for permission in Permission::ALL {
        let mut slowest = Duration::ZERO;
        let (at, mut rows) = (Used::now(), 0);
        for user in &sample {
            let begin = Instant::now();
            rows += who_can(snapshot, *user, permission).len();
            slowest = slowest.max(begin.elapsed());
        }
        row(
            &format!("who-can {}", permission.name()),
            at,
            &format!("{} owners, {rows} rows, slowest {:.1} ms", sample.len(), slowest.as_secs_f64() * 1000.0),
        );
        let mut slowest = Duration::ZERO;
        let (at, mut rows) = (Used::now(), 0);
        for user in sample.iter().take(5) {
            let begin = Instant::now();
            rows += who_people(snapshot, *user, permission).len();
            slowest = slowest.max(begin.elapsed());
        }
        row(
            &format!("who-can {} --expand", permission.name()),
            at,
            &format!("5 owners, {rows} rows, slowest {:.1} ms", slowest.as_secs_f64() * 1000.0),
        );
    }
}

/// Time of the wall and of the processor.
struct Used {
    wall: Instant,
    cpu: Duration,
}

impl Used {
    fn now() -> Used {
        Used { wall: Instant::now(), cpu: cpu_time() }
    }
}

fn row(what: &str, since: Used, detail: &str) {
    let wall = since.wall.elapsed().as_secs_f64();
    let cpu = (cpu_time() - since.cpu).as_secs_f64();
    println!("{what:28} {wall:9.3} s  (CPU {cpu:.3} s)  {detail}");
}

/// Processor time of this process so far, both kinds.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let own = stat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let threads = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = threads.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    // Clock ticks are 10 ms everywhere that matters; the main thread's own time is finer.
    Duration::from_millis((ticks(11) + ticks(12)) * 10).max(Duration::from_nanos(own))
}

/// A field of /proc/self/status, in KiB.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

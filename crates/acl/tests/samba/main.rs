//! AccessCheck against a live Samba (`samba.security.access_check` of Debian's python3-samba) on random descriptors
//! without object ACEs. Object ACEs are compared with the executable specification, because Samba deviates there
//! (`acl-algorithms` 1.2).
//!
//! `PROCURA_SAMBA_CASES` sets the number of checks (default 40,000). Without python3-samba the test is skipped with a
//! note, but fails where `CI` is set.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::rc::Rc;

use acl::check::{Request, Token, check};
use acl::{AccessMask, Ace, AceFlags, AceType, Acl, CompiledDacl, Control, Principals, SecurityDescriptor};
use acl::{Sid, SidId, SidSet, well_known};

/// Debian's own Python: another one in the path does not have Debian's modules.
const PYTHON: &str = "/usr/bin/python3";
/// Checks for each descriptor: 4 tokens, 5 masks each.
const TOKENS: usize = 4;
const MASKS: usize = 5;

#[test]
fn random_checks_are_decided_as_samba_decides_them() {
    if !has_samba() {
        let hint = "apt-get install -y --no-install-recommends python3-samba";
        assert!(std::env::var_os("CI").is_none(), "python3-samba is missing: {hint}");
        println!("skipped 40000 checks: python3-samba is missing ({hint})");
        return;
    }
    let wanted = std::env::var("PROCURA_SAMBA_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(40_000);
    let mut random = Random(0x5EED_0001);
    let mut tally = Tally::default();
    while tally.checks < wanted {
        let batch = (wanted - tally.checks).min(100_000);
        compare(&mut random, batch, &mut tally);
    }
    tally.print();
    assert_eq!(tally.differences, 0);
    assert!(tally.allowed * 10 >= tally.checks * 3, "too few checks are allowed to say much");
    assert!(tally.late() * 10 >= tally.checks * 3, "too few checks are decided late");
}

fn has_samba() -> bool {
    let import = Command::new(PYTHON).args(["-c", "import samba.security"]).stderr(Stdio::null()).status();
    import.is_ok_and(|status| status.success())
}

/// Generates checks, asks both, counts.
fn compare(random: &mut Random, count: usize, tally: &mut Tally) {
    let universe: Vec<Sid> = (0..60).map(|i| Sid::new(5, &[21, 1, 2, 3, 1100 + i])).collect();
    let mut questions = String::new();
    let mut ours = Vec::new();
    while ours.len() < count {
        let sd = Rc::new(descriptor(random, &universe));
        questions += &format!("D {}\n", sd.to_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>());
        let compiled = CompiledDacl::compile(&sd, &mut |sid| id(sid, &universe));
        for _ in 0..TOKENS {
            let sids = token(random, &universe);
            questions += &format!("T {}\n", sids.iter().map(Sid::to_string).collect::<Vec<_>>().join(","));
            let set: SidSet = sids.iter().map(|sid| id(sid, &universe)).collect();
            let who = Principals { is_self: false, is_owner: sids.contains(sd.owner.as_ref().unwrap()) };
            let token = Rc::new(Token::of(sids));
            for _ in 0..MASKS {
                let access = mask(random);
                questions += &format!("C {}\n", access.0);
                let verdict = check(&sd, &token, &Request::new(access)).unwrap();
                assert_eq!(compiled.access(&set, who, access).is_allowed(), verdict.is_allowed());
                ours.push((verdict, Rc::clone(&sd), Rc::clone(&token), access));
            }
        }
    }
    let answers = ask(&questions);
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers.len(), ours.len());
    for (answer, (verdict, sd, token, access)) in answers.into_iter().zip(ours) {
        let theirs = answer.parse().ok().map(AccessMask);
        let same = theirs == verdict.is_allowed().then_some(verdict.granted);
        // Samba looks at a NULL DACL before privileges, and grants no more there than was asked (`acl-algorithms` 1.1).
        let special = AccessMask::MAXIMUM_ALLOWED | AccessMask::ACCESS_SYSTEM_SECURITY;
        if !same && sd.dacl.is_none() && access.intersects(special) {
            tally.explained += 1;
            tally.count(verdict.is_allowed(), verdict.ace);
            continue;
        }
        if !same && tally.differences < 5 {
            let sddl = sd.to_sddl(&acl::SddlContext::default());
            println!("{access} for {:?} on {sddl}: ours {verdict:?}, Samba {theirs:?}", token.sids);
        }
        tally.differences += usize::from(!same);
        tally.count(verdict.is_allowed(), verdict.ace);
    }
}

fn ask(questions: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samba/oracle.py");
    let mut python = Command::new(PYTHON).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = python.stdin.take().unwrap();
    // The script answers only when it has read everything, so that nothing waits for each other.
    stdin.write_all(questions.as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the oracle failed");
    String::from_utf8(output.stdout).unwrap()
}

fn id(sid: &Sid, universe: &[Sid]) -> SidId {
    SidId(universe.iter().position(|other| other == sid).map_or(1000, |at| at as u32))
}

/// 25 to 60 plain ACEs, some inherit-only, some for OWNER RIGHTS.
fn descriptor(random: &mut Random, universe: &[Sid]) -> SecurityDescriptor {
    let with_owner_rights = random.below(5) == 0;
    let aces = (0..25 + random.below(36)).map(|_| {
        let kind = if random.below(4) == 0 { AceType::DENIED } else { AceType::ALLOWED };
        let sid = match random.below(25) {
            0 if with_owner_rights => well_known::OWNER_RIGHTS,
            _ => universe[random.below(universe.len())].clone(),
        };
        let flags = if random.below(8) == 0 { 0x0A } else { [0, 0, 0x02, 0x10][random.below(4)] };
        let mask = (0..1 + random.below(4)).fold(0, |all, _| all | bit(random));
        Ace::new(kind, sid, AccessMask(mask)).with_flags(AceFlags(flags))
    });
    let mut sd = SecurityDescriptor::with_dacl(Acl::new(aces.collect()));
    sd.owner = Some(universe[random.below(universe.len())].clone());
    sd.group = Some(universe[0].clone());
    if random.below(60) == 0 {
        sd.dacl = if random.below(2) == 0 { None } else { Some(Acl::default()) };
    }
    sd.control = Control::DACL_PRESENT | Control::SELF_RELATIVE;
    sd
}

fn token(random: &mut Random, universe: &[Sid]) -> Vec<Sid> {
    let mut sids: Vec<Sid> = Vec::new();
    for _ in 0..4 + random.below(9) {
        let sid = &universe[random.below(universe.len())];
        if !sids.contains(sid) {
            sids.push(sid.clone());
        }
    }
    sids
}

fn bit(random: &mut Random) -> u32 {
    [0x1, 0x2, 0x4, 0x10, 0x20, 0x100, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000][random.below(10)]
}

fn mask(random: &mut Random) -> AccessMask {
    let bits = (0..1 + random.below(3)).fold(0, |all, _| all | bit(random));
    AccessMask(match random.below(40) {
        0 | 1 => bits | AccessMask::MAXIMUM_ALLOWED.0,
        2 => bits | AccessMask::ACCESS_SYSTEM_SECURITY.0,
        _ => bits,
    })
}

#[derive(Default)]
struct Tally {
    checks: usize,
    allowed: usize,
    differences: usize,
    /// Differences on NULL DACLs that `compare` explains.
    explained: usize,
    /// By the index of the deciding ACE in tens; the last is for no ACE.
    histogram: [usize; 6],
}

impl Tally {
    fn count(&mut self, allowed: bool, ace: Option<usize>) {
        self.checks += 1;
        self.allowed += usize::from(allowed);
        self.histogram[ace.map_or(5, |index| (index / 10).min(4))] += 1;
    }

    fn late(&self) -> usize {
        self.histogram[1..5].iter().sum()
    }

    fn print(&self) {
        let percent = |part: usize| part as f64 * 100.0 / self.checks as f64;
        println!(
            "{} checks against Samba: {} unexplained differences, {} explained (NULL DACL), {:.1} % allowed, {:.1} % decided after the tenth ACE",
            self.checks,
            self.differences,
            self.explained,
            percent(self.allowed),
            percent(self.late())
        );
        for (range, count) in ["1-10", "11-20", "21-30", "31-40", "41-", "none"].iter().zip(self.histogram) {
            println!("  decided by ACE {range:>5}: {count:>8} ({:.1} %)", percent(count));
        }
    }
}

/// SplitMix64: the same checks every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

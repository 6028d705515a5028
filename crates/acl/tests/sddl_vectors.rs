//! SDDL against texts and bytes captured on Windows and collected by Samba.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use acl::{SddlContext, SecurityDescriptor, Sid};
use serde_json::Value;

fn context(lenient: bool) -> SddlContext {
    let domain: Sid = "S-1-5-21-2457507606-2709100691-398136650".parse().unwrap();
    SddlContext { domain: Some(domain), root_domain: None, lenient }
}

/// Texts to bytes as Windows writes them, for one file. Prints each difference.
fn texts_to_bytes(name: &str, cases: usize) {
    let Some(rows) = common::json_lines(name, cases) else { return };
    let mut same = 0;
    for row in &rows {
        let sddl = row["sddl"].as_str().unwrap();
        match SecurityDescriptor::from_sddl(sddl, &context(false)) {
            Ok(sd) if common::hex(&sd.to_bytes()) == row["hex"].as_str().unwrap() => same += 1,
            Ok(sd) => {
                println!("{sddl}\n  have {}\n  want {}", common::hex(&sd.to_bytes()), row["hex"].as_str().unwrap())
            }
            Err(e) => println!("{sddl}\n  {e}"),
        }
    }
    println!("{name}: {same}/{cases} texts to the bytes of Windows");
    assert_eq!(same, cases);
}

#[test]
fn sddl_becomes_the_bytes_that_windows_writes() {
    texts_to_bytes("windows-sddl-bytes.jsonl", 3570);
}

#[test]
fn acl_revisions_are_those_of_windows() {
    texts_to_bytes("windows-sddl-bytes-rev2.jsonl", 58);
}

#[test]
fn conditions_and_claims_become_the_bytes_that_windows_writes() {
    texts_to_bytes("windows-conditional-bytes.jsonl", 184);
}

#[test]
fn the_worked_example_of_the_specification_becomes_its_bytes() {
    let Some(rows) = common::json("ms-dtyp-2.5.1.4.json", 1) else { return };
    let sd = SecurityDescriptor::from_sddl(rows[0]["sddl"].as_str().unwrap(), &context(false)).unwrap();
    // The example lies in another order (owner and group behind the lists), so that what both say is compared.
    let published = SecurityDescriptor::parse(&common::unhex(rows[0]["hex"].as_str().unwrap())).unwrap();
    assert_eq!(sd, published);
}

#[test]
fn bytes_of_windows_survive_the_way_through_sddl() {
    for (name, cases) in [
        ("windows-sddl-bytes.jsonl", 3570),
        ("windows-sddl-bytes-rev2.jsonl", 58),
        ("windows-conditional-bytes.jsonl", 184),
    ] {
        let Some(rows) = common::json_lines(name, cases) else { return };
        let (mut same, mut texts) = (0, 0);
        for row in &rows {
            let bytes = common::unhex(row["hex"].as_str().unwrap());
            let sddl = SecurityDescriptor::parse(&bytes).unwrap().to_sddl(&context(false));
            texts += usize::from(sddl.eq_ignore_ascii_case(row["sddl"].as_str().unwrap()));
            match SecurityDescriptor::from_sddl(&sddl, &context(false)) {
                Ok(sd) if sd.to_bytes() == bytes => same += 1,
                other => println!("{sddl}\n  {}\n  {other:?}", row["sddl"]),
            }
        }
        println!("{name}: {same}/{cases} bytes survive SDDL; {texts} texts are the same");
        assert_eq!(same, cases);
    }
}

/// The Python expressions that stand for long texts in the vectors.
fn text(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.into();
    }
    let python = value["py"].as_str().unwrap();
    let aces = |head: &str, from: u32, to: u32, ace: &dyn Fn(u32) -> String| {
        format!("D:(A;;{head};;;WD){}", (from..to).map(ace).collect::<String>())
    };
    let sid = |i: u32| format!("S-1-5-21-11111111-22222222-33333333-{i}");
    match python {
        p if p.contains("0x00abc") => aces("0x00654321", 101, 601, &|i| format!("(A;;0x00abc{i:03};;;{})", sid(i))),
        p if p.contains("0xabc") => aces("0x654321", 101, 601, &|i| format!("(A;;0xabc{i:03};;;{})", sid(i))),
        p if p.contains("0x001f01ff") => aces("0x001f01ff", 1001, 1201, &|i| format!("(A;;0x001f01ff;;;{})", sid(i))),
        p if p.contains("FA") => aces("FA", 1001, 1201, &|i| format!("(A;;FA;;;{})", sid(i))),
        p if p.contains("';' * 10000") => format!("D:(A;{})", ";".repeat(10000)),
        other => panic!("unknown expression {other}"),
    }
}

#[test]
fn texts_are_written_as_expected_and_bad_ones_are_refused() {
    let Some(groups) = common::json("sddl-text.json", 150) else { return };
    let mut failures = 0;
    for (group, content) in groups.as_object().unwrap() {
        let cases = content["cases"].as_array().unwrap();
        let accept = content["should_succeed"].as_bool().unwrap();
        let windows_only = group.starts_with("SddlWindowsIsLess") || group.starts_with("SddlWindowsIsWeird");
        let mut good = 0;
        for case in cases {
            let (input, expected) = (text(&case["in"]), text(&case["out"]));
            let written = |lenient| {
                SecurityDescriptor::from_sddl(&input, &context(lenient)).map(|sd| sd.to_sddl(&context(false)))
            };
            let same = |text: &str| text.eq_ignore_ascii_case(&expected);
            let fine = match (accept, windows_only) {
                (true, _) => written(false).is_ok_and(|text| same(&text)),
                (false, false) => written(false).is_err(),
                (false, true) => written(false).is_err() && written(true).is_ok_and(|text| same(&text)),
            };
            if fine {
                good += 1;
            } else {
                let show = |text: Result<String, _>| format!("{text:?}").chars().take(200).collect::<String>();
                println!("{group}: {:.120}: strict {}, lenient {}", input, show(written(false)), show(written(true)));
                failures += 1;
            }
        }
        println!("{group}: {good}/{}", cases.len());
    }
    assert_eq!(failures, 0);
}

#[test]
fn canonical_texts_are_written_as_they_were_read() {
    let Some(lines) = common::vector_file("sddl-canonical.txt", 20) else { return };
    let rows: Vec<_> = lines.lines().filter_map(|line| line.split_once(" -> ")).collect();
    let good = rows.iter().filter(|(input, output)| {
        SecurityDescriptor::from_sddl(input, &context(false)).unwrap().to_sddl(&context(false)) == *output
    });
    let good = good.count();
    println!("sddl-canonical.txt: {good}/{}", rows.len());
    assert!(rows.len() > 15 && good == rows.len());
}

#[test]
fn texts_that_must_fail_fail() {
    let Some(lines) = common::vector_file("sddl-should-fail.txt", 47) else { return };
    let rows: Vec<_> = lines.lines().filter_map(|line| line.split_once(" -> ")).collect();
    let refused = rows.iter().filter(|(input, _)| SecurityDescriptor::from_sddl(input, &context(false)).is_err());
    let refused = refused.count();
    println!("sddl-should-fail.txt: {refused}/{} refused", rows.len());
    assert!(rows.len() > 40 && refused == rows.len());
}

/// `f'S-1-5-{(1 << 32) - 1}-579'` and its like.
fn sid_text(key: &str) -> String {
    let Some(rest) = key.split_once("f'").map(|(_, rest)| rest) else { return key.into() };
    let (before, rest) = rest.split_once('{').unwrap();
    let (expression, after) = rest.split_once('}').unwrap();
    let number: u128 = match expression {
        "(1 << 32) - 1" => (1 << 32) - 1,
        "(1 << 48) - 1" => (1 << 48) - 1,
        "1 << 48" => 1 << 48,
        "(1 << 64) - 1" => (1 << 64) - 1,
        "1 << 64" => 1 << 64,
        other => panic!("unknown expression {other}"),
    };
    format!("{before}{number}{}", after.split('\'').next().unwrap())
}

#[test]
fn sid_texts_and_aliases_are_read_as_samba_and_windows_read_them() {
    let Some(groups) = common::json("sid-strings.json", 132) else { return };
    let domain = "S-1-5-21-2457507606-2709100691-398136650";
    // A SID alone is read as the owner of a descriptor.
    let read = |text: &str, lenient| {
        SecurityDescriptor::from_sddl(&format!("O:{text}"), &context(lenient)).map(|sd| sd.owner.unwrap().to_string())
    };
    let mut failures = 0;
    for (group, aliases, lenient) in [
        ("SidStringTests", true, true),
        ("SidStringsThatStartWithS", false, false),
        ("SidStringBehavioursThatSambaPrefers", false, false),
        ("SidStringBehavioursThatWindowsAllows", false, true),
    ] {
        let cases = groups[group]["cases"].as_object().unwrap();
        let mut good = 0;
        for (key, expected) in cases {
            let key = sid_text(key);
            // Lower-case aliases are lenient; Windows' late errors (a revision that is not 1) are errors here at once.
            let got = read(&key, lenient);
            let fine = match expected.as_str() {
                Some(sid) => got.as_deref() == Ok(sid.replace("{domain_sid}", domain).as_str()),
                None => got.is_err(),
            };
            // Upper-case aliases are strict SDDL too.
            let strict = !aliases || key != key.to_ascii_uppercase() || read(&key, false).is_ok() == got.is_ok();
            if fine && strict {
                good += 1;
            } else {
                println!("{group}: {key}: {got:?}, expected {expected}");
                failures += 1;
            }
        }
        println!("{group}: {good}/{}", cases.len());
    }
    assert_eq!(failures, 0);
}

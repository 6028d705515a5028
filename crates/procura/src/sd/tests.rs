//! The commands as scripts use them: lines in, lines out.

use clap::Parser;
use serde_json::{Value, json};

use super::{SdCommand, batch, show};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: SdCommand,
}

/// Output lines of a batch command, and whether all was good.
fn lines(arguments: &str, input: &str) -> (Vec<String>, bool) {
    let cli = Cli::parse_from(std::iter::once("sd").chain(arguments.split(' ')));
    let mut output = Vec::new();
    let good = batch(&cli.command, input.as_bytes(), &mut output).unwrap();
    (String::from_utf8(output).unwrap().lines().map(str::to_owned).collect(), good)
}

fn answer(arguments: &str, question: &Value) -> Value {
    let (lines, good) = lines(arguments, &format!("{question}\n"));
    assert!(good, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

fn shown(arguments: &[&str], as_json: bool) -> miette::Result<String> {
    let cli = Cli::parse_from(["sd", "show"].iter().chain(arguments));
    let SdCommand::Show(arguments) = cli.command else { unreachable!() };
    let mut output = Vec::new();
    let mut lookup = |name: &str| Err(miette::miette!("no object {name}"));
    show::run(&arguments, as_json, &mut lookup, &b"D:(A;;RP;;;WD)\n"[..], &mut output)?;
    Ok(String::from_utf8(output).unwrap())
}

const SDDL: &str = "O:BAD:(A;;RP;;;WD)";
const HEX: &str = "010004803000000000000000000000001400000002001c000100000000001400100000000101000000000001000000000102000000000005200000002002\
0000";

#[test]
fn every_form_becomes_every_other() {
    let (base64, _) = lines("convert --from sddl --to base64", SDDL);
    for (from, text) in [("sddl", SDDL), ("hex", HEX), ("base64", &base64[0])] {
        for (to, expected) in [("sddl", SDDL), ("hex", HEX), ("base64", &base64[0])] {
            assert_eq!(lines(&format!("convert --from {from} --to {to}"), text), (vec![expected.into()], true));
        }
    }
}

#[test]
fn a_bad_line_gives_an_error_in_its_place() {
    let (lines, good) = lines("convert --from sddl --to sddl", "D:(A;;XX;;;WD)\nD:\r\n\u{1F600}\nD:P\n");
    assert!(!good);
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0], "error: at character 6: unknown access right");
    assert_eq!(lines[1], "D:");
    assert!(lines[2].starts_with("error: "));
    assert_eq!(lines[3], "D:P");
}

#[test]
fn bytes_that_are_no_text_are_one_bad_line() {
    let cli = Cli::parse_from(["sd", "inherit"]);
    let mut output = Vec::new();
    assert!(!batch(&cli.command, &b"\xFF\n{\n"[..], &mut output).unwrap());
    assert_eq!(String::from_utf8(output).unwrap().matches("error: ").count(), 2);
}

#[test]
fn aliases_of_a_domain_need_its_sid() {
    let (without, good) = lines("convert --from sddl --to hex", "O:DA");
    assert!(!good && without[0].contains("needs a domain SID"));
    let (with, good) = lines("convert --from sddl --to sddl --domain-sid S-1-5-21-1-2-3", "O:DA");
    assert!(good && with[0] == "O:DA");
    let (root, _) = lines("convert --from sddl --to sddl --root-domain-sid S-1-5-21-7-8-9", "O:EA");
    assert_eq!(root[0], "O:EA");
}

#[test]
fn lenient_takes_what_windows_takes() {
    assert!(!lines("convert --from sddl --to sddl", "D:(a;;ga;;; wd)").1);
    assert_eq!(lines("convert --from sddl --to sddl --lenient", "D:(a;;ga;;; wd)").0, ["D:(A;;GA;;;WD)"]);
}

#[test]
fn json_has_names_and_words() {
    let (lines, _) = lines("convert --from sddl --to json", "D:(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;PS)");
    let sd: Value = serde_json::from_str(&lines[0]).unwrap();
    let ace = &sd["dacl"]["aces"][0];
    assert_eq!(ace["object_type"]["name"], "Send As");
    assert_eq!(ace["trustee"]["name"], "NT AUTHORITY\\SELF");
    assert_eq!((ace["mask"].as_u64(), ace["effect"].as_str()), (Some(0x100), Some("allowed")));
    assert_eq!(sd["dacl_state"], "present");
}

#[test]
fn a_check_says_what_is_granted_and_why() {
    let question = json!({"sddl": "D:(A;;RP;;;WD)(D;;WP;;;BA)", "token": ["S-1-1-0", "BA"], "access": 16});
    let granted = answer("check", &question);
    assert_eq!((&granted["allowed"], &granted["granted"]), (&json!(true), &json!(16)));
    assert_eq!(granted["trace"][0]["ace"], 0);
    let denied = answer("check", &json!({"hex": HEX, "token": ["S-1-1-0"], "access": "0x20", "tree": null}));
    assert_eq!(denied, json!({"allowed": false, "granted": 0, "trace": []}));
}

#[test]
fn a_check_knows_trees_self_and_claims() {
    let right = "ab721a54-1e2f-11d0-9819-00aa0040529b";
    let sddl = format!("D:(OA;;CR;{right};;PS)");
    let own = "S-1-5-21-1-2-3-1103";
    let question = json!({"sddl": sddl, "token": [own], "access": 256, "tree": [right], "self": own});
    assert_eq!(answer("check", &question)["allowed"], true);
    let sddl = "D:(XA;;RP;;;WD;(@User.title == \"VP\" && @Device.level > 3))";
    let claims = json!({"sddl": sddl, "token": ["WD"], "access": 16, "user_claims": {"title": "vp"}, "device_claims": {"level": [4]}});
    assert_eq!(answer("check", &claims)["allowed"], true);
    let deny_only = json!({"sddl": "D:(D;;RP;;;BA)(A;;RP;;;WD)", "token": ["WD"], "deny_only": ["BA"], "access": 16});
    assert_eq!(answer("check", &deny_only)["allowed"], false);
    let privileged = json!({"sddl": "D:", "token": ["WD"], "access": 0x8_0000, "privileges": ["take-ownership"]});
    assert_eq!(answer("check", &privileged)["trace"][0]["by"], "privilege");
    let restricted = json!({"sddl": "D:(A;;RP;;;WD)", "token": ["WD"], "restricting": ["BA"], "access": 16});
    assert_eq!(answer("check", &restricted)["allowed"], false);
}

#[test]
fn a_question_that_makes_no_sense_is_refused() {
    for question in [
        r#"{"token": [], "access": 1}"#,
        r#"{"sddl": "D:", "hex": "00", "token": [], "access": 1}"#,
        r#"{"sddl": "D:", "token": "S-1-1-0", "access": 1}"#,
        r#"{"sddl": "D:", "token": ["nobody"], "access": 1}"#,
        r#"{"sddl": "D:", "token": [], "access": -1}"#,
        r#"{"sddl": "D:", "token": [], "access": 4294967296}"#,
        r#"{"sddl": "D:", "token": [], "access": 1, "tree": ["x"]}"#,
        r#"{"sddl": "D:", "token": [], "access": 1, "self": 5}"#,
        r#"{"sddl": "D:", "token": [], "access": 1, "mapping": "registry"}"#,
        r#"{"sddl": "D:", "token": [], "access": 1, "user_claims": {"x": [1, "y"]}}"#,
        "not json",
    ] {
        let (lines, good) = lines("check", question);
        assert!(!good && lines[0].starts_with("error: "), "{question}: {lines:?}");
    }
}

#[test]
fn a_child_inherits_from_its_parent() {
    let (hex, _) = lines("convert --from sddl --to hex", "D:(A;CI;RP;;;CO)(A;;WP;;;WD)");
    let owner = "S-1-5-21-1-2-3-1103";
    let question = json!({"parent": hex[0], "class_guid": null, "owner": owner, "group": null});
    let aces = answer("inherit", &question)["aces"].as_array().unwrap().clone();
    assert_eq!(aces.len(), 2);
    assert!(aces[0].as_str().unwrap().starts_with("0010"));
    assert!(!lines("inherit", r#"{"parent": "00"}"#).1);
    assert!(!lines("inherit", r#"{"class_guid": null}"#).1);
}

#[test]
fn a_descriptor_is_shown_in_words_whatever_its_form() {
    for text in [SDDL, HEX] {
        let text = shown(&[text], false).unwrap();
        assert!(text.contains("owner    BUILTIN\\Administrators\n"), "{text}");
        assert!(
            text.contains("  0. Everyone: Read All Properties, allowed, this object only\n     (A;;RP;;;WD)\n"),
            "{text}"
        );
    }
    assert!(shown(&[], false).unwrap().contains("Everyone"));
    assert!(shown(&["O:BA"], false).unwrap().contains("absent: everything is granted"));
    assert!(shown(&["D:NO_ACCESS_CONTROL"], false).unwrap().contains("NULL: everything is granted"));
    assert!(shown(&["D:P"], false).unwrap().contains("empty: nothing is granted, protected: inherits nothing"));
    assert!(shown(&["D:(A;;RP;;;WD)(D;;RP;;;WD)"], false).unwrap().contains("not in canonical order"));
    let document: Value = serde_json::from_str(&shown(&[SDDL], true).unwrap()).unwrap();
    assert_eq!(document["owner"]["sid"], "S-1-5-32-544");
}

#[test]
fn a_mistake_in_sddl_is_pointed_at() {
    let report = shown(&["D:(A;;RPXX;;;WD)"], false).unwrap_err();
    let label = report.labels().unwrap().next().unwrap();
    assert_eq!((label.offset(), label.len()), (8, 2));
    assert!(shown(&["0102"], false).is_err());
    assert!(shown(&["--object", "bob"], false).unwrap_err().to_string().contains("no object bob"));
}

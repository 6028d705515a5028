//! Golden scripts: every `tests/scripts/*.authz` is one test. `tests/scripts/README.md` describes the language.

#![allow(missing_docs, reason = "a test")]

mod expect;
mod organization;
mod run;
mod scram;
mod script;

use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// Where the scripts are.
pub fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut names: Vec<PathBuf> = match std::fs::read_dir(scripts()) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => {
            eprintln!("{}: {error}", scripts().display());
            return ExitCode::FAILURE;
        }
    };
    names.retain(|path| path.extension().is_some_and(|extension| extension == "authz"));
    names.sort();
    if names.is_empty() {
        eprintln!("{}: no scripts", scripts().display());
        return ExitCode::FAILURE;
    }
    let trial = |path: PathBuf| {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Trial::test(name, move || check(&path).map_err(Failed::from))
    };
    let trials = names.into_iter().map(trial).chain(runner_trials()).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The runner itself: what a script must not get away with.
fn runner_trials() -> Vec<Trial> {
    let scripts = [
        ("a_wrong_reply_fails", "C: NOOP\nS: 250 2.0.0 NO\n", "expected (-) and actual (+)"),
        ("a_missing_reply_fails", "C: NOOP\nS: 250 2.0.0 OK\nS: 250 2.0.0 OK\n", "expected (-) and actual (+)"),
        ("a_reply_that_nobody_expects_fails", "expect open\nC: NOOP\n", "no `S:` expects"),
        ("a_session_without_expectations_fails", "", "expects nothing, so it proves nothing"),
        ("an_unknown_claim_fails", "expect wonders\n", "is not known"),
        ("a_message_that_was_not_accepted_fails", "expect accepted\n  envelope <> -> <x@y.test>\n", "no message was"),
        (
            "a_wrong_header_fails",
            "mail <> -> <bob@example.com>\n  From: x@outside.test\nS: 250 2.6.0 <id> Queued mail for delivery\n\
             expect accepted\n  From: y@outside.test\n",
            "claimed: From: y@outside.test",
        ),
        (
            "a_wrong_trace_fails",
            "C: MAIL FROM:<ceo@example.com>\nexpect trace\n  verdict: allowed\n",
            "verdict: refused",
        ),
    ];
    let trial = |(name, text, complaint): (&'static str, &'static str, &'static str)| {
        Trial::test(format!("runner::{name}"), move || {
            let text = format!("use demo\nsession x connector=internet\n{text}");
            let script = script::parse(&text).map_err(|error| Failed::from(error.to_string()))?;
            match run::run(&script) {
                Err(message) if message.contains(complaint) => Ok(()),
                other => Err(Failed::from(format!("expected a complaint `{complaint}`, got {other:?}"))),
            }
        })
    };
    scripts.into_iter().map(trial).collect()
}

fn check(path: &PathBuf) -> Result<(), String> {
    let at = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{at}: {error}"))?;
    let script = script::parse(&text).map_err(|error| format!("{at}: {error}"))?;
    run::run(&script).map_err(|message| format!("{at}: {message}"))
}

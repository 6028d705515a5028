//! Golden scripts: every `tests/scripts/*.authz` is one test. `tests/scripts/README.md` describes the language.

#![allow(missing_docs, reason = "a test")]

mod expect;
mod organization;
mod run;
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
    libtest_mimic::run(&arguments, names.into_iter().map(trial).collect()).exit_code()
}

fn check(path: &PathBuf) -> Result<(), String> {
    let at = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{at}: {error}"))?;
    let script = script::parse(&text).map_err(|error| format!("{at}: {error}"))?;
    run::run(&script).map_err(|message| format!("{at}: {message}"))
}

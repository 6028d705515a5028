//! Programs of others that a test needs.

use std::path::Path;

/// Where a program stands, if it is installed; a path stands for itself.
fn find(program: &str) -> Option<std::path::PathBuf> {
    if program.starts_with('/') {
        return Some(program.into()).filter(|path: &std::path::PathBuf| path.exists());
    }
    let path = std::env::var_os("PATH")?;
    let sbin = [Path::new("/usr/sbin").to_owned(), Path::new("/sbin").to_owned()];
    std::env::split_paths(&path).chain(sbin).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// True where all programs are installed. Otherwise the test has nothing to run: it says so, and with `CI=true` it fails.
#[must_use]
pub fn require(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    skip_without(&format!("{missing:?}"));
    false
}

/// Says that a test is passed over for want of something; with `CI=true` that is a failure.
pub fn skip_without(what: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} is needed here; ./test installs it");
    eprintln!("passed over: {what} is not here; ./test installs it");
}

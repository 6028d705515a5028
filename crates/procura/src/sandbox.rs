//! `[node] sandbox`: the process gives up, for good, what it does not need of the file system (landlock(7)).

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus,
};

use crate::cli::fault::Failure;

/// What is read: configuration, certificates, names of users and hosts, libraries, time zones.
const READ: [&str; 8] = ["/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/dev", "/run"];
/// What is written besides the data.
const WRITE: [&str; 4] = ["/dev/null", "/tmp", "/var/tmp", "/run/procura"];

/// Restricts this thread, and all that it starts from now on, to reading the system and to writing below `writable`. A kernel
/// that cannot do so is no error: it is logged.
pub fn enter(readable: &[PathBuf], writable: &[PathBuf]) -> Result<(), Failure> {
    let restricted = restrict(readable, writable).map_err(|e| {
        Failure::new(format!("the sandbox cannot be entered: {e}")).help("set `sandbox = false` under [node]")
    })?;
    match restricted {
        RulesetStatus::FullyEnforced => tracing::info!("sandbox: files outside of the data cannot be written"),
        RulesetStatus::PartiallyEnforced => tracing::info!("sandbox: in force as far as this kernel can"),
        RulesetStatus::NotEnforced => tracing::warn!("sandbox: this kernel has no landlock; there is none"),
    }
    Ok(())
}

fn restrict(readable: &[PathBuf], writable: &[PathBuf]) -> Result<RulesetStatus, landlock::RulesetError> {
    let abi = ABI::V5;
    let all = AccessFs::from_all(abi);
    // Nothing is executed.
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = all & !AccessFs::Execute;
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(all)?.create()?;
    for path in READ.iter().map(Path::new).chain(readable.iter().map(PathBuf::as_path)) {
        ruleset = allow(ruleset, path, read)?;
    }
    for path in WRITE.iter().map(Path::new).chain(writable.iter().map(PathBuf::as_path)) {
        ruleset = allow(ruleset, path, write)?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// What is not there is not allowed either.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    let Ok(open) = PathFd::new(path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V5) };
    ruleset.add_rule(PathBeneath::new(open, access))
}

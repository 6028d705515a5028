//! The files of a record: names, order, age.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use thiserror::Error;

use crate::record::Millis;

/// Why the record cannot be written or read.
#[derive(Debug, Error)]
pub enum TrackingError {
    /// A file or the folder.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl TrackingError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> TrackingError {
        TrackingError::Io { what, path: path.to_owned(), source }
    }
}

/// A file of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// When it began.
    pub(crate) since: Millis,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// The files of a folder, oldest first. A folder that is not there has none.
pub(crate) fn list(folder: &Path) -> Result<Vec<File>, TrackingError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TrackingError::io("read", folder, error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| TrackingError::io("read", folder, error))?;
        let name = entry.file_name();
        let Some(since) = name.to_str().and_then(time_of) else { continue };
        let size = entry.metadata().map_or(0, |metadata| metadata.len());
        files.push(File { since, path: entry.path(), size });
    }
    files.sort_by_key(|file| file.since);
    Ok(files)
}

/// `20261122-083000123.jsonl`.
pub(crate) fn name(time: Millis) -> String {
    Timestamp::from_millisecond(time).unwrap_or_default().strftime("%Y%m%d-%H%M%S%3f.jsonl").to_string()
}

/// `20261122`: the day of a time, in UTC.
pub(crate) fn day(time: Millis) -> Millis {
    time.div_euclid(24 * 3_600_000)
}

/// When a file of this name began; `None`: it is none of ours.
fn time_of(name: &str) -> Option<Millis> {
    let (date, time) = name.strip_suffix(".jsonl")?.split_once('-')?;
    if date.len() != 8 || time.len() != 9 || !date.bytes().chain(time.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (seconds, millis) = time.split_at(6);
    let iso = format!(
        "{}-{}-{}T{}:{}:{}.{millis}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &seconds[..2],
        &seconds[2..4],
        &seconds[4..]
    );
    iso.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_its_file_began() {
        assert_eq!(name(1_767_268_800_123), "20260101-120000123.jsonl");
        assert_eq!(time_of("20260101-120000123.jsonl"), Some(1_767_268_800_123));
    }

    #[test]
    fn other_files_are_none_of_ours() {
        for name in ["20260101-120000123.jsonl.gz", "2026010a-120000123.jsonl", "20261301-120000123.jsonl", "x"] {
            assert_eq!(time_of(name), None, "{name}");
        }
    }
}

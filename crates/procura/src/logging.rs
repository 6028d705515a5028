//! The log of the server: for people, for programs (JSON) or for the journal; on standard error or in files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::cli::fault::Failure;
use crate::config::keys::Log;

/// The log at work: what of it can be changed while the server runs.
#[derive(Debug)]
pub struct Logging {
    level: reload::Handle<EnvFilter, Registry>,
    file: Option<Arc<LogFile>>,
}

impl Logging {
    /// Starts the log of `[log]`; relative paths begin at `data`.
    pub fn start(log: &Log, data: &Path) -> Result<Logging, Failure> {
        let (filter, level) = reload::Layer::new(filter(&log.level)?);
        let file = match &log.file {
            Some(path) => {
                let path = data.join(path);
                let shown = path.display().to_string();
                let opened = LogFile::open(path, log.file_mib << 20, log.files);
                let failed = |e: io::Error| Failure::new(format!("{shown}: {e}")).help("check `file` under [log]");
                Some(Arc::new(opened.map_err(failed)?))
            }
            None => None,
        };
        let journal = match log.format.as_str() {
            "journal" => true,
            "auto" => file.is_none() && std::env::var_os("JOURNAL_STREAM").is_some(),
            _ => false,
        };
        let terminal = file.is_none() && io::stderr().is_terminal();
        let target = Target { file: file.clone(), journal };
        let layer = tracing_subscriber::fmt::layer().with_target(false).with_writer(target);
        let layer: Box<dyn Layer<_> + Send + Sync> = match (log.format.as_str(), journal) {
            ("json", _) => Box::new(layer.json().flatten_event(true).with_ansi(false)),
            // The journal has the time and the level already.
            (_, true) => Box::new(layer.without_time().with_level(false).with_ansi(false)),
            _ => Box::new(layer.with_ansi(terminal)),
        };
        // A second subscriber in one process is a fault of a test, not of a user.
        let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
        Ok(Logging { level, file })
    }

    /// How much is logged from now on.
    pub fn set_level(&self, level: &str) -> Result<(), Failure> {
        self.level.reload(filter(level)?).map_err(|e| Failure::new(e.to_string()))
    }

    /// Goes on in a new file of the same name: somebody has moved the old one away.
    pub fn reopen(&self) {
        if let Some(file) = &self.file
            && let Err(error) = file.reopen()
        {
            tracing::error!(%error, "the log file cannot be opened again");
        }
    }
}

fn filter(level: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(level)
        .map_err(|e| Failure::new(format!("[log] level `{level}`: {e}")).help("write it as in level = \"info\""))
}

/// Where lines go.
struct Target {
    file: Option<Arc<LogFile>>,
    /// Lines begin with their priority (sd-daemon(3)).
    journal: bool,
}

/// One line on its way.
struct Line<'a> {
    file: Option<&'a LogFile>,
    prefix: &'static str,
}

impl<'a> MakeWriter<'a> for Target {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { file: self.file.as_deref(), prefix: "" }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        let prefix = match *meta.level() {
            _ if !self.journal => "",
            Level::ERROR => "<3>",
            Level::WARN => "<4>",
            Level::INFO => "<6>",
            _ => "<7>",
        };
        Line { file: self.file.as_deref(), prefix }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.file {
            Some(file) => file.write(line)?,
            None if self.prefix.is_empty() => io::stderr().lock().write_all(line)?,
            None => {
                let mut out = io::stderr().lock();
                out.write_all(self.prefix.as_bytes())?;
                out.write_all(line)?;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is followed by another when it is large: `name`, `name.1` (the one before), …
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    most: u64,
    /// Files that are kept, this one included.
    files: u32,
    open: Mutex<(File, u64)>,
}

impl LogFile {
    fn open(path: PathBuf, most: u64, files: u32) -> io::Result<LogFile> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let open = Mutex::new(opened(&path)?);
        Ok(LogFile { path, most, files, open })
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.1 > 0 && open.1 + line.len() as u64 > self.most {
            self.rotate()?;
            *open = opened(&self.path)?;
        }
        open.0.write_all(line)?;
        open.1 += line.len() as u64;
        Ok(())
    }

    fn reopen(&self) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = opened(&self.path)?;
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        // Somebody may have moved any of them away.
        let there = |done: io::Result<()>| match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let last = self.files.saturating_sub(1);
        if last == 0 {
            return there(fs::remove_file(&self.path));
        }
        for number in (1..last).rev() {
            there(fs::rename(numbered(number), numbered(number + 1)))?;
        }
        there(fs::rename(&self.path, numbered(1)))
    }
}

fn opened(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
            .collect();
        files.sort();
        files
    }

    #[test]
    fn a_large_file_is_followed_by_another_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::open(folder.path().join("log"), 8, 3).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        let expected = [("log", "five\n"), ("log.1", "four\n"), ("log.2", "three\n")];
        assert_eq!(written(folder.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn a_large_file_that_was_moved_away_is_followed_by_another() {
        for files in [1, 3] {
            let folder = tempfile::tempdir().unwrap();
            let log = LogFile::open(folder.path().join("log"), 8, files).unwrap();
            log.write(b"before\n").unwrap();
            fs::rename(folder.path().join("log"), folder.path().join("moved")).unwrap();
            log.write(b"after\n").unwrap();
            let expected = [("log", "after\n"), ("moved", "before\n")];
            assert_eq!(written(folder.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        }
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::open(folder.path().join("log"), 1 << 20, 3).unwrap();
        log.write(b"before\n").unwrap();
        fs::rename(folder.path().join("log"), folder.path().join("moved")).unwrap();
        log.reopen().unwrap();
        log.write(b"after\n").unwrap();
        let expected = [("log", "after\n"), ("moved", "before\n")];
        assert_eq!(written(folder.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }
}

//! What a command that fails says: what was wrong, where, and what to do.

use std::fmt;
use std::path::Path;

use miette::Diagnostic;

use super::output::plain;

/// A failed command: exit code 2.
#[derive(Debug)]
pub struct Failure {
    message: String,
    help: Option<String>,
}

impl Failure {
    /// A failure in words.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: plain(&message.into()).into_owned(), help: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Failure {
        Failure { help: Some(plain(&help.into()).into_owned()), ..self }
    }

    /// Puts the file and the line in front.
    #[must_use]
    pub fn at(self, file: &Path, line: u32) -> Failure {
        Failure { message: format!("{}:{line}: {}", file.display(), self.message), ..self }
    }

    /// Puts the file in front of a message that begins with a line of it.
    #[must_use]
    pub fn in_file(self, file: &Path) -> Failure {
        let parts = self.message.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
        let found = parts.and_then(|(line, rest)| Some((line.parse().ok()?, rest.to_owned())));
        match found {
            Some((line, message)) => Failure { message, ..self }.at(file, line),
            None => self,
        }
    }
}

/// Lets a command end quietly when nobody reads on, as in `procura user list | head`, and with an error when what it prints
/// cannot be written: `print!` panics then.
pub fn end_with_the_reader() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload_as_str().unwrap_or_default();
        if let Some(why) = words.strip_prefix("failed printing to stdout: ") {
            if why.contains("Broken pipe") {
                std::process::exit(0);
            }
            eprintln!("  × standard output: {why}");
            std::process::exit(i32::from(crate::FAILED));
        }
        others(panic);
    }));
}

/// Whether a failure says that nobody reads standard output any more.
pub fn is_end_of_the_reader(message: &str) -> bool {
    message.starts_with("standard output: ") && message.contains("Broken pipe")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}

impl From<admin::AdminError> for Failure {
    fn from(error: admin::AdminError) -> Failure {
        let failure = Failure::new(error.to_string());
        match error.help() {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

impl From<admin::Fault> for Failure {
    fn from(fault: admin::Fault) -> Failure {
        Failure { message: fault.message, help: fault.help }
    }
}

impl From<admin::DataError> for Failure {
    fn from(error: admin::DataError) -> Failure {
        Failure { message: error.to_string(), help: Some(error.help()) }
    }
}

/// Messages as they are: not broken into lines, so that a path or a right in them can be found and copied.
pub fn show_plainly() {
    // It fails only when it was set before.
    let _ = miette::set_hook(Box::new(|_| {
        Box::new(miette::MietteHandlerOpts::new().width(400).wrap_lines(false).break_words(false).build())
    }));
}

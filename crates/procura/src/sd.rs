//! `procura sd …`: security descriptors by themselves, without a server.
//!
//! `convert`, `check` and `inherit` work in batches: one line in, one line out, in order. A bad line gives `error: …` in
//! its place, and the exit code is 1 at the end.

mod check;
mod convert;
mod inherit;
mod input;
mod json;
mod show;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use acl::{SddlContext, Sid};
use clap::{Args, Subcommand, ValueEnum};

pub use show::{DirectoryDescriptor, Lookup};

/// Security descriptors: show, convert and check them, compute what is inherited.
#[derive(Debug, Subcommand)]
pub enum SdCommand {
    /// Explain a descriptor: who may do what, and where an entry comes from
    Show(Show),
    /// Convert descriptors: one line in, one line out
    Convert(Convert),
    /// Edit the descriptor of any object: in $EDITOR, or with --sddl
    #[command(
        after_help = "Only explicit entries are written; inherited ones are changed where they stand. The difference is shown, and undo takes it back.\n\nExamples:\n  procura sd edit 'Default MAIL'\n  procura sd edit 'CN=Configuration\\CN=Services\\CN=Microsoft Exchange' --dry-run\n  procura sd edit OU=Staff --sddl \"$(cat staff.sddl)\""
    )]
    Edit(crate::cli::connectors::SdEdit),
    /// AccessCheck on lines of JSON: {"sddl" or "hex", "token": [SID…], "access": MASK, "tree": [GUID…], "self": SID}
    Check(Domain),
    /// What a child inherits, on lines of JSON: {"parent": HEX, "class_guid": GUID or null, "owner": SID, "group": SID}
    Inherit,
}

/// Arguments of `sd show`.
#[derive(Debug, Args)]
pub struct Show {
    /// SDDL, hexadecimal or base64; `-` or nothing: standard input
    #[arg(value_name = "DESCRIPTOR", conflicts_with = "object", allow_hyphen_values = true)]
    pub descriptor: Option<String>,
    /// The descriptor of a directory object, by DN, address, name, GUID or SID
    #[arg(long, value_name = "NAME")]
    pub object: Option<String>,
    #[command(flatten)]
    pub domain: Domain,
}

/// Arguments of `sd convert`.
#[derive(Debug, Args)]
pub struct Convert {
    /// Form of the input
    #[arg(long, value_enum)]
    pub from: From,
    /// Form of the output
    #[arg(long, value_enum)]
    pub to: To,
    #[command(flatten)]
    pub domain: Domain,
}

/// What SDDL leaves to its surroundings.
#[derive(Debug, Clone, Default, Args)]
pub struct Domain {
    /// The domain that aliases such as DA and DU stand for
    #[arg(long, value_name = "SID")]
    pub domain_sid: Option<Sid>,
    /// The forest's root domain, for EA and SA [default: the domain]
    #[arg(long, value_name = "SID")]
    pub root_domain_sid: Option<Sid>,
    /// Accept what Windows accepts beyond its documentation: lower case, spaces, numbers that overflow
    #[arg(long)]
    pub lenient: bool,
}

impl Domain {
    fn context(&self) -> SddlContext {
        SddlContext {
            domain: self.domain_sid.clone(),
            root_domain: self.root_domain_sid.clone(),
            lenient: self.lenient,
        }
    }
}

/// Forms that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// Security descriptor definition language
    Sddl,
    /// Bytes as hexadecimal digits
    Hex,
    /// Bytes as base64
    Base64,
}

/// Forms that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// Security descriptor definition language
    Sddl,
    /// Bytes, as Windows lays them out, as hexadecimal digits
    Hex,
    /// The same as base64
    Base64,
    /// All that is in it, with names, as JSON
    Json,
}

/// Runs a command on standard input and output. `json`: `show` prints JSON. `lookup` reads the descriptor of a directory
/// object.
pub fn run(command: SdCommand, json: bool, lookup: &mut Lookup<'_>) -> miette::Result<ExitCode> {
    let (input, mut output) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
    let good = match command {
        SdCommand::Show(show) => return show::run(&show, json, lookup, input, &mut output),
        command => batch(&command, input, &mut output),
    };
    match good {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        // Who reads no more wants no more.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(e) => Err(miette::miette!("standard input or output: {e}")),
    }
}

/// Runs a batch command; tells whether every line was good.
pub fn batch(command: &SdCommand, input: impl BufRead, output: &mut impl Write) -> io::Result<bool> {
    match command {
        SdCommand::Convert(arguments) => {
            let context = arguments.domain.context();
            lines(input, output, |line| convert::line(line, arguments.from, arguments.to, &context))
        }
        SdCommand::Check(domain) => {
            let context = domain.context();
            lines(input, output, |line| check::line(line, &context))
        }
        SdCommand::Inherit => lines(input, output, inherit::line),
        SdCommand::Show(_) | SdCommand::Edit(_) => Ok(true),
    }
}

/// One line out for each line in.
fn lines(
    mut input: impl BufRead,
    output: &mut impl Write,
    mut answer: impl FnMut(&str) -> Result<String, String>,
) -> io::Result<bool> {
    let mut good = true;
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let result = std::str::from_utf8(text).map_err(|e| e.to_string()).and_then(&mut answer);
        match result {
            Ok(answer) => writeln!(output, "{answer}")?,
            Err(fault) => {
                good = false;
                writeln!(output, "error: {}", fault.replace(['\r', '\n'], " "))?;
            }
        }
        line.clear();
    }
    output.flush()?;
    Ok(good)
}

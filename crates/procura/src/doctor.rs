//! `procura doctor`: is this node fit for service? Each finding names what mends it.

mod folders;
mod host;
mod service;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::args::{Format, Global};
use crate::cli::fault::Failure;
use crate::cli::report::stdout;
use crate::cli::rows::Rows;
use crate::cli::run::broken;
use crate::node::Node;

/// Columns for spreadsheets.
const COLUMNS: [&str; 4] = ["level", "check", "text", "mend"];

#[derive(Debug, Args)]
#[command(
    after_help = "Looks at configuration, files, certificate, names, ports, disk, clock, directory, queue, folders and relaying. Nothing is changed.\n\nExit code: 0 all is well, 1 something is not, 2 it could not be done.\n\nExamples:\n  procura doctor\n  procura doctor --format jsonl\n  procura doctor --no-network --skip directory"
)]
pub struct Doctor {
    /// Ask no name server and connect to nobody
    #[arg(long)]
    pub no_network: bool,
    /// Leave a check out
    #[arg(long, value_name = "CHECK")]
    pub skip: Vec<String>,
    /// Show what is well, too
    #[arg(long)]
    pub all: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but not well, or not for long.
    Warning,
    /// It does not work, or is dangerous.
    Fault,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Which check found it.
    pub check: &'static str,
    /// In words.
    pub text: String,
    /// What mends it: a command, or what to do; empty where nothing needs to be mended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mend: String,
}

impl Finding {
    fn ok(check: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, check, text: text.into(), mend: String::new() }
    }

    fn warning(check: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, check, text: text.into(), mend: mend.into() }
    }

    /// What a part that failed says.
    fn of(check: &'static str, failure: &Failure) -> Finding {
        let help = miette::Diagnostic::help(failure).map(|help| help.to_string()).unwrap_or_default();
        Finding::fault(check, failure.to_string(), help)
    }

    fn fault(check: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { level: Level::Fault, check, text: text.into(), mend: mend.into() }
    }
}

/// What is wrong with the certificates that a configuration names.
pub fn certificates(node: &Node) -> Vec<Finding> {
    let mut findings = host::authorities(node);
    if node.loaded.config.tls.certificate.is_some() {
        findings.splice(0..0, host::certificate(node));
    }
    findings.retain(|finding| finding.level != Level::Ok);
    findings
}

/// All checks.
const CHECKS: [&str; 13] = [
    "configuration",
    "files",
    "certificate",
    "name",
    "disk",
    "clock",
    "limits",
    "service",
    "ports",
    "relay",
    "folders",
    "directory",
    "queue",
];

/// Runs `procura doctor`.
pub fn run(global: &Global, arguments: &Doctor) -> miette::Result<ExitCode> {
    if let Some(unknown) = arguments.skip.iter().find(|skip| !CHECKS.contains(&skip.as_str())) {
        return Err(Failure::new(format!("there is no check `{unknown}`"))
            .help(format!("there are: {}", CHECKS.join(", ")))
            .into());
    }
    let mut findings = examine(global, arguments);
    findings.retain(|finding| !arguments.skip.iter().any(|skip| skip == finding.check));
    let ill = findings.iter().any(|finding| finding.level != Level::Ok);
    let shown: Vec<&Finding> = findings.iter().filter(|finding| arguments.all || finding.level != Level::Ok).collect();
    show(&shown, findings.len(), global.format).map_err(broken)?;
    Ok(ExitCode::from(u8::from(ill)))
}

fn examine(global: &Global, arguments: &Doctor) -> Vec<Finding> {
    let node = match Node::locate(global) {
        Ok(node) => node,
        Err(report) => {
            let help = report.help().map(|help| help.to_string()).unwrap_or_default();
            return vec![Finding::fault("configuration", report.to_string(), help)];
        }
    };
    let mut findings = vec![Finding::ok(
        "configuration",
        match &node.loaded.file {
            Some(file) => format!("{} has no fault", file.display()),
            None => "there is no file; the usual settings are in force".to_owned(),
        },
    )];
    findings.extend(host::files(&node));
    findings.extend(host::certificate(&node));
    findings.extend(host::authorities(&node));
    findings.extend(host::name(&node, arguments.no_network));
    findings.extend(host::disk(&node));
    findings.extend(host::clock(&node));
    findings.extend(host::limits());
    let wanted = |check: &str| !arguments.skip.iter().any(|skip| skip == check);
    // Last: a command that is alone opens the data directory, and gives up root for its owner.
    match node.endpoint() {
        Ok(mut endpoint) => findings.extend(service::examine(&mut endpoint, arguments.no_network, &wanted)),
        Err(failure) => findings.push(Finding::of("service", &failure)),
    }
    findings
}

fn show(findings: &[&Finding], looked_at: usize, format: Format) -> io::Result<()> {
    let mut out = io::BufWriter::new(stdout(format)?);
    if format != Format::Table {
        let mut rows = Rows::new(&mut out, format, &COLUMNS);
        findings.iter().try_for_each(|finding| rows.row(finding))?;
        rows.finish()?;
        return out.flush();
    }
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Fault => "FAULT",
        };
        writeln!(out, "{level:<8} {:<14} {}", finding.check, finding.text)?;
        if !finding.mend.is_empty() {
            writeln!(out, "{:<8} {:<14} mend it: {}", "", "", finding.mend)?;
        }
    }
    if findings.iter().all(|finding| finding.level == Level::Ok) {
        writeln!(out, "{looked_at} things looked at: all is well")?;
    }
    out.flush()
}

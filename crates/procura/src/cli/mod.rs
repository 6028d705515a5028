//! The command line: what may be typed ([`args`]), what it asks ([`requests`]), and how results are shown ([`output`]).

pub mod access;
pub mod apply;
pub mod args;
mod columns;
pub mod connectors;
mod diff;
pub mod directory;
mod document;
pub mod examples;
pub mod fault;
pub mod folder_permission;
mod html;
pub mod lifecycle;
pub mod output;
pub mod pages;
pub mod pause;
pub mod queue;
pub mod recipients;
pub mod report;
pub mod requests;
pub mod rows;
pub mod run;
pub mod sendmail;
mod separation;
pub mod shell;
mod shown;
pub mod test_send;
pub mod tools;
pub mod trace;
mod verify;

/// The whole command line, examples included.
pub fn command() -> clap::Command {
    examples::add(<args::Cli as clap::CommandFactory>::command())
}

//! What a shell and `man` want to know of the command line: completion scripts and manual pages.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::args::Global;
use super::fault::Failure;
use super::run::{broken, named};

/// `procura completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `procura man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Directory for the pages; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Prints a completion script.
pub fn completion(arguments: &Completion) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command(), "procura", &mut script);
    io::stdout().write_all(&script).map_err(broken)
}

/// Writes a page for each command: `procura.1`, `procura-user-add.1`, ….
pub fn man(global: &Global, arguments: &Man) -> Result<(), Failure> {
    let dir = &arguments.out;
    let command = super::command();
    if global.dry_run {
        println!("would write {} pages to {}", count(&command), dir.display());
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|e| named(dir, e))?;
    clap_mangen::generate_to(command, dir).map_err(|e| named(dir, e))?;
    let pages = fs::read_dir(dir).map_err(|e| named(dir, e))?.count();
    println!("{}: {pages} pages; read one with `man {}`", dir.display(), dir.join("procura.1").display());
    Ok(())
}

fn count(command: &clap::Command) -> usize {
    1 + command.get_subcommands().map(count).sum::<usize>()
}

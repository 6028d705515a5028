//! `procura sd edit`: the descriptor of any object in an editor, as S2 uses ADSI Edit.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

use admin::Endpoint;
use admin::operations::{self as op, Request, Response, SdText};
use clap::Args;

use super::super::args::Global;
use super::super::fault::Failure;
use super::super::run::{call, named, show, unexpected};
use crate::init::write_new;
use crate::node::Node;

#[derive(Debug, Args)]
pub struct SdEdit {
    /// The object: any name, a DN, or a path: CN=Configuration\CN=Services\…
    object: String,
    /// Write this SDDL without an editor; - reads it from standard input
    #[arg(long, allow_hyphen_values = true)]
    sddl: Option<String>,
}

/// Reads, lets edit, shows the difference and writes.
pub fn edit(global: &Global, edit: &SdEdit) -> miette::Result<()> {
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let before = read(&mut endpoint, &edit.object)?;
    let text = match edit.sddl.as_deref() {
        Some("-") => {
            std::io::read_to_string(std::io::stdin()).map_err(|e| Failure::new(format!("standard input: {e}")))?
        }
        Some(sddl) => sddl.to_owned(),
        None => match in_editor(&before)? {
            Some(text) => text,
            None => {
                println!("nothing was changed");
                return Ok(());
            }
        },
    };
    write(&mut endpoint, global, edit, &before, &text)?;
    Ok(())
}

fn read(endpoint: &mut Endpoint, object: &str) -> Result<SdText, Failure> {
    match endpoint.call("", Request::SdGet(op::Target { identity: object.to_owned() }))? {
        Response::Sd(text) => Ok(*text),
        _ => Err(unexpected()),
    }
}

fn write(endpoint: &mut Endpoint, global: &Global, edit: &SdEdit, before: &SdText, text: &str) -> Result<(), Failure> {
    let wanted =
        op::SdSet { identity: before.dn.clone(), sddl: text.to_owned(), from: Some(before.descriptor.clone()) };
    let tried = endpoint.call("", Request::Simulate(Request::SdSet(wanted.clone()).into()));
    let tried = match tried {
        Ok(tried) => tried,
        // What was typed shall not be lost with it.
        Err(error) => {
            let failure = Failure::from(error);
            return Err(match edit.sddl {
                Some(_) => failure,
                None => keep(text, failure),
            });
        }
    };
    if global.dry_run {
        return show(&tried, global.format);
    }
    if let Response::Simulated(simulated) = &tried {
        for change in &simulated.changes {
            change.removed.iter().for_each(|line| println!("- {line}"));
            change.added.iter().for_each(|line| println!("+ {line}"));
        }
    }
    let response = call(endpoint, global, Request::SdSet(wanted))?;
    show(&response, global.format)
}

/// Puts what was typed into a file, and says where.
fn keep(text: &str, failure: Failure) -> Failure {
    match scratch("kept", text) {
        Ok(path) => failure.help(format!("what you wrote is in {}", path.display())),
        Err(_) => failure,
    }
}

/// A new file for its owner only.
fn scratch(what: &str, text: &str) -> Result<PathBuf, Failure> {
    let name = format!("procura-sd-{what}-{}.txt", admin::random::new_guid());
    let path = std::env::temp_dir().join(name);
    write_new(&path, text)?;
    Ok(path)
}

/// The text after an editor had it; none where it is as before.
fn in_editor(before: &SdText) -> Result<Option<String>, Failure> {
    let editor =
        ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let editor = match editor {
        Some(editor) => editor,
        None if std::io::stdin().is_terminal() => "vi".to_owned(),
        None => {
            return Err(
                Failure::new("there is no terminal and no EDITOR to edit with").help("give the text with --sddl")
            );
        }
    };
    let path = scratch("edit", &before.lines)?;
    let edited = run(&editor, &path).and_then(|()| fs::read_to_string(&path).map_err(|e| named(&path, e)));
    let _ = fs::remove_file(&path);
    let text = edited?;
    Ok((text != before.lines).then_some(text))
}

/// EDITOR may have arguments, as in `code --wait`.
fn run(editor: &str, file: &Path) -> Result<(), Failure> {
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(file).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("`{editor}` ended with {status}: nothing was written"))),
        Err(error) => Err(Failure::new(format!("`{editor}` cannot be run: {error}")).help("set EDITOR")),
    }
}

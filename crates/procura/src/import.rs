//! `procura import`: an LDIF file, brought to the service piece by piece, with a progress bar.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use admin::operations::{Done, ImportData, ImportRun, ImportSteps, Imported, Request, Response, Undo};
use admin::{AdminError, Endpoint};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::args::{Global, Import};
use crate::cli::fault::Failure;
use crate::cli::output;
use crate::node::Node;

/// Bytes of the file in one request.
const PIECE: usize = 3 << 20;

/// Imports a file.
pub fn import(global: &Global, arguments: &Import) -> miette::Result<()> {
    let map = match &arguments.map {
        Some(file) => attribute_map(file)?,
        None => Vec::new(),
    };
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let upload = bring(&mut endpoint, &arguments.file)?;
    let imported = run(&mut endpoint, global, arguments, upload, map)?;
    let response = Response::Imported(imported);
    output::show(&response, global.format).map_err(|e| Failure::new(format!("standard output: {e}")))?;
    if global.dry_run {
        eprintln!("dry run: nothing was changed");
    }
    Ok(())
}

fn bring(endpoint: &mut Endpoint, path: &Path) -> Result<String, Failure> {
    let named = |e: io::Error| Failure::new(format!("{}: {e}", path.display()));
    let (mut file, size): (Box<dyn Read>, u64) = if path == Path::new("-") {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let file = File::open(path).map_err(named)?;
        let size = file.metadata().map_err(named)?.len();
        (Box::new(file), size)
    };
    let bar = bar(size, "{msg} {bar:30} {bytes}/{total_bytes}");
    bar.set_message("reading");
    let mut upload = None;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        file.by_ref().take(PIECE as u64).read_to_end(&mut piece).map_err(named)?;
        if piece.is_empty() && upload.is_some() {
            break;
        }
        bar.inc(piece.len() as u64);
        let data = ImportData { upload: upload.clone(), data: STANDARD.encode(&piece) };
        if let Response::Upload { upload: name } = endpoint.call("", Request::ImportData(data))? {
            upload = Some(name);
        }
        if piece.is_empty() {
            break;
        }
    }
    bar.finish_and_clear();
    upload.ok_or_else(|| Failure::new("the service took nothing of the file"))
}

fn run(
    endpoint: &mut Endpoint,
    global: &Global,
    arguments: &Import,
    upload: String,
    map: Vec<(String, String)>,
) -> Result<Imported, Failure> {
    let comment =
        if global.comment.is_empty() { format!("import {}", arguments.file.display()) } else { global.comment.clone() };
    let bar = bar(0, "{msg} {bar:30} {pos}/{len} {eta}");
    bar.set_message("importing");
    let mut warnings = Vec::new();
    loop {
        let run = ImportRun { upload: upload.clone(), map: map.clone(), dry_run: global.dry_run };
        let imported = match endpoint.call(&comment, Request::ImportRun(run)) {
            Ok(Response::Imported(imported)) => imported,
            Ok(_) => return Err(Failure::new("the service answered something else")),
            // What is wrong is wrong in the file, so the message begins with it.
            Err(AdminError::Fault(fault)) => {
                let help = fault.help.unwrap_or_else(|| "correct the file, then import it again".into());
                return Err(Failure::new(format!("{}: {}", arguments.file.display(), fault.message)).help(help));
            }
            Err(error) => return Err(error.into()),
        };
        bar.set_length(imported.changes);
        bar.set_position(imported.done);
        warnings.extend(imported.warnings.iter().cloned());
        if imported.finished {
            bar.finish_and_clear();
            warnings.dedup();
            return Ok(Imported { warnings, ..imported });
        }
    }
}

/// Takes all steps of an import back, the newest first.
pub fn undo(endpoint: &mut Endpoint, global: &Global, import: &str) -> Result<(), Failure> {
    let asked = ImportSteps { import: import.to_owned(), try_out: global.dry_run };
    let Response::ImportSteps { versions, simulated } = endpoint.call("", Request::ImportSteps(asked))? else {
        return Err(Failure::new("the service answered something else"));
    };
    if let Some(simulated) = simulated {
        let shown = output::show(&Response::Simulated(simulated), global.format);
        shown.map_err(|e| Failure::new(format!("standard output: {e}")))?;
        eprintln!("dry run: nothing was changed");
        return Ok(());
    }
    let range = match (versions.last(), versions.first()) {
        (Some(first), Some(last)) => format!("versions {first} to {last}"),
        _ => "nothing is left of it".to_owned(),
    };
    let bar = bar(versions.len() as u64, "{msg} {bar:30} {pos}/{len} {eta}");
    bar.set_message("undoing");
    for version in &versions {
        let why = if global.comment.is_empty() { String::new() } else { format!("{}: ", global.comment) };
        let comment = format!("{why}version {version} undone (import {import})");
        endpoint.call(&comment, Request::Undo(Undo { version: *version }))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let summary = format!("import {import}: {} steps undone, {range}", versions.len());
    let response = Response::Done(Done { summary, ..Done::default() });
    output::show(&response, global.format).map_err(|e| Failure::new(format!("standard output: {e}")))
}

/// A progress bar on standard error; hidden where that is no terminal.
fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Reads an attribute map: `ours = "theirs"` or `ours = "{theirs}@example.com"`.
fn attribute_map(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Failure::new(format!("{}:{line}: {}", path.display(), error.message()))
            .help("write lines as in: proxyAddresses = \"mail\", or mail = \"{sAMAccountName}@example.com\"")
    })?;
    table
        .into_iter()
        .map(|(ours, theirs)| match theirs {
            toml::Value::String(theirs) => Ok((ours, theirs)),
            _ => Err(Failure::new(format!("{}: {ours} is no text", path.display()))
                .help("write it as in: proxyAddresses = \"mail\"")),
        })
        .collect()
}

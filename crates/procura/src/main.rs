//! `procura`: a mail transport that decides who may send as whom.

mod active_directory;
mod bench;
mod cli;
mod config;
mod demo;
mod doctor;
mod http;
mod import;
mod init;
mod local;
mod logging;
mod memory;
mod node;
mod notify;
mod passwords;
mod reload;
mod sandbox;
mod sd;
mod serve;
mod tls;
mod tokens;
mod watch;

use std::process::ExitCode;

use acl::SecurityDescriptor;
use admin::Response;
use admin::operations::{PermissionGet, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::FromArgMatches;
use rights::VerdictKind;

use cli::args::{BenchCommand, Cli, Command, ConfigCommand, Format, Global};
use cli::fault::Failure;
use config::Loaded;
use node::Node;
use sd::SdCommand;

#[global_allocator]
static ALLOCATOR: memory::Allocator = memory::Allocator;

/// Exit code of an error; `cli::examples::EXIT_CODES` has all.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    cli::fault::show_plainly();
    cli::fault::end_with_the_reader();
    let mut words = std::env::args();
    if words.next().is_some_and(|name| name.rsplit('/').next() == Some("sendmail")) {
        return cli::sendmail::run(&words.collect::<Vec<_>>());
    }
    let cli = match Cli::from_arg_matches(&cli::command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match run(cli) {
        Ok(code) => code,
        Err(report) if cli::fault::is_end_of_the_reader(&report.to_string()) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::from(FAILED)
        }
    }
}

fn run(cli: Cli) -> miette::Result<ExitCode> {
    let Cli { global, command } = cli;
    if global.dry_run && matches!(command, Command::Serve(_) | Command::Init(_) | Command::Bench(_)) {
        return Err(Failure::new("this command cannot be tried out").help("leave --dry-run away").into());
    }
    match command {
        Command::Serve(arguments) => serve::serve(&global, &arguments)?,
        Command::Init(arguments) => init::init(&global, &arguments)?,
        Command::Config(ConfigCommand::Describe) => match global.format {
            Format::Table => print!("{}", config::keys::reference()),
            _ => print_json(&config::keys::sections())?,
        },
        Command::Config(ConfigCommand::Template) => print!("{}", config::keys::commented(&[])),
        Command::Config(ConfigCommand::Check { file }) => {
            let loaded = Loaded::read(&file)?;
            let node = Node { data: loaded.data(), loaded };
            node.check_users()?;
            check_certificates(&node)?;
            println!("{}: no fault found", file.display());
        }
        Command::Import(arguments) => import::import(&global, &arguments)?,
        Command::Bench(BenchCommand::Smtp(arguments)) => bench::smtp(&global, &arguments)?,
        Command::Bench(BenchCommand::Sink(arguments)) => bench::sink(&arguments)?,
        Command::Sd(SdCommand::Edit(edit)) => cli::connectors::edit(&global, &edit)?,
        Command::Sd(command) => {
            let json = global.format == Format::Json;
            return sd::run(command, json, &mut |name| descriptor(&global, name));
        }
        Command::Completion(arguments) => cli::shell::completion(&arguments)?,
        Command::Man(arguments) => cli::shell::man(&global, &arguments)?,
        Command::Directory(command) => return cli::directory::run(&global, &command),
        Command::Recipient(command) => return cli::recipients::run(&global, command),
        Command::Queue(command) => return cli::queue::run(&global, &command),
        Command::Sendmail(arguments) => return Ok(cli::sendmail::run(&arguments.arguments)),
        Command::Doctor(arguments) => return doctor::run(&global, &arguments),
        Command::Trace(arguments) => return cli::trace::run(&global, &arguments),
        Command::Tool(tool) => return cli::run::run(&global, tool),
        Command::Lifecycle(command) => return Ok(cli::lifecycle::run(&global, command)?),
        Command::Connectors(command) => return cli::connectors::run(&global, command),
        command => return ask(&global, command),
    }
    Ok(ExitCode::SUCCESS)
}

/// Warns of what is not well with the certificates of a configuration.
fn check_certificates(node: &Node) -> Result<(), Failure> {
    let (faults, warnings): (Vec<_>, Vec<_>) =
        doctor::certificates(node).into_iter().partition(|finding| finding.level == doctor::Level::Fault);
    for warning in warnings {
        let text = format!("warning: {}; mend it: {}", warning.text, warning.mend);
        eprintln!("{}", cli::output::plain(&text));
    }
    let all = |of: fn(&doctor::Finding) -> &str| faults.iter().map(of).collect::<Vec<_>>().join("; ");
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(all(|fault| &fault.text)).help(all(|fault| &fault.mend))),
    }
}

/// A command that is one request to the service.
fn ask(global: &Global, command: Command) -> miette::Result<ExitCode> {
    let mut request = cli::requests::request(command)?;
    if global.dry_run && !cli::requests::only_looks(&request) {
        request = Request::Simulate(request.into());
    }
    let is_check = matches!(request, Request::Check(_));
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let response = cli::pages::all(&mut endpoint, &global.comment, request).map_err(Failure::from)?;
    let refused = match &response {
        Response::Decision(record) if is_check => record.verdict == VerdictKind::Refused,
        _ => false,
    };
    cli::output::show(&response, global.format).map_err(|e| Failure::new(format!("standard output: {e}")))?;
    Ok(ExitCode::from(u8::from(refused)))
}

/// The effective descriptor of an object of the directory.
fn descriptor(global: &Global, name: &str) -> miette::Result<sd::DirectoryDescriptor> {
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let get = PermissionGet { identity: name.to_owned(), trustee: None };
    let response = endpoint.call("", Request::PermissionGet(get)).map_err(Failure::from)?;
    let Response::Permissions(permissions) = response else {
        return Err(Failure::new("the service answered something else").into());
    };
    let bytes = STANDARD.decode(&permissions.descriptor).map_err(|e| Failure::new(e.to_string()))?;
    let sd = SecurityDescriptor::parse(&bytes).map_err(|e| Failure::new(e.to_string()))?;
    let origins = permissions.rows.iter().map(|row| row.inherited_from.clone()).collect();
    let names = permissions.rows.iter().filter_map(|row| Some((row.sid.parse().ok()?, row.trustee.clone()))).collect();
    Ok(sd::DirectoryDescriptor { sd, origins, names })
}

/// Writes a document as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::new(e.to_string()))?;
    println!("{text}");
    Ok(())
}

//! `procura directory`: the domains of Active Directory that people and permissions come from.

use std::process::ExitCode;

use admin::operations::{Request, Response};
use clap::Subcommand;
use ldap::Finding;
use ldap::state::{DomainStatus, Status};

use super::args::{Format, Global};
use super::fault::Failure;
use super::output::{iso, table};
use crate::active_directory;
use crate::node::Node;

#[derive(Debug, Subcommand)]
pub enum DirectoryCommand {
    /// Connect to every domain controller: what was found, what is missing, and what to do about it
    Test,
    /// How domains are followed: domain controllers, how far, how old
    Status,
}

/// Runs a command. `test` answers no when something is bad, `status` when nothing may be decided.
pub fn run(global: &Global, command: &DirectoryCommand) -> miette::Result<ExitCode> {
    let good = match command {
        DirectoryCommand::Test => test(global)?,
        DirectoryCommand::Status => status(global)?,
    };
    Ok(ExitCode::from(u8::from(!good)))
}

fn test(global: &Global) -> miette::Result<bool> {
    let node = Node::locate(global)?;
    let settings = active_directory::settings(&node)?.ok_or_else(|| {
        Failure::new("people come from this node's own directory: there is nothing to connect to")
            .help("set `source = \"ldap\"` under [directory] in procura.toml")
    })?;
    let findings = ldap::test(&settings);
    match global.format {
        Format::Table => print!("{}", found(&findings)),
        _ => crate::print_json(&findings)?,
    }
    Ok(findings.iter().all(|finding| finding.state != "bad"))
}

fn found(findings: &[Finding]) -> String {
    let (mut text, mut server) = (String::new(), "");
    for finding in findings {
        if server != finding.server {
            server = &finding.server;
            text += &format!("{server}\n");
        }
        text += &format!("  {:4}  {}\n", finding.state, finding.text);
        if !finding.advice.is_empty() {
            text += &format!("        → {}\n", finding.advice);
        }
    }
    text
}

fn status(global: &Global) -> miette::Result<bool> {
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let answer = endpoint.call("", Request::Status).map_err(Failure::from)?;
    let Response::Status(answer) = answer else {
        return Err(Failure::new("the service answered something else").into());
    };
    let status = answer.directory.ok_or_else(|| {
        Failure::new("people come from this node's own directory: nothing is followed")
            .help("set `source = \"ldap\"` under [directory] in procura.toml, and start the server")
    })?;
    match global.format {
        Format::Table => print!("{}", text(&status)),
        _ => crate::print_json(&status)?,
    }
    Ok(status.available)
}

/// How domains are followed, in words.
pub fn text(status: &Status) -> String {
    let mut text = match status.available {
        true => "decisions are made on it\n".to_owned(),
        false => "no decisions are made on it: mail is answered 451\n".to_owned(),
    };
    for domain in &status.domains {
        text += &self::domain(domain);
    }
    if !status.servers.is_empty() {
        text += &table(
            &["domain controller", "domain", "state"],
            status.servers.iter().map(|server| {
                let state = server
                    .error
                    .clone()
                    .unwrap_or_else(|| if server.good { "answers" } else { "not asked yet" }.to_owned());
                vec![server.address.clone(), server.domain.clone().unwrap_or_default(), state]
            }),
        );
    }
    text
}

fn domain(domain: &DomainStatus) -> String {
    let mut text = format!("{} ({}): {}", domain.dn, domain.netbios, domain.state);
    if domain.heard > 0 {
        text += &match domain.age_seconds {
            // Nobody knows.
            age if age >= u64::from(u32::MAX) => {
                ", up to date at a time that has yet to come: the clock was set back".to_owned()
            }
            age => format!(", up to date {} ({age} s ago)", iso(domain.heard)),
        };
    }
    text += "\n";
    if let Some(server) = &domain.server {
        text += &format!("  followed on {server} by {}, change {}", domain.method, domain.usn);
        text += &format!(", cookie of {} octets", domain.cookie_octets);
        text += if domain.notified { ", told of changes" } else { ", looked for now and then" };
        if !domain.deletions.is_empty() {
            text += &format!(", deletions are {}", domain.deletions);
        }
        text += &format!("; the last change took {} ms\n", domain.last_took_ms);
    }
    if domain.partial {
        text += "  read from a global catalog: who is in its global and domain-local groups, and when its accounts end, is\n  \
                 unknown; what rests on that is answered 451\n";
    }
    if domain.checked > 0 {
        text += &format!("  {} objects, all of them compared {}", domain.objects, iso(domain.checked));
        text += &format!("; {} with unreadable permissions", domain.unreadable);
        text += &format!(", {} whose stored permissions are not what inheritance gives\n", domain.differing);
    }
    for difference in &domain.differences {
        text += &format!("    differs: {difference}\n");
    }
    for problem in &domain.problems {
        text += &format!("    problem: {problem}\n");
    }
    text
}

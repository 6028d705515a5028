//! What the documentation promises: links that lead somewhere, and commands that exist.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use e2e::run_procura;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn pages() -> Vec<PathBuf> {
    let root = root();
    let mut pages = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    let mut folders = vec![root.join("docs/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The targets of `[text](target)` outside code blocks.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let mut rest = line;
        while let Some(begin) = rest.find("](").filter(|_| !in_code) {
            rest = &rest[begin + 2..];
            found.extend(rest.split(')').next());
        }
    }
    found
}

/// The commands of console blocks: lines that begin with `$ `, continued by `\`.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_console = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            in_console = line == "```console";
        }
        if let Some(command) = line.strip_prefix("$ ").filter(|_| in_console) {
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                command.pop();
                command.push_str(lines.next().unwrap_or_default().trim());
            }
            found.push(command);
        }
    }
    found
}

#[test]
fn every_link_within_the_repository_leads_to_a_file() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            let file = link.split('#').next().unwrap();
            if file.is_empty() || link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            if !page.parent().unwrap().join(file).exists() {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let book = root().join("docs/src");
    let summary = fs::read_to_string(book.join("SUMMARY.md")).unwrap();
    let listed = links(&summary);
    let missing: Vec<PathBuf> = pages()
        .into_iter()
        .filter(|page| page.starts_with(&book) && !page.ends_with("SUMMARY.md"))
        .filter(|page| !listed.contains(&page.strip_prefix(&book).unwrap().to_str().unwrap()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_procura_command_of_the_documentation_exists() {
    let mut unknown = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            let Some(arguments) = command.strip_prefix("procura ") else { continue };
            seen += 1;
            // Words up to the first that is not a bare lower-case word name the command; --help accepts exactly these.
            let words: Vec<&str> = arguments
                .split_whitespace()
                .take_while(|word| {
                    word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !word.starts_with('-')
                })
                .collect();
            let options: Vec<&str> = arguments.split_whitespace().filter(|word| word.starts_with("--")).collect();
            let help = run_procura(words.iter().copied().chain(["--help"]), "");
            if help.code != 0 {
                unknown.push(format!("{}: {command}\n{}", page.display(), help.err));
            }
            for option in options {
                let name = option.split('=').next().unwrap();
                if !help.out.contains(name) {
                    unknown.push(format!("{}: {command}: no option {name}", page.display()));
                }
            }
        }
    }
    assert!(seen > 0 && unknown.is_empty(), "{}", unknown.join("\n"));
}

//! Lists in Maildirs: which file is that of which folder (Maildir++, names in modified UTF-7), and what changes there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use admin::Endpoint;
use admin::operations::{FolderAclRow, FolderExport};
use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use serde::Serialize;

use super::lists;
use crate::cli::args::{Format, Global};
use crate::cli::fault::Failure;
use crate::cli::rows::Rows;
use crate::cli::run::{broken, named};

/// Dovecot's list of a folder.
const ACL: &str = "dovecot-acl";
/// Dovecot's list of folders that somebody may see; it is made anew where it is missing.
const CACHE: &str = "dovecot-acl-list";
/// Folders that are asked about at a time.
const AT_ONCE: usize = 200;

/// The file of a folder's list, in the Maildir of its mailbox. None: there can be no such folder.
pub fn file(folder: &str) -> Option<String> {
    let names: Vec<&str> = folder.split('\\').filter(|name| !name.is_empty()).collect();
    match names[..] {
        [] => None,
        [inbox] if inbox.eq_ignore_ascii_case("inbox") => Some(ACL.to_owned()),
        _ if names.iter().any(|name| name.contains(['.', '/']) || name.starts_with('~')) => None,
        _ => Some(format!(".{}/{ACL}", names.iter().map(|name| encoded(name)).collect::<Vec<_>>().join("."))),
    }
}

/// The folder whose directory in a Maildir is called so.
fn folder(directory: &str) -> Option<String> {
    let names: Option<Vec<String>> = directory.strip_prefix('.')?.split('.').map(decoded).collect();
    let names = names.filter(|names| names.iter().all(|name| !name.is_empty() && !name.contains('\\')))?;
    Some(names.iter().map(|name| format!("\\{name}")).collect())
}

/// Modified UTF-7 (RFC 3501 5.1.3).
const UTF7: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

fn encoded(name: &str) -> String {
    let mut text = String::new();
    let mut wide: Vec<u8> = Vec::new();
    let end = |text: &mut String, wide: &mut Vec<u8>| {
        if !wide.is_empty() {
            *text += &format!("&{}-", UTF7.encode(&*wide));
            wide.clear();
        }
    };
    for letter in name.chars() {
        if (' '..='~').contains(&letter) {
            end(&mut text, &mut wide);
            text.push(letter);
            if letter == '&' {
                text.push('-');
            }
        } else {
            let mut units = [0; 2];
            wide.extend(letter.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    end(&mut text, &mut wide);
    text
}

fn decoded(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('&') {
        name += plain;
        let (wide, after) = after.split_once('-')?;
        match wide {
            "" => name.push('&'),
            wide => {
                let octets = UTF7.decode(wide).ok()?;
                let (pairs, []) = octets.as_chunks::<2>() else { return None };
                let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
                name += &String::from_utf16(&units).ok()?;
            }
        }
        rest = after;
    }
    name += rest;
    Some(name)
}

/// What became of a file.
#[derive(Serialize)]
struct Written {
    file: String,
    /// `new`, `changed`, `same`, `left-out`.
    what: &'static str,
    removed: Vec<String>,
    added: Vec<String>,
    notes: Vec<String>,
}

const COLUMNS: [&str; 5] = ["file", "what", "removed", "added", "notes"];

/// Writes lists into Maildirs: those of `rows`, and, where no mailbox is named, of Maildirs that have lists from before.
pub fn write(
    endpoint: &mut Endpoint,
    global: &Global,
    wanted: &FolderExport,
    into: &Path,
    rows: &[FolderAclRow],
) -> Result<ExitCode, Failure> {
    let mut mailboxes: BTreeMap<String, Vec<&FolderAclRow>> = BTreeMap::new();
    for row in rows {
        mailboxes.entry(row.guid.clone()).or_default().push(row);
    }
    if wanted.identity.is_none() {
        for guid in with_lists(into).map_err(|e| named(into, e))? {
            mailboxes.entry(guid).or_default();
        }
    }
    let mut written = Vec::new();
    for (guid, rows) in mailboxes {
        let maildir = into.join(&guid);
        let left_out = |why: &str| Written {
            file: maildir.display().to_string(),
            what: "left-out",
            removed: Vec::new(),
            added: Vec::new(),
            notes: vec![why.to_owned()],
        };
        if !is_folder(&maildir) {
            written.push(left_out("there is no Maildir yet: nothing was delivered into it"));
            continue;
        }
        let there = folders(&maildir).map_err(|e| named(&maildir, e))?;
        let missing = rows.iter().filter(|row| !there.iter().any(|(path, _)| row.folder.eq_ignore_ascii_case(path)));
        for row in missing.filter(|row| row.folder != "\\") {
            written.push(left_out(&format!("there is no folder {} in it", row.folder)));
        }
        let mut changed = false;
        for some in there.chunks(AT_ONCE) {
            let asked = FolderExport {
                identity: Some(guid.clone()),
                folders: some.iter().map(|(path, _)| path.clone()).collect(),
                ..wanted.clone()
            };
            for (row, (_, directory)) in lists(endpoint, asked)?.iter().zip(some) {
                let file = directory.join(ACL);
                let one = put(&file, row, global.dry_run).map_err(|e| named(&file, e))?;
                changed |= one.what != "same";
                written.push(one);
            }
        }
        if changed && !global.dry_run {
            match fs::remove_file(maildir.join(CACHE)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(&maildir, error)),
                _ => {}
            }
        }
    }
    show(global, &written)?;
    Ok(ExitCode::SUCCESS)
}

/// Maildirs, named by GUIDs, that have a list.
fn with_lists(into: &Path) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(into)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if name.parse::<acl::Guid>().is_ok()
            && entry.file_type()?.is_dir()
            && folders(&entry.path())?.iter().any(|(_, directory)| directory.join(ACL).exists())
        {
            found.insert(name);
        }
    }
    Ok(found)
}

/// The folders of a Maildir with their directories; the Maildir itself is the inbox.
fn folders(maildir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = vec![("\\Inbox".to_owned(), maildir.to_owned())];
    for entry in fs::read_dir(maildir)? {
        let entry = entry?;
        let path = entry.file_name().to_str().and_then(folder);
        if let Some(path) = path.filter(|_| is_folder(&entry.path()) && is_folder(&entry.path().join("cur"))) {
            found.push((path, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Who may write into a Maildir does not lead elsewhere by a link.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Writes a list where it differs from what is there, for the user who owns the folder.
fn put(file: &Path, row: &FolderAclRow, dry_run: bool) -> io::Result<Written> {
    let before = match fs::symlink_metadata(file) {
        Ok(found) if found.is_file() => Some(fs::read_to_string(file)?),
        Ok(_) => return Err(io::Error::other("it is no file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let after = row.lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let what = match &before {
        None => "new",
        Some(before) if *before == after => "same",
        Some(_) => "changed",
    };
    let before = before.unwrap_or_default();
    let without = |one: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        one.lines().filter(|line| !other.contains(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    if what != "same" && !dry_run {
        let beside = file.with_extension("new");
        let directory = file.parent().unwrap_or(file);
        let owner = fs::metadata(directory)?;
        let _ = fs::remove_file(&beside);
        let mut new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        new.write_all(after.as_bytes())?;
        let own = new.metadata()?;
        if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
            chown(&beside, Some(owner.uid()), Some(owner.gid()))?;
        }
        new.sync_all()?;
        fs::rename(&beside, file)?;
    }
    Ok(Written {
        file: file.display().to_string(),
        what,
        removed: without(&before, &after),
        added: without(&after, &before),
        notes: row.notes.clone(),
    })
}

fn show(global: &Global, written: &[Written]) -> Result<(), Failure> {
    if global.format != Format::Table {
        let mut out = Rows::new(io::BufWriter::new(io::stdout().lock()), global.format, &COLUMNS);
        written.iter().try_for_each(|row| out.row(row)).map_err(broken)?;
        return out.finish().map_err(broken);
    }
    let would = if global.dry_run { "would be " } else { "" };
    for Written { file, what, removed, added, notes } in written {
        match *what {
            "left-out" => {}
            "same" => println!("{file}: as it is"),
            "new" => println!("{file}: {would}written"),
            _ => println!("{file}: {would}changed"),
        }
        removed.iter().for_each(|line| println!("  - {line}"));
        added.iter().for_each(|line| println!("  + {line}"));
        notes.iter().for_each(|note| println!("{}: {note}", if *what == "left-out" { file } else { "  note" }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inbox_is_the_maildir_and_other_folders_are_in_it() {
        assert_eq!(file("\\Inbox").unwrap(), "dovecot-acl");
        assert_eq!(file("\\Calendar").unwrap(), ".Calendar/dovecot-acl");
        assert_eq!(file("\\Inbox\\Orders").unwrap(), ".Inbox.Orders/dovecot-acl");
        assert_eq!(file("\\"), None);
        assert_eq!(file("\\a.b"), None);
    }

    /// RFC 3501 5.1.3 has these two.
    #[test]
    fn names_are_in_modified_utf_7() {
        assert_eq!(encoded("~peter"), "~peter");
        assert_eq!(encoded("台北"), "&U,BTFw-");
        assert_eq!(decoded("&ZeVnLIqe-").unwrap(), "日本語");
        assert_eq!(encoded("R&D"), "R&-D");
        assert_eq!(decoded("Entw&APw-rfe").unwrap(), "Entwürfe");
    }

    #[test]
    fn what_is_no_modified_utf_7_is_no_folder() {
        assert_eq!(folder(".&U,BTFw"), None);
        assert_eq!(folder(".&!-"), None);
        assert_eq!(folder("..a"), None);
        assert_eq!(folder("cur"), None);
        assert_eq!(folder(".Sent.2026").unwrap(), "\\Sent\\2026");
    }

    proptest::proptest! {
        #[test]
        fn a_name_comes_back_from_its_directory(name in "[^\\\\./~\\x00-\\x1f\\x7f ][^\\\\./\\x00-\\x1f\\x7f ]{0,12}") {
            let path = format!("\\Top\\{name}");
            let file = file(&path).unwrap();
            assert_eq!(folder(file.strip_suffix("/dovecot-acl").unwrap()).unwrap(), path);
        }

        #[test]
        fn any_directory_name_is_read_without_harm(name in "\\PC*") {
            let _ = folder(&name);
        }
    }
}

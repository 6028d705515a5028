//! `procura folder-permission`: who may do what in the folders of a mailbox, and the lists by which an IMAP server
//! enforces it.

mod maildir;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use admin::Endpoint;
use admin::operations::{
    FolderAclRow, FolderChange, FolderCheck, FolderChecked, FolderEntryRow, FolderExport, FolderGet, FolderRemove,
    FolderRequest, FolderResponse, Request, Response,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::{Format, Global};
use super::fault::Failure;
use super::output::table;
use super::rows::Rows;
use super::run::{broken, call, show, unexpected};

#[derive(Debug, Subcommand)]
pub enum FolderPermission {
    /// The entries of a folder, and from where it has them; of a mailbox: those of all folders that have their own
    #[command(
        after_help = "Examples:\n  procura folder-permission get 'alice@example.com:\\Calendar'\n  procura folder-permission get alice"
    )]
    Get {
        /// The folder, as in alice@example.com:\Calendar; or the mailbox: any name of its owner
        folder: String,
    },
    /// Give an account or a group rights on a folder
    #[command(
        after_help = "Examples:\n  procura folder-permission add 'alice@example.com:\\Calendar' --user bob --rights Editor\n  procura folder-permission add 'alice:\\Inbox\\Orders' --user Sales --rights ReadAny,Create,Visible --dry-run"
    )]
    Add(Entry),
    /// Give it these rights in place of what it has
    #[command(
        after_help = "Examples:\n  procura folder-permission set 'alice@example.com:\\Calendar' --user bob --rights Reviewer\n  procura folder-permission set 'alice:\\Calendar' --user Default --rights AvailabilityOnly"
    )]
    Set(Entry),
    /// Take an entry away; or all, so that the folder takes those of the one above it
    #[command(
        after_help = "Examples:\n  procura folder-permission remove 'alice@example.com:\\Calendar' --user bob\n  procura folder-permission remove 'alice:\\Calendar' --all"
    )]
    Remove {
        /// The folder, as in alice@example.com:\Calendar
        folder: String,
        /// Whose: an account or a group, Default or Anonymous
        #[arg(long = "user", visible_alias = "trustee", value_name = "NAME", required_unless_present = "all")]
        user: Option<String>,
        /// All entries that the folder has of its own
        #[arg(long, conflicts_with = "user")]
        all: bool,
    },
    /// What may an account do in a folder, through which entry, and why not
    #[command(
        after_help = "Exit code: 0 it may (anything, or all of --rights), 1 it may not, 2 could not be asked.\n\nExamples:\n  procura folder-permission check 'alice@example.com:\\Calendar' --as bob\n  procura folder-permission check 'alice:\\Calendar' --as bob --rights Editor"
    )]
    Check {
        /// The folder, as in alice@example.com:\Calendar
        folder: String,
        /// The account, or anonymous
        #[arg(long = "as", value_name = "WHO")]
        who: String,
        /// Only these: a role, or rights with commas between them
        #[arg(long, visible_alias = "right", value_name = "RIGHTS")]
        rights: Vec<String>,
    },
    /// Write the lists for the IMAP server that opens the folders and enforces them
    #[command(
        after_help = "Letters: Visible l, ReadAny r, EditAny ws, DeleteAny te, Create ip, CreateSubfolder k, FolderOwner x; no a: rights \
are changed here. EditOwned, DeleteOwned, free/busy and Contact cannot be said; notes name who has them.\n\nExamples:\n  \
procura folder-permission export --dovecot\n  procura folder-permission export --dovecot --into /var/lib/procura/mail --dry-run\n  \
procura folder-permission export --dovecot alice@example.com --expand"
    )]
    Export(Export),
}

#[derive(Debug, Args)]
pub struct Entry {
    /// The folder, as in alice@example.com:\Calendar; alice@example.com:\ is the mailbox as a whole
    pub folder: String,
    /// Who: an account or a security group, Default (everybody else who logged on) or Anonymous
    #[arg(long = "user", visible_alias = "trustee", value_name = "NAME")]
    pub user: String,
    /// A role (None, AvailabilityOnly, LimitedDetails, Contributor, Reviewer, NonEditingAuthor, Author, PublishingAuthor,
    /// Editor, PublishingEditor, Owner), or rights with commas between them (ReadAny, Create, EditOwned, DeleteOwned,
    /// EditAny, DeleteAny, CreateSubfolder, FolderOwner, Contact, Visible, FreeBusySimple, FreeBusyDetailed)
    #[arg(long, visible_aliases = ["right", "access-rights"], value_name = "RIGHTS", required = true)]
    pub rights: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Only this mailbox: any name of its owner [default: all that have folders with entries]
    pub mailbox: Option<String>,
    /// As Dovecot's ACL plugin reads them: files dovecot-acl, backend vfile
    #[arg(long, required = true)]
    pub dovecot: bool,
    /// The people in a group by name, for a Dovecot that is not told of groups (acl_groups)
    #[arg(long)]
    pub expand: bool,
    /// Users are known to Dovecot by their logon names, not by their mail addresses
    #[arg(long)]
    pub logon_names: bool,
    /// Write the files into the Maildirs in this folder, each named by the GUID of its mailbox; says what changes
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}

/// Runs a command.
pub fn run(endpoint: &mut Endpoint, global: &Global, command: FolderPermission) -> Result<ExitCode, Failure> {
    let entry = |entry: Entry| FolderChange { identity: entry.folder, user: entry.user, rights: entry.rights };
    let request = match command {
        FolderPermission::Add(new) => FolderRequest::Add(entry(new)),
        FolderPermission::Set(new) => FolderRequest::Set(entry(new)),
        FolderPermission::Remove { folder, user, .. } => FolderRequest::Remove(FolderRemove { identity: folder, user }),
        FolderPermission::Get { folder } => {
            let asked = Request::FolderPermission(FolderRequest::Get(FolderGet { identity: folder }));
            show(&endpoint.call("", asked)?, global.format)?;
            return Ok(ExitCode::SUCCESS);
        }
        FolderPermission::Check { folder, who, rights } => {
            let asked = FolderRequest::Check(FolderCheck { identity: folder, who, rights });
            let response = endpoint.call("", Request::FolderPermission(asked))?;
            show(&response, global.format)?;
            let allowed = matches!(&response, Response::FolderPermission(FolderResponse::Checked(c)) if c.allowed);
            return Ok(ExitCode::from(u8::from(!allowed)));
        }
        FolderPermission::Export(export) => return self::export(endpoint, global, &export),
    };
    show(&call(endpoint, global, Request::FolderPermission(request))?, global.format)?;
    Ok(ExitCode::SUCCESS)
}

/// An answer in words.
pub fn text(response: &FolderResponse) -> String {
    match response {
        FolderResponse::Entries(page) => table(
            &["mailbox", "folder", "who", "kind", "rights", "from"],
            page.rows.iter().map(|row: &FolderEntryRow| {
                let from = row.from.clone().unwrap_or_default();
                let rights = row.rights.clone();
                vec![row.mailbox.clone(), row.folder.clone(), row.user.clone(), row.kind.clone(), rights, from]
            }),
        ),
        FolderResponse::Checked(checked) => self::checked(checked),
        FolderResponse::Exported(page) => page.rows.iter().map(acl).collect(),
    }
}

fn checked(checked: &FolderChecked) -> String {
    let FolderChecked { who, mailbox, folder, rights, .. } = checked;
    let via = match (checked.via.as_str(), &checked.from) {
        ("owner", _) => "the owner of the mailbox".to_owned(),
        ("unknown", _) => "Active Directory has not answered for too long: not known".to_owned(),
        ("full-access", _) => "by Full Mailbox Access".to_owned(),
        (_, Some(from)) if from == folder => "by the entries of the folder".to_owned(),
        (_, Some(from)) => format!("by the entries of {from}, the nearest folder above it that has some"),
        _ => "neither the folder nor one above it has entries".to_owned(),
    };
    let mut text = format!("{who} on {mailbox}:{folder}: {rights} ({via})\n\n");
    text += &table(
        &["right", "allowed", "why"],
        checked.rows.iter().map(|row| {
            let allowed = if row.allowed { "yes" } else { "no" };
            vec![row.right.clone(), allowed.to_owned(), row.why.clone()]
        }),
    );
    for note in &checked.notes {
        text += &format!("note: {note}\n");
    }
    text
}

/// One list, its lines as they belong into the file.
fn acl(row: &FolderAclRow) -> String {
    let file = maildir::file(&row.folder);
    let place = match &file {
        Some(file) => format!("{}/{file}", row.guid),
        None => "no folder of a Maildir: it counts for folders that have no entries".to_owned(),
    };
    let mut text = format!("# {}:{} {place}\n", row.mailbox, row.folder);
    for note in &row.notes {
        text += &format!("# note: {note}\n");
    }
    for line in &row.lines {
        text += &format!("{line}\n");
    }
    text + "\n"
}

/// A list, for programs.
#[derive(Serialize)]
struct Exported<'a> {
    #[serde(flatten)]
    row: &'a FolderAclRow,
    /// Below the folder of Maildirs.
    file: Option<String>,
}

const COLUMNS: [&str; 7] = ["mailbox", "guid", "folder", "from", "file", "lines", "notes"];

fn export(endpoint: &mut Endpoint, global: &Global, export: &Export) -> Result<ExitCode, Failure> {
    let wanted = FolderExport {
        identity: export.mailbox.clone(),
        expand: export.expand,
        logon_names: export.logon_names,
        ..FolderExport::default()
    };
    let rows = lists(endpoint, wanted.clone())?;
    if let Some(into) = &export.into {
        return maildir::write(endpoint, global, &wanted, into, &rows);
    }
    if global.format == Format::Table {
        rows.iter().for_each(|row| print!("{}", acl(row)));
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = Rows::new(io::BufWriter::new(io::stdout().lock()), global.format, &COLUMNS);
    for row in &rows {
        let file = maildir::file(&row.folder).map(|file| format!("{}/{file}", row.guid));
        out.row(&Exported { row, file }).map_err(broken)?;
    }
    out.finish().map_err(broken)?;
    Ok(ExitCode::SUCCESS)
}

/// All lists, of as many pages as there are.
fn lists(endpoint: &mut Endpoint, mut wanted: FolderExport) -> Result<Vec<FolderAclRow>, Failure> {
    let mut rows = Vec::new();
    loop {
        let asked = Request::FolderPermission(FolderRequest::Export(wanted.clone()));
        let Response::FolderPermission(FolderResponse::Exported(page)) = endpoint.call("", asked)? else {
            return Err(unexpected());
        };
        rows.extend(page.rows);
        wanted.from = page.next;
        if wanted.from.is_none() {
            return Ok(rows);
        }
    }
}

//! How results are shown: tables for people, one JSON document for programs.

use std::borrow::Cow;
use std::io::{self, Write};

use admin::operations::{AppPasswordMade, Done, PermissionRow, Response, Status};
use rights::{DecisionRecord, VerdictKind};

use super::args::Format;

/// Shows a response. Lists of several pages are one response by now.
pub fn show(response: &Response, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, response)?;
            writeln!(out)
        }
        Format::Csv | Format::Jsonl => {
            let out = io::BufWriter::new(super::report::stdout(format)?);
            super::rows::response(out, format, response)
        }
        Format::Table => out.write_all(plain(&text(response)).as_bytes()),
    }
}

/// A response in words.
pub(super) fn text(response: &Response) -> String {
    if let Some(text) = super::shown::text(response).or_else(|| super::queue::text(response)) {
        return text;
    }
    match response {
        Response::Done(done) => self::done(done),
        Response::Status(status) => self::status(status),
        Response::AppPassword(made) => app_password(made),
        Response::AppPasswords(page) => table(
            &["name", "made", "last used"],
            page.rows.iter().map(|row| {
                vec![row.name.clone(), iso(row.created), row.last_used.map_or_else(|| "never".to_owned(), iso)]
            }),
        ),
        Response::Users(page) => table(
            &["account", "name", "addresses", "enabled", "mailbox", "distinguished name"],
            page.rows.iter().map(|row| {
                vec![
                    row.name.clone(),
                    row.display_name.clone(),
                    row.addresses.join(" "),
                    yes(row.enabled),
                    yes(row.mailbox),
                    row.dn.clone(),
                ]
            }),
        ),
        Response::Groups(page) => table(
            &["group", "scope", "security", "addresses", "distinguished name"],
            page.rows.iter().map(|row| {
                vec![row.name.clone(), row.scope.clone(), yes(row.security), row.addresses.join(" "), row.dn.clone()]
            }),
        ),
        Response::Mailboxes(page) => table(
            &["owner", "addresses", "database", "enabled", "distinguished name"],
            page.rows.iter().map(|row| {
                let database = row.database.clone().unwrap_or_default();
                vec![row.owner.clone(), row.addresses.join(" "), database, yes(row.enabled), row.dn.clone()]
            }),
        ),
        Response::Delegates(page) => table(
            &["name", "class", "ends", "distinguished name"],
            page.rows.iter().map(|row| {
                vec![row.name.clone(), row.class.clone(), row.until.clone().unwrap_or_default(), row.dn.clone()]
            }),
        ),
        Response::Members(page) => table(
            &["name", "class", "through", "distinguished name"],
            page.rows.iter().map(|row| vec![row.name.clone(), row.class.clone(), row.via.join(" > "), row.dn.clone()]),
        ),
        Response::Delegation(page) => table(
            &["delegate", "class", "full access", "send as", "sends", "ends", "distinguished name"],
            page.rows.iter().map(|row| {
                vec![
                    row.delegate.clone(),
                    row.class.clone(),
                    yes(row.full_access),
                    yes(row.send_as),
                    row.sends.clone(),
                    row.until.clone().unwrap_or_default(),
                    row.dn.clone(),
                ]
            }),
        ),
        Response::Usage(page) => table(
            &["who", "right", "on", "uses", "last", "by", "takes it away"],
            page.rows.iter().map(|row| {
                vec![
                    row.trustee.clone(),
                    row.right.clone(),
                    row.target.clone(),
                    row.uses.to_string(),
                    row.last_used.clone().unwrap_or_default(),
                    row.used_by.join(" "),
                    row.command.clone(),
                ]
            }),
        ),
        Response::Observed(page) => table(
            &["connector", "who", "as", "messages", "last", "missing", "grants it"],
            page.rows.iter().map(|row| {
                vec![
                    row.connector.clone(),
                    row.who.clone(),
                    row.sender.clone(),
                    row.messages.to_string(),
                    row.last.clone(),
                    row.missing.clone(),
                    row.command.clone(),
                ]
            }),
        ),
        Response::Domains(page) => table(
            &["domain", "kind", "alias of", "subaddressing", "recipient lookup", "default"],
            page.rows.iter().map(|row| {
                let alias = row.alias_of.clone().unwrap_or_default();
                let lookup = yes(row.recipient_lookup);
                vec![row.domain.clone(), row.kind.clone(), alias, yes(row.subaddressing), lookup, yes(row.default)]
            }),
        ),
        Response::Ldif(page) => page.text.clone(),
        Response::Organization(page) => format!("{} parts\n", page.items.len()),
        Response::Upload { upload } => format!("{upload}\n"),
        Response::Imported(imported) => {
            let mut text = format!("{} added, {} changed\n", imported.added, imported.modified);
            if let Some(import) = &imported.import {
                text += &format!("made in steps; `procura undo --import {import}` takes all of them back\n");
            }
            for warning in &imported.warnings {
                text += &format!("warning: {warning}\n");
            }
            text
        }
        Response::Permissions(permissions) => {
            let mut text = format!("{}\nowner {}\n", permissions.dn, permissions.owner);
            if permissions.protected {
                text += "inheritance is blocked\n";
            }
            if permissions.admin {
                text += "protected as an administrator's account (AdminSDHolder)\n";
            }
            text += "\n";
            text + &table(&["", "who", "what", "on objects", "inherited from"], permissions.rows.iter().map(permission))
        }
        Response::Decision(record) => decision(record),
        // Shown above.
        _ => String::new(),
    }
}

fn done(done: &Done) -> String {
    let mut text = format!("{}\n", done.summary);
    for step in &done.steps {
        text += &format!("{step}\n");
    }
    for warning in &done.warnings {
        text += &format!("warning: {warning}\n");
    }
    text
}

fn status(status: &Status) -> String {
    let running = if status.running {
        format!("running, process {}", status.pid)
    } else {
        "not running (this command looks at the files itself)".to_owned()
    };
    let mut text = format!(
        "procura {}\nserver      {running}\ndata        {}\ndirectory   version {}: {} objects, {} accounts, {} mailboxes\n\
         changes     count within {} s, in open sessions from their next command on\n",
        status.version,
        status.data,
        status.directory_version,
        status.objects,
        status.accounts,
        status.mailboxes,
        status.change_counts_within_seconds
    );
    if let Some(queue) = &status.queue {
        text += &format!(
            "queue       {} messages ({} held), {} octets, {} destinations down\n",
            queue.messages, queue.held, queue.body_bytes, queue.destinations_down
        );
    }
    for problem in &status.problems {
        text += &format!("problem     {problem}\n");
    }
    if let Some(directory) = &status.directory {
        text += "\n";
        text += &super::directory::text(directory);
    }
    text += "\n";
    text + &table(
        &["connector", "server", "listens on", "enabled", "header senders"],
        status.connectors.iter().map(|row| {
            vec![
                row.name.clone(),
                row.server.clone(),
                row.bindings.join(" "),
                yes(row.enabled),
                row.header_from.clone(),
            ]
        }),
    )
}

fn permission(row: &PermissionRow) -> Vec<String> {
    let on = match (row.effective, &row.inherited_by) {
        (true, None) => "this".to_owned(),
        (true, Some(below)) => format!("this and {below} below"),
        (false, Some(below)) => format!("{below} below"),
        (false, None) => "none".to_owned(),
    };
    vec![
        if row.deny { "deny" } else { "allow" }.to_owned(),
        row.trustee.clone(),
        row.rights.join(", "),
        on,
        match (&row.inherited_from, &row.until) {
            (Some(from), _) => from.clone(),
            (None, Some(until)) => format!("ends {until}"),
            (None, None) => String::new(),
        },
    ]
}

/// A decision in words: who, what, verdict, why, and what would mend it.
fn decision(record: &DecisionRecord) -> String {
    let verdict = match record.verdict {
        VerdictKind::Refused => "REFUSED",
        VerdictKind::Observed => "accepted, but would be REFUSED if the connector enforced",
        VerdictKind::SentAs => "allowed, sent as somebody else",
        VerdictKind::SentOnBehalf => "allowed, sent on behalf of somebody else",
        VerdictKind::Allowed => "allowed",
        VerdictKind::Paused => "accepted, PAUSED until the right is there",
        VerdictKind::Overridden => "released without the right, by somebody who may grant it",
        VerdictKind::GivenUp => "given up by a person's decision",
    };
    let mut rows = Vec::new();
    let mut row = |label: &str, value: String| rows.push(format!("{label:<11}{value}\n"));
    if record.id.is_empty() {
        row("verdict", verdict.to_owned());
    } else {
        row("decision", record.id.clone());
        row("when", iso(record.time));
        row("verdict", verdict.to_owned());
    }
    if let Some(reply) = &record.reply {
        row("reply", reply.clone());
    }
    let who = &record.who;
    let account = match (&who.account, &who.sid) {
        (Some(account), Some(sid)) => format!("{account} ({sid})"),
        _ => "nobody logged on".to_owned(),
    };
    row("who", format!("{account}; decided by the {} token", who.token));
    if let Some(logon) = &who.logon {
        row("mailbox", format!("logged on to {logon}"));
    }
    let from = if who.remote.is_empty() { String::new() } else { format!(", from {}", who.remote) };
    row("connector", format!("{}{from}", who.connector));
    let asked = &record.asked;
    if let Some(sender) = &asked.mail_from {
        row("MAIL FROM", sender.clone());
    }
    if let Some(recipient) = &asked.recipient {
        row("RCPT TO", recipient.clone());
    }
    if !asked.from.is_empty() {
        row("From", asked.from.join(", "));
    }
    if let Some(sender) = &asked.sender {
        row("Sender", sender.clone());
    }
    if !asked.resent.is_empty() {
        row("Resent", asked.resent.join(", "));
    }
    if let Some(id) = record.queue_id.as_ref().filter(|id| !id.is_empty()) {
        row("message", id.clone());
    }
    let mut text = rows.concat();
    if !record.trace.is_empty() {
        text += "\nwhy\n";
    }
    for (number, line) in record.trace.iter().enumerate() {
        text += &format!("{:>3}. {}\n", number + 1, line.text);
        if let Some(ace) = &line.ace {
            text += &format!("     entry {}: {}\n", ace.index, ace.sddl);
        }
    }
    if let Some(missing) = &record.missing {
        text += &format!("\nmissing    {} on {} for {}\n", missing.right, missing.on, missing.trustee);
        if let Some(obstacle) = &missing.obstacle {
            text += &format!("obstacle   {obstacle}\n");
        }
        let label = if missing.command.contains("permission add") { "grant it  " } else { "take away " };
        text += &format!("{label} {}\n", missing.command);
    }
    text
}

pub(super) fn iso(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map(|time| format!("{time:.3}")).unwrap_or_default()
}

pub(super) fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// Text that leaves a terminal as it is: control characters are written as escapes, except line ends, and so are those that
/// turn the direction of what follows. Names and answers of other hosts may hold any of them.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| !is_active(c)) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if is_active(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// Whether a terminal does something with a character but to show it; a line end is none.
fn is_active(c: char) -> bool {
    (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A table without lines: columns as wide as they need to be, the last one open-ended.
pub(super) fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut all: Vec<Vec<String>> = vec![heads.iter().map(|head| head.to_uppercase()).collect()];
    all.extend(rows.map(|row| row.iter().map(|cell| plain(cell).replace('\n', "\\n")).collect()));
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..heads.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += cell;
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// An app password, with the word that this is the only time.
fn app_password(made: &AppPasswordMade) -> String {
    let mut text = format!("app password {} of {}\n\n    {}\n\n", made.name, made.account, made.password.0.as_str());
    text += "Write it down now: it is shown this once. Programs give it instead of the account's password.\n";
    for warning in &made.warnings {
        text += &format!("warning: {warning}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{plain, table};

    #[test]
    fn a_terminal_is_told_nothing_by_what_is_shown() {
        assert_eq!(plain("\u{1b}[31mred\u{7}\n\u{202e}x"), "\\u{1b}[31mred\\u{7}\n\\u{202e}x");
        let rows = [vec!["a\tb\nc".to_owned()]];
        assert_eq!(table(&["x"], rows.into_iter()), "X\na\\tb\\nc\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["x".to_owned(), "y".to_owned()], vec!["größer".to_owned(), "z".to_owned()]];
        assert_eq!(table(&["a", "b"], rows.into_iter()), "A       B\nx       y\ngrößer  z\n");
    }
}

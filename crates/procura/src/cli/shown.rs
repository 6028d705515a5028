//! The answers of the tools for people.

use admin::operations::{
    ChangeLine, DifferenceRow, DisconnectedRow, HistoryPage, HolderRow, ProtectedReport, Response, SeparationApplied,
    SeparationPage, ServiceAccountReport, Simulated,
};

use super::output::{iso, table, text as other, yes};

/// The answer of a tool in words; none for answers of other commands.
pub fn text(response: &Response) -> Option<String> {
    Some(match response {
        Response::Holders(page) => holders(&page.rows),
        Response::Separation(page) => separation(page),
        Response::SeparationApplied(applied) => self::applied(applied),
        Response::History(page) => history(page),
        Response::ServiceAccount(report) => service_account(report),
        Response::Simulated(simulated) => self::simulated(simulated),
        Response::Access(response) => super::access::text(response),
        Response::FolderPermission(response) => super::folder_permission::text(response),
        Response::Recipient(response) => super::recipients::text(response),
        Response::Pause(response) => super::pause::text(response),
        Response::Protected(report) => protected(report),
        Response::Disconnected(page) => disconnected(&page.rows),
        other => return super::connectors::text(other),
    })
}

fn holders(rows: &[HolderRow]) -> String {
    let line = |row: &HolderRow| {
        let mut from = row.inherited_from.as_deref().map(short).unwrap_or_default().to_owned();
        if row.path.len() > 1 {
            from = format!("{} {from}", row.path.join(" > ")).trim_end().to_owned();
        }
        let mut notes = Vec::new();
        if row.needs_logon {
            notes.push("logged on to the mailbox".to_owned());
        }
        if row.protected {
            notes.push("AdminSDHolder".to_owned());
        }
        if !row.note.is_empty() {
            notes.push(row.note.clone());
        }
        vec![
            if row.deny { "deny" } else { "allow" }.to_owned(),
            row.trustee.clone(),
            row.right.clone(),
            row.target.clone(),
            yes(row.effective),
            row.via.clone(),
            from,
            notes.join("; "),
        ]
    };
    table(&["", "who", "right", "on", "effective", "via", "from", "note"], rows.iter().map(line))
}

/// Objects of the organization by their own name: their distinguished names are long and begin alike.
pub(super) fn short(dn: &str) -> &str {
    if !dn.contains(",CN=Microsoft Exchange,CN=Services,") {
        return dn;
    }
    dn.find(",CN=").map_or(dn, |end| &dn[..end])
}

fn protected(report: &ProtectedReport) -> String {
    let state = match (report.protected, report.orphan) {
        (true, _) if report.itself => "protected itself, whatever it is a member of",
        (true, _) => "protected as an administrator's (AdminSDHolder)",
        (false, true) => "protected no more, and still does not inherit permissions",
        (false, false) => "not protected",
    };
    let mut text = format!("{}\n{state}\n", report.dn);
    for path in &report.through {
        text += &format!("  through {}\n", path.join(" > "));
    }
    if report.mailbox {
        text += "owns a mailbox\n";
    }
    for (number, way) in report.ways.iter().enumerate() {
        text += &format!("\n{}. {}\n   {}\n", number + 1, way.meaning, way.command);
    }
    text
}

fn disconnected(rows: &[DisconnectedRow]) -> String {
    let line = |row: &DisconnectedRow| {
        vec![
            row.mailbox.clone(),
            row.former_owner.clone(),
            row.since.clone(),
            row.database.clone().unwrap_or_default(),
            row.former_addresses.join(" "),
            row.named.join(", "),
        ]
    };
    table(&["mailbox", "was", "since", "database", "former addresses", "keep permissions"], rows.iter().map(line))
}

fn separation(page: &SeparationPage) -> String {
    let rows = page.rows.iter().map(|row| {
        vec![
            row.owner.clone(),
            row.account.clone(),
            row.account_name.clone(),
            if row.has_delegates { "Has Delegates" } else { "No Delegates" }.to_owned(),
            if row.enabled { "Enabled" } else { "Disabled" }.to_owned(),
            row.missing.clone(),
        ]
    });
    table(&["owner", "account", "name", "delegates", "owner is", "send as"], rows)
}

fn applied(applied: &SeparationApplied) -> String {
    let mut text = format!("{}\n", applied.summary);
    if applied.unchanged > 0 {
        text += &format!("{} had it already\n", applied.unchanged);
    }
    if applied.delegates_skipped > 0 {
        text += &format!(
            "{} super-delegates left as they are; --include-delegates grants them too\n",
            applied.delegates_skipped
        );
    }
    if let Some(version) = applied.version {
        text += &format!("`procura undo {version}` takes it back\n");
    }
    text
}

fn history(page: &HistoryPage) -> String {
    let mut text = String::new();
    for row in &page.rows {
        text += &format!("{:>6}  {}  {}  {}\n", row.version, iso(row.time), row.author, row.comment);
        for change in &row.changes {
            text += &self::change(change, "        ");
        }
        if row.more > 0 {
            text += &format!("        and {} more changes\n", row.more);
        }
    }
    text
}

/// A change as lines: what goes with a minus, what comes with a plus.
fn change(change: &ChangeLine, indent: &str) -> String {
    let mut text = format!("{indent}{} {}", change.what, change.object);
    if !change.attribute.is_empty() {
        text += &format!(": {}", change.attribute);
    }
    text.push('\n');
    for (sign, values) in [('-', &change.removed), ('+', &change.added)] {
        for value in values {
            text += &format!("{indent}  {sign} {value}\n");
        }
    }
    text
}

fn service_account(report: &ServiceAccountReport) -> String {
    let mut text = format!("{} ({})\n\n", report.account, report.sid);
    if !report.tasks.is_empty() {
        let rows = report
            .tasks
            .iter()
            .map(|task| vec![if task.ok { "ok" } else { "MEND" }.to_owned(), task.task.clone(), task.detail.clone()]);
        text += &table(&["", "task", "found"], rows);
        text.push('\n');
    }
    if !report.grants.is_empty() {
        let rows = report.grants.iter().map(|grant| {
            let what = match (grant.granted, grant.blocked) {
                (true, _) => "grants it",
                (false, true) => "inherits nothing, grants nothing",
                (false, false) => "grants nothing",
            };
            vec![if grant.granted { "ok" } else { "-" }.to_owned(), grant.container.clone(), what.to_owned()]
        });
        text += &table(&["", "container", "entry for users below"], rows);
        text.push('\n');
    }
    text += &format!("{} users covered, {} not\n", report.covered, report.rows.len());
    if !report.rows.is_empty() {
        text.push('\n');
        let rows = report
            .rows
            .iter()
            .map(|row| vec![row.user.clone(), row.reason.clone(), row.detail.clone(), row.command.clone()]);
        text += &table(&["user", "why not", "where", "what mends it"], rows);
    }
    text
}

fn simulated(simulated: &Simulated) -> String {
    let mut text = "nothing was changed; this would come of it:\n".to_owned();
    text += &other(&simulated.outcome);
    for note in &simulated.notes {
        text += &format!("note: {note}\n");
    }
    if !simulated.changes.is_empty() {
        text += "\nchanges\n";
    }
    for change in &simulated.changes {
        text += &self::change(change, "  ");
    }
    if simulated.more_changes > 0 {
        text += &format!("  and {} more changes\n", simulated.more_changes);
    }
    let differences = simulated.gained.len() + simulated.lost.len();
    if differences == 0 {
        return text + "\nnobody gains or loses Send As, Send on Behalf or Full Mailbox Access\n";
    }
    let line = |sign: &'static str| {
        move |row: &DifferenceRow| {
            let note = if row.needs_logon { "logged on to the mailbox" } else { "" };
            let (who, right) = (row.trustee.clone(), row.right.clone());
            vec![sign.to_owned(), who, right, row.target.clone(), row.via.clone(), note.to_owned()]
        }
    };
    let rows = simulated.gained.iter().map(line("gains")).chain(simulated.lost.iter().map(line("loses")));
    text.push('\n');
    text += &table(&["", "who", "right", "on", "via", "note"], rows);
    if simulated.more_rows > 0 {
        text += &format!("and {} more\n", simulated.more_rows);
    }
    text
}

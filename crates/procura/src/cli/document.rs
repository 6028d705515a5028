//! `procura export --toml`: the organization as a file that `procura apply` takes.

use std::io::{self, BufWriter, Write};

use admin::Endpoint;
use admin::operations::{ExportOrganization, Request, Response, Wanted};
use serde::Serialize;

use super::fault::Failure;
use super::run::{broken, spinner, unexpected};

const HEAD: &str = "\
# Written by `procura export --toml`. `procura apply` makes an organization so; applied to where it came from, it changes nothing.
# Not in it: passwords, pauses of service accounts, public folders, rights on folders of mailboxes. `procura export` writes all of the directory as LDIF.
";

/// Writes the document to standard output.
pub fn export(endpoint: &mut Endpoint) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let bar = spinner("{spinner} {pos} parts, {elapsed}");
    let (mut after, mut left_out) = (None, 0);
    loop {
        let asked = Request::ExportOrganization(ExportOrganization { after });
        let Response::Organization(page) = endpoint.call("", asked)? else { return Err(unexpected()) };
        if after.is_none() {
            out.write_all(HEAD.as_bytes()).map_err(broken)?;
        }
        for item in &page.items {
            let text = part(item).map_err(|e| Failure::new(format!("a part of the organization has no form: {e}")))?;
            out.write_all(text.as_bytes()).map_err(broken)?;
            bar.inc(1);
        }
        left_out += page.entries_left_out;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    if left_out > 0 {
        let text = format!("\n# {left_out} entries are left out: of other forms than commands make.\n");
        out.write_all(text.as_bytes()).map_err(broken)?;
    }
    out.flush().map_err(broken)
}

/// One part, with an empty line before it.
fn part(wanted: &Wanted) -> Result<String, toml::ser::Error> {
    match wanted {
        // There is one.
        Wanted::Organization(part) => table("[organization]", part),
        Wanted::Server(part) => table("[[server]]", part),
        Wanted::Database(part) => table("[[database]]", part),
        Wanted::Domain(part) => table("[[domain]]", part),
        Wanted::Ou(part) => table("[[ou]]", part),
        Wanted::Group(part) => table("[[group]]", part),
        Wanted::User(part) => table("[[user]]", part),
        Wanted::Contact(part) => table("[[contact]]", part),
        Wanted::DynamicGroup(part) => table("[[dynamic_group]]", part),
        Wanted::ReceiveConnector(part) => table("[[receive_connector]]", part),
        Wanted::SendConnector(part) => table("[[send_connector]]", part),
        Wanted::Grant(part) => table("[[grant]]", part),
        Wanted::MailboxGrant(part) => table("[[mailbox_grant]]", part),
        Wanted::Delegates(part) => table("[[delegates]]", part),
    }
}

/// Words that say the same when they are left away and false.
const FALSE_UNLESS_SAID: [&str; 4] = ["deny", "distribution", "mailbox", "protected"];

/// What a part is about comes first.
const FIRST: [&str; 3] = ["name", "on", "of"];

fn table(head: &str, part: &impl Serialize) -> Result<String, toml::ser::Error> {
    let mut table = toml::Table::try_from(part)?;
    table.retain(|key, value| {
        value.as_bool() != Some(false) || !FALSE_UNLESS_SAID.iter().any(|said| said.eq_ignore_ascii_case(key))
    });
    let mut text = format!("\n{head}\n");
    for key in FIRST {
        if let Some(value) = table.remove(key) {
            text += &toml::to_string(&toml::Table::from_iter([(key.to_owned(), value)]))?;
        }
    }
    // A table in a table stands in one line: below it, it would begin another part.
    let (inner, plain): (toml::Table, toml::Table) = table.into_iter().partition(|(_, value)| value.is_table());
    text += &toml::to_string(&plain)?;
    for (key, value) in inner {
        text += &format!("{key} = {value}\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use admin::operations::WantedUser;

    use super::*;

    #[test]
    fn a_part_is_a_table_without_what_goes_without_saying() {
        let user = WantedUser {
            name: "alice".to_owned(),
            addresses: Some(vec!["alice@example.com".to_owned()]),
            enabled: Some(false),
            ..WantedUser::default()
        };
        let text = part(&Wanted::User(user)).unwrap();
        assert_eq!(text, "\n[[user]]\nname = \"alice\"\naddresses = [\"alice@example.com\"]\nenabled = false\n");
    }
}

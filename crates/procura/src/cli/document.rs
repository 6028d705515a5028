//! `procura export --toml`: the organization as a file that `procura apply` takes.

use std::io::{self, BufWriter, Write};

use admin::Endpoint;
use admin::operations::{ExportOrganization, Request, Response, Wanted};
use serde::Serialize;

use super::fault::Failure;
use super::run::{broken, spinner, unexpected};

const HEAD: &str = "\
# Written by `procura export --toml`. `procura apply` makes an organization so; applied to where it came from, it changes nothing.
# Not in it: passwords, pauses of service accounts, public folders. `procura export` writes all of the directory as LDIF.
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
        Wanted::FolderPermission(part) => table("[[folder_permission]]", part),
        Wanted::Delegates(part) => table("[[delegates]]", part),
    }
}

/// Words that say the same when they are left away and false.
const FALSE_UNLESS_SAID: [&str; 4] = ["deny", "distribution", "mailbox", "protected"];

/// What a part is about comes first.
const FIRST: [&str; 5] = ["name", "on", "of", "folder", "user"];

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
    let (inner, plain): (toml::Table, toml::Table) = table.into_iter().partition(|(_, value)| has_tables(value));
    text += &toml::to_string(&plain)?;
    for (key, value) in inner {
        match value {
            toml::Value::Array(values) => {
                let lines: String = values.iter().map(|value| format!("  {},\n", inline(value))).collect();
                text += &format!("{key} = [\n{lines}]\n");
            }
            value => text += &format!("{key} = {value}\n"),
        }
    }
    Ok(text)
}

fn has_tables(value: &toml::Value) -> bool {
    value.is_table() || value.as_array().is_some_and(|values| values.iter().any(toml::Value::is_table))
}

/// A value in one line, of a table first what it is about.
fn inline(value: &toml::Value) -> String {
    let Some(table) = value.as_table() else { return value.to_string() };
    let first = FIRST.iter().filter_map(|key| table.get_key_value(*key));
    let rest = table.iter().filter(|(key, _)| !FIRST.contains(&key.as_str()));
    let pairs: Vec<String> = first.chain(rest).map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use admin::operations::{WantedFolderEntry, WantedFolderPermission, WantedUser};

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

    #[test]
    fn entries_of_a_folder_stand_one_a_line() {
        let entry = |user: &str, right: &str| WantedFolderEntry { user: user.to_owned(), right: right.to_owned() };
        let permission = |entries| {
            let (on, folder) = ("alice".to_owned(), "\\Inbox\\Orders".to_owned());
            part(&Wanted::FolderPermission(WantedFolderPermission { on, folder, entries, absent: false })).unwrap()
        };
        let text = permission(Some(vec![entry("EXAMPLE\\bob", "Editor"), entry("Default", "ReadAny, Visible")]));
        let expected = "\n[[folder_permission]]\non = \"alice\"\nfolder = '\\Inbox\\Orders'\nentries = [\n  \
                        { user = 'EXAMPLE\\bob', right = \"Editor\" },\n  \
                        { user = \"Default\", right = \"ReadAny, Visible\" },\n]\n";
        assert_eq!(text, expected);
        assert!(permission(Some(Vec::new())).ends_with("\nentries = []\n"));
    }

    proptest::proptest! {
        /// Names are of any characters: quotes, backslashes, line ends.
        #[test]
        fn what_is_written_of_folders_is_read_as_it_was(
            on: String, folder: String, entries: Option<Vec<(String, String)>>, absent: bool
        ) {
            let entry = |(user, right)| WantedFolderEntry { user, right };
            let entries = entries.map(|entries| entries.into_iter().map(entry).collect());
            let wanted = Wanted::FolderPermission(WantedFolderPermission { on, folder, entries, absent });
            let text = part(&wanted).unwrap();
            let read = crate::cli::apply::items(&text).unwrap();
            let [item] = &read[..] else { panic!("{text}") };
            proptest::prop_assert_eq!(serde_json::to_value(&item.wanted)?, serde_json::to_value(&wanted)?, "{}", text);
        }
    }
}

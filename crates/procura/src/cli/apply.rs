//! `procura apply`: the file, read with line numbers.

use std::path::Path;

use admin::operations::{self as op, Item, Request, Wanted};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::fault::Failure;
use super::run::named;

pub const HELP: &str = r#"With --dry-run: what would change, who would gain and who lose; nothing is done. Applying a file twice changes nothing the second time. Lists (addresses, members, delegates, keys, limits, entries of folders) are complete: what is not in them goes, and so does what has absent = true. An empty text takes a value away. What has `until` ends by itself then: a time with its zone, or a date, which begins at midnight UTC; once it has passed, the grant is not to be there. Users, groups, contacts and dynamic groups have the settings of `procura recipient get --format json`. With --prune goes what an earlier file named and this one does not; nothing else. Connectors have the settings of `procura connector receive get --format json` and `send get`; passwords are no part of a file.

Example file:
  [[domain]]
  name = "example.com"
  subaddressing = true

  [organization]
  secure_domains = ["partner.example.net"]

  [[server]]
  name = "EDGE"
  role = "edge"

  [[database]]
  name = "Archive"

  [[ou]]
  name = "Staff"

  [[user]]
  name = "alice"
  ou = "OU=Staff"
  mailbox = true
  database = "Archive"
  sending_limits = ["100 messages/hour"]
  forward_to = "bob"

  [[group]]
  name = "Helpdesk"
  members = ["alice"]
  authenticated_only = true

  [[contact]]
  name = "Tom Miller"
  addresses = ["tom@example.com"]
  target = "tom@example.net"

  [[dynamic_group]]
  name = "Sales"
  addresses = ["sales@example.com"]
  filter = "(department=Sales)"

  [[grant]]
  on = "OU=Staff"
  user = "Helpdesk"
  right = "Send As"
  inherit_to = "user"
  until = 2027-01-31T18:00:00Z

  [[mailbox_grant]]
  on = "alice"
  user = "Helpdesk"

  [[folder_permission]]
  on = "alice"
  folder = '\Calendar'
  entries = [
    { user = "bob", right = "Editor" },
    { user = "Helpdesk", right = "ReadAny, Create, Visible" },
    { user = "Default", right = "AvailabilityOnly" },
  ]

  [[delegates]]
  of = "alice"
  users = ["bob", "carl"]
  until = { carl = 2027-01-31 }

  [[receive_connector]]
  name = "Internet"
  usage = "internet"
  bindings = ["0.0.0.0:25"]
  header_from = "enforce"

  [[send_connector]]
  name = "Provider"
  usage = "internet"
  address_spaces = ["*"]
  smart_hosts = ["relay.example.net"]

  [[user]]
  name = "mallory"
  absent = true

Examples:
  procura apply org.toml --dry-run
  procura apply org.toml --prune --dry-run"#;

/// The file. Tables of one kind may stand anywhere.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    organization: Option<Part>,
    server: Vec<Part>,
    database: Vec<Part>,
    domain: Vec<Part>,
    ou: Vec<Part>,
    group: Vec<Part>,
    user: Vec<Part>,
    contact: Vec<Part>,
    dynamic_group: Vec<Part>,
    #[serde(alias = "connector")]
    receive_connector: Vec<Part>,
    send_connector: Vec<Part>,
    grant: Vec<Part>,
    mailbox_grant: Vec<Part>,
    folder_permission: Vec<Part>,
    delegates: Vec<Part>,
}

/// A part, before it is known what it says.
type Part = Spanned<toml::Table>;

/// The request of a file.
pub fn request(file: &Path, prune: bool) -> Result<Request, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| named(file, e))?;
    let items = items(&text)
        .map_err(|(line, message)| Failure::new(message).help("`procura apply --help` shows a file").at(file, line))?;
    Ok(Request::Apply(op::Apply { items, prune }))
}

/// What the text asks for, in the order of its lines; or the line and the fault.
pub(super) fn items(text: &str) -> Result<Vec<Item>, (u32, String)> {
    // A file may have millions of lines, and as many parts.
    let ends: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    let line = |at: usize| ends.partition_point(|end| *end < at) as u32 + 1;
    let document: Document = toml::from_str(text)
        .map_err(|error| (line(error.span().map_or(0, |span| span.start)), error.message().to_owned()))?;
    let mut items = Vec::new();
    let mut put = |parts: Vec<Part>, wanted: &dyn Fn(Part) -> Result<Wanted, String>| {
        for part in parts {
            let line = line(part.span().start);
            items.push(Item { line, wanted: wanted(part).map_err(|message| (line, message))? });
        }
        Ok::<(), (u32, String)>(())
    };
    put(document.organization.into_iter().collect(), &|part| known(part).map(Wanted::Organization))?;
    put(document.server, &|part| known(part).map(Wanted::Server))?;
    put(document.database, &|part| known(part).map(Wanted::Database))?;
    put(document.domain, &|part| known(part).map(Wanted::Domain))?;
    put(document.ou, &|part| known(part).map(Wanted::Ou))?;
    put(document.group, &|part| known(part).map(Wanted::Group))?;
    put(document.user, &|part| known(part).map(Wanted::User))?;
    put(document.contact, &|part| known(part).map(Wanted::Contact))?;
    put(document.dynamic_group, &|part| known(part).map(Wanted::DynamicGroup))?;
    put(document.receive_connector, &|part| known(part).map(Wanted::ReceiveConnector))?;
    put(document.send_connector, &|part| known(part).map(Wanted::SendConnector))?;
    put(document.grant, &|part| known(part).map(Wanted::Grant))?;
    put(document.mailbox_grant, &|part| known(part).map(Wanted::MailboxGrant))?;
    put(document.folder_permission, &|part| known(part).map(Wanted::FolderPermission))?;
    put(document.delegates, &|part| known(part).map(Wanted::Delegates))?;
    items.sort_by_key(|item| item.line);
    Ok(items)
}

/// What a part says, if it has no key that nobody knows: serde does not see those beside flattened settings.
fn known<T: DeserializeOwned + Serialize>(part: Part) -> Result<T, String> {
    let mut table = part.into_inner();
    table.iter_mut().for_each(|(_, value)| in_words(value));
    let wanted: T = table.clone().try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let said = serde_json::to_value(&wanted).map_err(|error| error.to_string())?;
    match table.keys().find(|key| said.get(key).is_none() && *key != "absent") {
        Some(key) => Err(format!("unknown field `{key}`")),
        None => Ok(wanted),
    }
}

/// Times of TOML as texts, which is how requests have them.
fn in_words(value: &mut toml::Value) {
    match value {
        toml::Value::Datetime(time) => *value = toml::Value::String(time.to_string()),
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, value)| in_words(value)),
        toml::Value::Array(values) => values.iter_mut().for_each(in_words),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_in_the_order_of_their_lines() {
        let text = "[[user]]\nname = \"alice\"\n\n[[ou]]\nname = \"Staff\"\n\n[[user]]\nname = \"bob\"\n";
        let lines: Vec<u32> = items(text).unwrap().iter().map(|item| item.line).collect();
        assert_eq!(lines, [1, 4, 7]);
    }

    #[test]
    fn a_key_that_is_not_known_is_refused_with_its_line() {
        let (line, message) = items("[[user]]\nname = \"alice\"\nmail = \"a@example.com\"\n").unwrap_err();
        assert!((1..=3).contains(&line) && message.contains("mail"), "{line}: {message}");
        let (line, message) = items("\n[[usr]]\nname = \"alice\"\n").unwrap_err();
        assert!(line == 2 && message.contains("usr"), "{line}: {message}");
    }

    #[test]
    fn a_setting_of_a_connector_that_is_not_known_is_refused_with_its_line() {
        let text = "\n[[receive_connector]]\nname = \"Internet\"\nheader_form = \"enforce\"\n";
        let (line, message) = items(text).unwrap_err();
        assert!(line == 2 && message.contains("header_form"), "{line}: {message}");
        let good = text.replace("header_form", "header_from") + "[[send_connector]]\nname = \"Out\"\nport = 26\n";
        assert_eq!(items(&good).unwrap().len(), 2);
    }

    #[test]
    fn the_example_of_the_help_is_a_document() {
        let example = HELP.split_once("Example file:\n").unwrap().1.split("\nExamples:").next().unwrap();
        assert_eq!(items(example).unwrap().len(), 16);
    }

    #[test]
    fn the_example_of_the_book_is_a_document() {
        let page = include_str!("../../../../docs/src/mailboxes.md");
        let example = page.split_once("```toml\n").unwrap().1.split("```").next().unwrap();
        assert_eq!(items(example).unwrap().len(), 2);
    }
}

//! `procura apply`: the file, read with line numbers.

use std::ops::Range;
use std::path::Path;

use admin::operations::{self as op, Item, Request, Wanted};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::fault::Failure;
use super::run::named;

pub const HELP: &str = r#"With --dry-run: what would change, who would gain and who lose; nothing is done. Applying a file twice changes nothing the second time. Lists (addresses, members, delegates) are complete: what is not in them goes, and so does what has absent = true. With --prune goes what an earlier file named and this one does not; nothing else. Connectors have the settings of `procura connector receive get --format json` and `send get`; passwords are no part of a file.

Example file:
  [[domain]]
  name = "example.com"
  subaddressing = true

  [[ou]]
  name = "Staff"

  [[user]]
  name = "alice"
  ou = "OU=Staff"
  mailbox = true

  [[group]]
  name = "Helpdesk"
  members = ["alice"]

  [[grant]]
  on = "OU=Staff"
  user = "Helpdesk"
  right = "Send As"
  inherit_to = "user"

  [[mailbox_grant]]
  on = "alice"
  user = "Helpdesk"

  [[delegates]]
  of = "alice"
  users = ["bob"]

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
    domain: Vec<Spanned<op::WantedDomain>>,
    ou: Vec<Spanned<op::WantedOu>>,
    group: Vec<Spanned<op::WantedGroup>>,
    user: Vec<Spanned<op::WantedUser>>,
    #[serde(alias = "connector")]
    receive_connector: Vec<Spanned<toml::Table>>,
    send_connector: Vec<Spanned<toml::Table>>,
    grant: Vec<Spanned<op::WantedGrant>>,
    mailbox_grant: Vec<Spanned<op::WantedMailboxGrant>>,
    delegates: Vec<Spanned<op::WantedDelegates>>,
}

/// The request of a file.
pub fn request(file: &Path, prune: bool) -> Result<Request, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| named(file, e))?;
    let items = items(&text)
        .map_err(|(line, message)| Failure::new(message).help("`procura apply --help` shows a file").at(file, line))?;
    Ok(Request::Apply(op::Apply { items, prune }))
}

/// What the text asks for, in the order of its lines; or the line and the fault.
fn items(text: &str) -> Result<Vec<Item>, (u32, String)> {
    let line =
        |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
    let document: Document = toml::from_str(text)
        .map_err(|error| (line(error.span().map_or(0, |span| span.start)), error.message().to_owned()))?;
    let mut items = Vec::new();
    let mut put = |span: Range<usize>, wanted: Wanted| items.push(Item { line: line(span.start), wanted });
    let Document { domain, ou, group, user, receive_connector, send_connector, grant, mailbox_grant, delegates } =
        document;
    domain.into_iter().for_each(|part| put(part.span(), Wanted::Domain(part.into_inner())));
    ou.into_iter().for_each(|part| put(part.span(), Wanted::Ou(part.into_inner())));
    group.into_iter().for_each(|part| put(part.span(), Wanted::Group(part.into_inner())));
    user.into_iter().for_each(|part| put(part.span(), Wanted::User(part.into_inner())));
    for part in receive_connector {
        put(part.span(), Wanted::ReceiveConnector(known(part, line)?));
    }
    for part in send_connector {
        put(part.span(), Wanted::SendConnector(known(part, line)?));
    }
    grant.into_iter().for_each(|part| put(part.span(), Wanted::Grant(part.into_inner())));
    mailbox_grant.into_iter().for_each(|part| put(part.span(), Wanted::MailboxGrant(part.into_inner())));
    delegates.into_iter().for_each(|part| put(part.span(), Wanted::Delegates(part.into_inner())));
    items.sort_by_key(|item| item.line);
    Ok(items)
}

/// The part, if it has no key that nobody knows: serde does not see those beside flattened settings.
fn known<T: DeserializeOwned + Serialize>(
    part: Spanned<toml::Table>,
    line: impl Fn(usize) -> u32,
) -> Result<T, (u32, String)> {
    let at = line(part.span().start);
    let table = part.into_inner();
    let wrong = |message: String| (at, message);
    let wanted: T = table.clone().try_into().map_err(|error| wrong(error.message().to_owned()))?;
    let said = serde_json::to_value(&wanted).map_err(|error| wrong(error.to_string()))?;
    match table.keys().find(|key| said.get(key).is_none() && *key != "absent") {
        Some(key) => Err(wrong(format!("unknown field `{key}`"))),
        None => Ok(wanted),
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
        assert_eq!(items(example).unwrap().len(), 10);
    }
}

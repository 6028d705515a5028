//! `procura apply`: the file, read with line numbers.

use std::ops::Range;
use std::path::Path;

use admin::operations::{self as op, Item, Request, Wanted};
use serde::Deserialize;
use toml::Spanned;

use super::fault::Failure;
use super::run::named;

pub const HELP: &str = r#"With --dry-run: what would change, who would gain and who lose; nothing is done. Applying a file twice changes nothing the second time. Lists (addresses, members, delegates) are complete: what is not in them goes.

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

  [[connector]]
  name = "Internet"
  header_from = "enforce""#;

/// The file. Tables of one kind may stand anywhere.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    domain: Vec<Spanned<op::WantedDomain>>,
    ou: Vec<Spanned<op::WantedOu>>,
    group: Vec<Spanned<op::WantedGroup>>,
    user: Vec<Spanned<op::WantedUser>>,
    connector: Vec<Spanned<op::WantedConnector>>,
    grant: Vec<Spanned<op::WantedGrant>>,
    mailbox_grant: Vec<Spanned<op::WantedMailboxGrant>>,
    delegates: Vec<Spanned<op::WantedDelegates>>,
}

/// The request of a file.
pub fn request(file: &Path) -> Result<Request, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| named(file, e))?;
    let items = items(&text)
        .map_err(|(line, message)| Failure::new(message).help("`procura apply --help` shows a file").at(file, line))?;
    Ok(Request::Apply(op::Apply { items }))
}

/// What the text asks for, in the order of its lines; or the line and the fault.
fn items(text: &str) -> Result<Vec<Item>, (u32, String)> {
    let line =
        |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
    let document: Document = toml::from_str(text)
        .map_err(|error| (line(error.span().map_or(0, |span| span.start)), error.message().to_owned()))?;
    let mut items = Vec::new();
    let mut put = |span: Range<usize>, wanted: Wanted| items.push(Item { line: line(span.start), wanted });
    let Document { domain, ou, group, user, connector, grant, mailbox_grant, delegates } = document;
    domain.into_iter().for_each(|part| put(part.span(), Wanted::Domain(part.into_inner())));
    ou.into_iter().for_each(|part| put(part.span(), Wanted::Ou(part.into_inner())));
    group.into_iter().for_each(|part| put(part.span(), Wanted::Group(part.into_inner())));
    user.into_iter().for_each(|part| put(part.span(), Wanted::User(part.into_inner())));
    connector.into_iter().for_each(|part| put(part.span(), Wanted::Connector(part.into_inner())));
    grant.into_iter().for_each(|part| put(part.span(), Wanted::Grant(part.into_inner())));
    mailbox_grant.into_iter().for_each(|part| put(part.span(), Wanted::MailboxGrant(part.into_inner())));
    delegates.into_iter().for_each(|part| put(part.span(), Wanted::Delegates(part.into_inner())));
    items.sort_by_key(|item| item.line);
    Ok(items)
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
    fn the_example_of_the_help_is_a_document() {
        let example = HELP.split_once("Example file:\n").unwrap().1;
        assert_eq!(items(example).unwrap().len(), 8);
    }
}

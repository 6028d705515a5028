//! The columns of a list: the fields of its rows, which are known also where there is no row.

use admin::operations::{AccessResponse, FolderResponse, PauseResponse, ReceiveSettings, Response, SendSettings};
use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// What a connector's row has before its settings; the notes come after them.
const RECEIVE: [&str; 8] = ["name", "server", "role", "usage", "permission_groups", "complete_groups", "dn", "guid"];
const SEND: [&str; 6] = ["name", "usage", "rights", "has_password", "dn", "guid"];

/// The columns of an answer in the order of its rows' fields; none where it is no list.
pub fn of(response: &Response) -> Vec<&'static str> {
    match response {
        Response::Users(page) => of_rows(&page.rows),
        Response::Groups(page) => of_rows(&page.rows),
        Response::Mailboxes(page) => of_rows(&page.rows),
        Response::Disconnected(page) => of_rows(&page.rows),
        Response::Members(page) | Response::Delegates(page) => of_rows(&page.rows),
        Response::Delegation(page) => of_rows(&page.rows),
        Response::Domains(page) => of_rows(&page.rows),
        Response::AppPasswords(page) => of_rows(&page.rows),
        Response::Permissions(permissions) => of_rows(&permissions.rows),
        Response::Usage(page) => of_rows(&page.rows),
        Response::Observed(page) => of_rows(&page.rows),
        Response::Queue(page) => of_rows(&page.rows),
        Response::ServiceAccount(report) => of_rows(&report.rows),
        Response::Servers(page) => of_rows(&page.rows),
        Response::Tree(page) => of_rows(&page.rows),
        Response::ReceiveConnectors(_) => of_connectors::<ReceiveSettings>(&RECEIVE),
        Response::SendConnectors(_) => of_connectors::<SendSettings>(&SEND),
        Response::Access(AccessResponse::Tokens(page)) => of_rows(&page.rows),
        Response::Access(AccessResponse::Webhooks(page)) => of_rows(&page.rows),
        Response::Pause(PauseResponse::List(page)) => of_rows(&page.rows),
        Response::Pause(PauseResponse::Users(page)) => of_rows(&page.rows),
        Response::Pause(PauseResponse::Decided(decided)) => of_rows(&decided.rows),
        Response::FolderPermission(FolderResponse::Entries(page)) => of_rows(&page.rows),
        Response::FolderPermission(FolderResponse::Checked(checked)) => of_rows(&checked.rows),
        _ => Vec::new(),
    }
}

fn of_rows<T: DeserializeOwned>(_: &[T]) -> Vec<&'static str> {
    fields::<T>().to_vec()
}

fn of_connectors<T: DeserializeOwned>(before: &[&'static str]) -> Vec<&'static str> {
    [before, fields::<T>(), &["notes"]].concat()
}

/// The fields of a document, in their order. A document that has another's fields among its own (`flatten`) tells none.
fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &[&str] = &[];
    // What reads a document is told its fields first; that is all that is wanted.
    let _ = T::deserialize(Fields(&mut fields));
    fields
}

struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("there is no document"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("there is no document"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use admin::operations::{Page, ReceiveRow, SendRow};

    use super::*;

    /// The row's columns and those that are known of it.
    fn columns<T: DeserializeOwned + serde::Serialize>(
        row: &serde_json::Value,
        known: &[&str],
    ) -> (Vec<String>, Vec<String>) {
        let row: T = serde_json::from_value(row.clone()).expect("a row");
        let written = serde_json::to_value(row).expect("a document");
        let written = written.as_object().into_iter().flat_map(serde_json::Map::keys).cloned().collect();
        (written, known.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn the_columns_of_connectors_are_the_fields_of_their_rows() {
        let mut row = serde_json::json!({
            "name": "", "server": "", "role": "", "usage": "", "permission_groups": [], "complete_groups": [], "dn": "",
            "guid": "", "rights": [], "has_password": true, "notes": ["one"],
        });
        let page = of(&Response::ReceiveConnectors(Page::from(Vec::new())));
        let (written, known) = columns::<ReceiveRow>(&row, &page);
        assert!(
            known.len() > written.len() && written.iter().all(|name| known.contains(name)),
            "{written:?} {known:?}"
        );
        row["smart_hosts"] = serde_json::json!(["relay.test"]);
        let page = of(&Response::SendConnectors(Page::from(Vec::new())));
        let (written, known) = columns::<SendRow>(&row, &page);
        assert!(
            known.len() > written.len() && written.iter().all(|name| known.contains(name)),
            "{written:?} {known:?}"
        );
    }

    #[test]
    fn a_document_that_is_no_list_has_no_columns() {
        assert!(of(&Response::Upload { upload: "x".to_owned() }).is_empty());
    }
}

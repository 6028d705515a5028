//! The header of a message while filters edit it.

/// Fields that no filter may touch: they say who sent the message, and were decided upon.
const PROTECTED: [&str; 4] = ["from", "sender", "x-createdby", "authenticated-sender"];
const PROTECTED_PREFIXES: [&str; 2] = ["resent-", "x-ms-exchange-"];

/// A change of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A field at a place: 0 is before all others; beyond the end: at the end.
    Insert {
        /// The place.
        index: usize,
        /// Its name.
        name: String,
        /// What follows the colon.
        value: String,
    },
    /// A field at the end.
    Add {
        /// Its name.
        name: String,
        /// What follows the colon.
        value: String,
    },
    /// The `index`th field of a name, from 1, gets another value; one that is not there is added.
    Change {
        /// Which of the name.
        index: usize,
        /// The name.
        name: String,
        /// What follows the colon.
        value: String,
    },
    /// The `index`th field of a name, from 1, goes; 0: all of them.
    Remove {
        /// Which of the name.
        index: usize,
        /// The name.
        name: String,
    },
}

/// A header as fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Name, and all that follows the colon up to the end of the field without its last `CRLF`.
    fields: Vec<(String, Vec<u8>)>,
    changed: bool,
}

impl Header {
    /// Takes the octets of a header, with or without the empty line at its end. A line that is none of a field is kept as
    /// part of the one before.
    pub fn parse(octets: &[u8]) -> Header {
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        for line in octets.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.is_empty() {
                break;
            }
            let colon = text
                .iter()
                .position(|byte| *byte == b':')
                .filter(|_| !text.starts_with(b" ") && !text.starts_with(b"\t"));
            match (colon, fields.last_mut()) {
                (Some(colon), _) => {
                    let name = String::from_utf8_lossy(&text[..colon]).into_owned();
                    fields.push((name, text[colon + 1..].to_vec()));
                }
                (None, Some((_, value))) => {
                    value.extend_from_slice(b"\r\n");
                    value.extend_from_slice(text);
                }
                (None, None) => fields.push((String::from_utf8_lossy(text).into_owned(), Vec::new())),
            }
        }
        Header { fields, changed: false }
    }

    /// Name and all that follows the colon, folds included.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Something was changed.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// As octets, with the empty line at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for (name, value) in &self.fields {
            octets.extend_from_slice(name.trim_end().as_bytes());
            octets.push(b':');
            octets.extend_from_slice(value);
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(b"\r\n");
        octets
    }

    /// Applies a change. False: it is none that a filter may make, and nothing was changed.
    pub fn apply(&mut self, edit: &Edit) -> bool {
        let (name, value) = match edit {
            Edit::Insert { name, value, .. } | Edit::Add { name, value } | Edit::Change { name, value, .. } => {
                (name, Some(value))
            }
            Edit::Remove { name, .. } => (name, None),
        };
        if !may_be_touched(name) {
            return false;
        }
        let value = match value.map(|value| fold(value)) {
            Some(None) => return false,
            Some(Some(value)) => value,
            None => Vec::new(),
        };
        let nth = |fields: &[(String, Vec<u8>)], index: usize| {
            let same = fields.iter().enumerate().filter(|(_, (known, _))| known.trim_end().eq_ignore_ascii_case(name));
            same.map(|(at, _)| at).nth(index.saturating_sub(1))
        };
        match edit {
            Edit::Insert { index, .. } => {
                let at = (*index).min(self.fields.len());
                self.fields.insert(at, (name.clone(), value));
            }
            Edit::Add { .. } => self.fields.push((name.clone(), value)),
            Edit::Change { index, .. } => match nth(&self.fields, *index) {
                Some(at) => self.fields[at].1 = value,
                None => self.fields.push((name.clone(), value)),
            },
            Edit::Remove { index: 0, .. } => {
                self.fields.retain(|(known, _)| !known.trim_end().eq_ignore_ascii_case(name));
            }
            Edit::Remove { index, .. } => match nth(&self.fields, *index) {
                Some(at) => drop(self.fields.remove(at)),
                None => return true,
            },
        }
        self.changed = true;
        true
    }
}

/// A name of printable ASCII without a colon (RFC 5322 §2.2) that is not protected.
fn may_be_touched(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    !name.is_empty()
        && name.len() <= 200
        && name.bytes().all(|byte| (33..=126).contains(&byte) && byte != b':')
        && !PROTECTED.contains(&lower.as_str())
        && !PROTECTED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

/// A value as it is written after the colon: lines end with `CRLF`, and each but the first begins with white space. `None`:
/// it cannot be one.
fn fold(value: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(value.len() + 1);
    let first_is_spaced = value.starts_with([' ', '\t']);
    if !first_is_spaced {
        octets.push(b' ');
    }
    let value = value.trim_end_matches(['\r', '\n']);
    for (number, line) in value.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(['\r', '\0']) || line.len() > 990 {
            return None;
        }
        if number > 0 {
            // A line of white space alone would be read as the end of the header by some.
            if line.trim().is_empty() {
                continue;
            }
            if !line.starts_with([' ', '\t']) {
                return None;
            }
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(line.as_bytes());
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"Received: one\r\n\tby two\r\nFrom: a@b\r\nSubject: x\r\nReceived: three\r\n\r\n";

    fn after(edit: Edit) -> String {
        let mut header = Header::parse(HEADER);
        assert!(header.apply(&edit), "{edit:?}");
        String::from_utf8(header.to_bytes()).unwrap()
    }

    #[test]
    fn what_is_not_changed_stays_octet_by_octet() {
        assert_eq!(Header::parse(HEADER).to_bytes(), HEADER);
    }

    #[test]
    fn a_field_is_inserted_at_its_place() {
        let edit = Edit::Insert { index: 1, name: "X-A".into(), value: "b\n\tc".into() };
        assert!(after(edit).starts_with("Received: one\r\n\tby two\r\nX-A: b\r\n\tc\r\nFrom: a@b\r\n"));
    }

    #[test]
    fn the_second_field_of_a_name_is_meant_by_2() {
        let edit = Edit::Change { index: 2, name: "received".into(), value: "four".into() };
        assert!(after(edit).ends_with("Received: four\r\n\r\n"));
        let edit = Edit::Remove { index: 1, name: "RECEIVED".into() };
        assert!(after(edit).starts_with("From: a@b\r\n"));
        let edit = Edit::Remove { index: 0, name: "Received".into() };
        assert_eq!(after(edit), "From: a@b\r\nSubject: x\r\n\r\n");
    }

    #[test]
    fn nobody_changes_who_sent_it() {
        for name in ["From", "FROM", "sender", "Resent-From", "X-MS-Exchange-Organization-AuthAs"] {
            let mut header = Header::parse(HEADER);
            for edit in [
                Edit::Add { name: name.into(), value: "x".into() },
                Edit::Change { index: 1, name: name.into(), value: "x".into() },
                Edit::Remove { index: 1, name: name.into() },
                Edit::Insert { index: 0, name: name.into(), value: "x".into() },
            ] {
                assert!(!header.apply(&edit), "{edit:?}");
            }
            assert_eq!(header.to_bytes(), HEADER);
        }
    }

    #[test]
    fn a_value_cannot_bring_a_field_of_its_own() {
        for value in ["x\r\nFrom: ceo@example.com", "x\nFrom: y", "x\r\n\r\nbody", "x\rFrom: y", "x\0y"] {
            let mut header = Header::parse(HEADER);
            let edit = Edit::Add { name: "X-A".into(), value: value.into() };
            if header.apply(&edit) {
                assert_eq!(Header::parse(&header.to_bytes()).fields().filter(|(name, _)| *name == "From").count(), 1);
                assert!(!String::from_utf8(header.to_bytes()).unwrap().contains("body"), "{value:?}");
            }
        }
        let mut header = Header::parse(HEADER);
        assert!(!header.apply(&Edit::Add { name: "X-A: b\r\nFrom".into(), value: "x".into() }));
    }
}

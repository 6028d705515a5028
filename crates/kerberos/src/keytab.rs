//! Keytab files, as `ktutil` and `samba-tool domain exportkeytab` write them (version 5.2 of MIT Kerberos).

use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::Key;

/// The largest file that is read, in octets.
const LARGEST: u64 = 1 << 20;

/// Why a keytab cannot be used.
#[derive(Debug, Error)]
pub enum KeytabError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no keytab.
    #[error("{}: this is no keytab of version 5.2", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
}

/// Keys of AES.
#[derive(Debug)]
pub struct Keytab(Vec<Entry>);

/// One key.
pub struct Entry {
    /// The principal's name, without its realm: `["smtp", "mail.example.com"]`, `["svc-procura"]`.
    pub components: Vec<String>,
    /// Its realm.
    pub realm: String,
    /// The version of the key.
    pub kvno: u32,
    /// The key.
    pub key: Key,
}

impl Keytab {
    /// Reads a keytab file; its keys of other types than AES are left out.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Keytab, KeytabError> {
        let file = |source| KeytabError::File { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(file)?.len() > LARGEST {
            return Err(KeytabError::Format { path: path.to_owned() });
        }
        let octets = Zeroizing::new(std::fs::read(path).map_err(file)?);
        Keytab::parse(&octets).ok_or_else(|| KeytabError::Format { path: path.to_owned() })
    }

    /// The keys of AES of a keytab; `None`: it is none.
    pub fn parse(octets: &[u8]) -> Option<Keytab> {
        entries(octets).map(Keytab)
    }

    /// Without the keys of other services; names of services are compared as Active Directory does, without regard to case.
    #[must_use]
    pub fn of_service(mut self, service: &str) -> Keytab {
        self.0.retain(|entry| entry.components.first().is_some_and(|own| own.eq_ignore_ascii_case(service)));
        self
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of this encryption type for a principal; without a version the newest. Names are compared as Active Directory
    /// does, without regard to case.
    pub fn find(&self, service: &[String], realm: &str, kvno: Option<u32>, etype: u32) -> Option<&Entry> {
        let same = |a: &String, b: &String| a.eq_ignore_ascii_case(b);
        let fits = |entry: &&Entry| {
            entry.key.etype() == etype
                && entry.realm.eq_ignore_ascii_case(realm)
                && entry.components.len() == service.len()
                && entry.components.iter().zip(service).all(|(a, b)| same(a, b))
                && kvno.is_none_or(|kvno| kvno == entry.kvno)
        };
        self.0.iter().filter(fits).max_by_key(|entry| entry.kvno)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{} version {}", self.components.join("/"), self.realm, self.kvno)
    }
}

/// The entries of a keytab that have a key of AES; `None`: it is none.
fn entries(octets: &[u8]) -> Option<Vec<Entry>> {
    let mut rest = octets.strip_prefix(&[5, 2])?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(take(&mut rest)?);
        let (record, after) = rest.split_at_checked(length.unsigned_abs() as usize)?;
        rest = after;
        // A negative length is a hole where an entry was removed; a zero one ends the file.
        match length {
            0 => break,
            1.. => entries.extend(entry(record)?),
            _ => {}
        }
    }
    Some(entries)
}

/// An entry; `Some(None)`: its key is of another kind. `None`: it is none.
fn entry(mut rest: &[u8]) -> Option<Option<Entry>> {
    let count = u16::from_be_bytes(take(&mut rest)?);
    let realm = text(&mut rest)?;
    let components = (0..count).map(|_| text(&mut rest)).collect::<Option<_>>()?;
    let _name_type: [u8; 4] = take(&mut rest)?;
    let _timestamp: [u8; 4] = take(&mut rest)?;
    let [short] = take(&mut rest)?;
    let etype = u16::from_be_bytes(take(&mut rest)?);
    let key = Key::new(etype.into(), counted(&mut rest)?.to_vec());
    // The version in 32 bits, where it is there and not 0.
    let long = take(&mut rest).map(u32::from_be_bytes).filter(|version| *version != 0);
    Some(key.map(|key| Entry { components, realm, kvno: long.unwrap_or(short.into()), key }))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn counted<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let length = u16::from_be_bytes(take(rest)?);
    let (taken, after) = rest.split_at_checked(length.into())?;
    *rest = after;
    Some(taken)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(counted(rest)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AES128, AES256};
    use proptest::prelude::*;

    fn record(components: &[&str], kvno: u8, long: Option<u32>) -> Vec<u8> {
        record_of(components, kvno, long, 18, 32)
    }

    fn record_of(components: &[&str], kvno: u8, long: Option<u32>, etype: u8, length: u8) -> Vec<u8> {
        let mut body = (components.len() as u16).to_be_bytes().to_vec();
        for text in std::iter::once(&"EXAMPLE.TEST").chain(components) {
            body.extend((text.len() as u16).to_be_bytes());
            body.extend(text.as_bytes());
        }
        body.extend([0, 0, 0, 1, 0, 0, 0, 0, kvno, 0, etype, 0, length]);
        body.extend(vec![kvno; length.into()]);
        body.extend(long.into_iter().flat_map(u32::to_be_bytes));
        [&(body.len() as i32).to_be_bytes()[..], &body].concat()
    }

    fn keytab(records: &[Vec<u8>]) -> Vec<u8> {
        [&[5, 2][..], &records.concat()].concat()
    }

    #[test]
    fn the_newest_key_is_taken_unless_the_ticket_names_one() {
        let octets = keytab(&[
            record(&["smtp", "mail"], 1, None),
            vec![0xFF, 0xFF, 0xFF, 0xFE, 9, 9],
            record(&["smtp", "mail"], 2, Some(300)),
            record(&["host", "mail"], 3, None),
        ]);
        let keytab = Keytab::parse(&octets).unwrap();
        let service = ["SMTP".to_owned(), "mail".to_owned()];
        let find = |kvno| keytab.find(&service, "example.test", kvno, AES256).map(|entry| entry.kvno);
        assert_eq!(find(None), Some(300));
        assert_eq!(find(Some(1)), Some(1));
        assert_eq!(find(Some(2)), None);
        assert_eq!(keytab.find(&service, "OTHER.TEST", None, AES256).map(|entry| entry.kvno), None);
    }

    #[test]
    fn keys_of_aes_128_and_256_are_kept_apart_and_rc4_is_left_out() {
        let service = ["smtp", "mail"];
        let octets = keytab(&[
            record_of(&service, 1, None, 17, 16),
            record_of(&service, 2, None, 18, 32),
            record_of(&service, 3, None, 23, 16),
        ]);
        let keytab = Keytab::parse(&octets).unwrap();
        let find =
            |etype| keytab.find(&service.map(str::to_owned), "EXAMPLE.TEST", None, etype).map(|entry| entry.kvno);
        assert_eq!([find(AES128), find(AES256), find(23)], [Some(1), Some(2), None]);
    }

    #[test]
    fn keys_of_rc4_and_of_other_services_are_none_for_us() {
        let of = |octets: &[u8]| Keytab::parse(octets).map(|keytab| keytab.of_service("smtp").is_empty());
        assert_eq!(of(&keytab(&[record_of(&["smtp", "mail"], 1, None, 23, 16)])), Some(true));
        assert_eq!(of(&keytab(&[record(&["host", "mail"], 1, None)])), Some(true));
        assert_eq!(of(&keytab(&[record(&["SMTP", "mail"], 1, None)])), Some(false));
        assert_eq!(of(b"not a keytab"), None);
    }

    #[test]
    fn a_key_is_not_shown_by_debug() {
        let entries = entries(&keytab(&[record(&["smtp", "mail"], 7, None)])).unwrap();
        assert_eq!(format!("{entries:?}"), "[smtp/mail@EXAMPLE.TEST version 7]");
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>) {
            let _ = Keytab::parse(&[&[5, 2][..], &octets].concat());
        }
    }
}

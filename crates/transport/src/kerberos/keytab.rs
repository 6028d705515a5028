//! Keytab files, as `ktutil` and `samba-tool domain exportkeytab` write them (version 5.2 of MIT Kerberos).

use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::AES256;

/// The service whose tickets are for us.
const SERVICE: &str = "smtp";
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
    /// It has no key that can be used here.
    #[error("{}: it has no key of type aes256-cts-hmac-sha1-96 for a service principal smtp/…", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

/// The keys for service `smtp`.
#[derive(Debug)]
pub(super) struct Keytab(Vec<Entry>);

/// One key.
pub(super) struct Entry {
    pub(super) components: Vec<String>,
    pub(super) realm: String,
    pub(super) kvno: u32,
    pub(super) etype: u16,
    pub(super) key: Zeroizing<Vec<u8>>,
}

impl Keytab {
    pub(super) fn read(path: &Path) -> Result<Keytab, KeytabError> {
        let file = |source| KeytabError::File { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(file)?.len() > LARGEST {
            return Err(KeytabError::Format { path: path.to_owned() });
        }
        let octets = Zeroizing::new(std::fs::read(path).map_err(file)?);
        let mut entries = parse(&octets).ok_or_else(|| KeytabError::Format { path: path.to_owned() })?;
        entries.retain(|entry| {
            entry.etype == AES256
                && entry.key.len() == 32
                && entry.components.first().is_some_and(|service| service.eq_ignore_ascii_case(SERVICE))
        });
        if entries.is_empty() {
            return Err(KeytabError::NoKey { path: path.to_owned() });
        }
        Ok(Keytab(entries))
    }

    /// The key for a ticket; without a version the newest. Names of services are compared as Active Directory does,
    /// without regard to case.
    pub(super) fn find(&self, service: &[String], realm: &str, kvno: Option<u32>) -> Option<&Entry> {
        let same = |a: &String, b: &String| a.eq_ignore_ascii_case(b);
        let fits = |entry: &&Entry| {
            entry.realm.eq_ignore_ascii_case(realm)
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

/// The entries of a keytab; `None`: it is none.
fn parse(octets: &[u8]) -> Option<Vec<Entry>> {
    let mut rest = octets.strip_prefix(&[5, 2])?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(take(&mut rest)?);
        let (record, after) = rest.split_at_checked(length.unsigned_abs() as usize)?;
        rest = after;
        // A negative length is a hole where an entry was removed; a zero one ends the file.
        match length {
            0 => break,
            1.. => entries.push(entry(record)?),
            _ => {}
        }
    }
    Some(entries)
}

fn entry(mut rest: &[u8]) -> Option<Entry> {
    let count = u16::from_be_bytes(take(&mut rest)?);
    let realm = text(&mut rest)?;
    let components = (0..count).map(|_| text(&mut rest)).collect::<Option<_>>()?;
    let _name_type: [u8; 4] = take(&mut rest)?;
    let _timestamp: [u8; 4] = take(&mut rest)?;
    let [short] = take(&mut rest)?;
    let etype = u16::from_be_bytes(take(&mut rest)?);
    let key = Zeroizing::new(counted(&mut rest)?.to_vec());
    // The version in 32 bits, where it is there and not 0.
    let long = take(&mut rest).map(u32::from_be_bytes).filter(|version| *version != 0);
    Some(Entry { components, realm, kvno: long.unwrap_or(short.into()), etype, key })
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
    use proptest::prelude::*;

    fn record(components: &[&str], kvno: u8, long: Option<u32>) -> Vec<u8> {
        let mut body = (components.len() as u16).to_be_bytes().to_vec();
        for text in std::iter::once(&"EXAMPLE.TEST").chain(components) {
            body.extend((text.len() as u16).to_be_bytes());
            body.extend(text.as_bytes());
        }
        body.extend([0, 0, 0, 1, 0, 0, 0, 0, kvno, 0, 18, 0, 32]);
        body.extend([kvno; 32]);
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
        let keytab = Keytab(parse(&octets).unwrap());
        let service = ["SMTP".to_owned(), "mail".to_owned()];
        let find = |kvno| keytab.find(&service, "example.test", kvno).map(|entry| entry.kvno);
        assert_eq!(find(None), Some(300));
        assert_eq!(find(Some(1)), Some(1));
        assert_eq!(find(Some(2)), None);
        assert_eq!(keytab.find(&service, "OTHER.TEST", None).map(|entry| entry.kvno), None);
    }

    #[test]
    fn a_file_without_a_key_for_us_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("krb5.keytab");
        std::fs::write(&path, keytab(&[record(&["host", "mail"], 1, None)])).unwrap();
        assert!(matches!(Keytab::read(&path), Err(KeytabError::NoKey { .. })));
        std::fs::write(&path, "not a keytab").unwrap();
        assert!(matches!(Keytab::read(&path), Err(KeytabError::Format { .. })));
    }

    #[test]
    fn a_key_is_not_shown_by_debug() {
        let entries = parse(&keytab(&[record(&["smtp", "mail"], 7, None)])).unwrap();
        assert_eq!(format!("{entries:?}"), "[smtp/mail@EXAMPLE.TEST version 7]");
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>) {
            let _ = parse(&[&[5, 2][..], &octets].concat());
        }
    }
}

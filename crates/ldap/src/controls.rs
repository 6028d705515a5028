//! Controls of Active Directory (MS-ADTS 3.1.1.3.4.1) and paged results (RFC 2696).

use crate::ber::{INTEGER, Malformed, OCTETS, Reader, SEQUENCE, Writer};
use crate::message::Control;

/// LDAP_SERVER_SD_FLAGS_OID
const DESCRIPTOR: &str = "1.2.840.113556.1.4.801";
/// LDAP_SERVER_EXTENDED_DN_OID
const EXTENDED_DN: &str = "1.2.840.113556.1.4.529";
/// LDAP_SERVER_SHOW_DELETED_OID
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
/// LDAP_SERVER_SHOW_RECYCLED_OID
const SHOW_RECYCLED: &str = "1.2.840.113556.1.4.2064";
/// LDAP_SERVER_DIRSYNC_OID
const DIRSYNC: &str = "1.2.840.113556.1.4.841";
/// LDAP_PAGED_RESULT_OID_STRING
const PAGES: &str = "1.2.840.113556.1.4.319";

/// LDAP_SERVER_NOTIFICATION_OID
const NOTIFICATION: &str = "1.2.840.113556.1.4.528";

/// Owner, group and DACL; without the SACL, which takes a privilege.
pub const OWNER_GROUP_DACL: i64 = 7;
/// The DACL alone: what is written.
pub const DACL: i64 = 4;

/// Which parts of a descriptor are read or written.
pub fn descriptor_parts(parts: i64) -> Control {
    let mut writer = Writer::default();
    writer.nested(SEQUENCE, |to| {
        to.integer(INTEGER, parts);
    });
    critical(DESCRIPTOR, Some(writer.into_bytes()))
}

/// DNs as `<GUID=…>;<SID=…>;DN`: links that say which object they mean, whatever it is called by now.
pub fn extended_dn() -> Control {
    let mut writer = Writer::default();
    // 1: GUIDs and SIDs as text.
    writer.nested(SEQUENCE, |to| {
        to.integer(INTEGER, 1);
    });
    critical(EXTENDED_DN, Some(writer.into_bytes()))
}

/// Whatever changes from now on, without end.
pub fn notify() -> Control {
    critical(NOTIFICATION, None)
}

/// Deleted objects too (MS-ADTS 3.1.1.3.4.1.14); and those of which a recycle bin keeps no more than that they were there
/// (3.1.1.3.4.1.26), where the server knows of such.
pub fn show_deleted() -> [Control; 2] {
    [critical(SHOW_DELETED, None), Control { oid: SHOW_RECYCLED.to_owned(), critical: false, value: None }]
}

/// So many objects, from a cookie on; an empty one: from the first.
pub fn page(size: u32, cookie: &[u8]) -> Control {
    let mut writer = Writer::default();
    writer.nested(SEQUENCE, |to| {
        to.integer(INTEGER, i64::from(size)).octets(OCTETS, cookie);
    });
    critical(PAGES, Some(writer.into_bytes()))
}

/// The cookie of the next page; none: that was the last one.
///
/// # Errors
/// The control is malformed.
pub fn next_page(controls: &[Control]) -> Result<Option<Vec<u8>>, Malformed> {
    let Some(value) = value(controls, PAGES) else { return Ok(None) };
    let mut reader = Reader::new(value).enter(SEQUENCE)?;
    reader.integer(INTEGER)?;
    let cookie = reader.expect(OCTETS)?;
    Ok((!cookie.is_empty()).then(|| cookie.to_vec()))
}

/// LDAP_DIRSYNC_OBJECT_SECURITY: what the account may see, without the right to replicate.
pub const OBJECT_SECURITY: i64 = 1;
/// LDAP_DIRSYNC_ANCESTORS_FIRST_ORDER
pub const ANCESTORS_FIRST: i64 = 0x800;

/// What changed since a cookie; an empty one: everything.
pub fn dirsync(flags: i64, cookie: &[u8]) -> Control {
    let mut writer = Writer::default();
    writer.nested(SEQUENCE, |to| {
        // The largest answer, in octets.
        to.integer(INTEGER, flags).integer(INTEGER, 0x10_0000).octets(OCTETS, cookie);
    });
    critical(DIRSYNC, Some(writer.into_bytes()))
}

/// What DirSync says with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Where to go on from.
    pub cookie: Vec<u8>,
    /// There is more right now.
    pub more: bool,
}

/// Reads it; none: the server did not do DirSync.
///
/// # Errors
/// The control is malformed.
pub fn synced(controls: &[Control]) -> Result<Option<Synced>, Malformed> {
    let Some(value) = value(controls, DIRSYNC) else { return Ok(None) };
    let mut reader = Reader::new(value).enter(SEQUENCE)?;
    let more = reader.integer(INTEGER)? != 0;
    reader.integer(INTEGER)?;
    Ok(Some(Synced { cookie: reader.expect(OCTETS)?.to_vec(), more }))
}

fn critical(oid: &str, value: Option<Vec<u8>>) -> Control {
    Control { oid: oid.to_owned(), critical: true, value }
}

fn value<'a>(controls: &'a [Control], oid: &str) -> Option<&'a [u8]> {
    controls.iter().find(|control| control.oid == oid)?.value.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_group_and_dacl_are_flag_7() {
        assert_eq!(descriptor_parts(OWNER_GROUP_DACL).value.unwrap(), [0x30, 3, 2, 1, 7]);
    }

    #[test]
    fn a_server_without_a_recycle_bin_shows_what_was_deleted_too() {
        let [deleted, recycled] = show_deleted();
        assert!(deleted.critical && !recycled.critical, "what it does not know and must not pass over, it refuses");
    }

    #[test]
    fn the_cookie_of_a_page_reads_as_it_was_written() {
        assert_eq!(next_page(&[page(500, b"abc")]), Ok(Some(b"abc".to_vec())));
        assert_eq!(next_page(&[page(500, b"")]), Ok(None));
    }

    #[test]
    fn the_cookie_of_dirsync_reads_as_it_was_written() {
        let cookie = b"MSDS".to_vec();
        assert_eq!(synced(&[dirsync(1, &cookie)]), Ok(Some(Synced { cookie, more: true })));
    }
}

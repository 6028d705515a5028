//! Entries of descriptors in words, and back.

use acl::names::{self, Kind};
use acl::{AccessMask, Ace, AceFlags, Acl, Guid, SddlContext, SecurityDescriptor};
use directory::Snapshot;
use rights::RightName;

use crate::error::{Fault, FaultKind};
use crate::operations::Inheritance;

/// Rights that are bits of the mask, as commands spell them.
const BITS: [(&str, AccessMask); 13] = [
    ("create-child", AccessMask::CREATE_CHILD),
    ("delete-child", AccessMask::DELETE_CHILD),
    ("list-children", AccessMask::LIST_CHILDREN),
    ("self", AccessMask::SELF_WRITE),
    ("read-property", AccessMask::READ_PROPERTY),
    ("write-property", AccessMask::WRITE_PROPERTY),
    ("delete-tree", AccessMask::DELETE_TREE),
    ("list-object", AccessMask::LIST_OBJECT),
    ("extended-right", AccessMask::CONTROL_ACCESS),
    ("delete", AccessMask::DELETE),
    ("read-control", AccessMask::READ_CONTROL),
    ("write-dac", AccessMask::WRITE_DAC),
    ("write-owner", AccessMask::WRITE_OWNER),
];

/// Mailbox rights (facts §4), as commands spell them.
const MAILBOX: [(&str, AccessMask); 6] = [
    ("full-access", AccessMask(0x1)),
    ("send-as (has no effect)", AccessMask(0x2)),
    ("delete-item", AccessMask::DELETE),
    ("read-permission", AccessMask::READ_CONTROL),
    ("change-permission", AccessMask::WRITE_DAC),
    ("change-owner", AccessMask::WRITE_OWNER),
];

/// Rights that are several bits (MS-ADTS 5.1.3.2), and other names, as Add-ADPermission has them.
const OTHERS: [(&str, AccessMask); 6] = [
    ("full-control", AccessMask::DS_FULL_CONTROL),
    ("generic-all", AccessMask::DS_FULL_CONTROL),
    ("generic-read", AccessMask(0x20094)),
    ("generic-write", AccessMask(0x20028)),
    ("generic-execute", AccessMask(0x20004)),
    ("write-dacl", AccessMask::WRITE_DAC),
];

/// The mask and the object type of a right by any of its names: `write-dac`, `WriteDacl`, `Send As`,
/// `write-property proxyAddresses`, `create-child user`.
pub fn right(text: &str) -> Result<(AccessMask, Option<Guid>), Fault> {
    let folded = |text: &str| text.to_ascii_lowercase().replace([' ', '_', '-'], "");
    let bits = |text: &str| {
        let named = BITS.iter().chain(&OTHERS).find(|(name, _)| folded(name) == folded(text));
        named.map(|(_, mask)| *mask)
    };
    if let Some(mask) = bits(text.trim()) {
        return Ok((mask, None));
    }
    if let Some((first, of)) = text.trim().split_once(' ')
        && let Some(object_type) = bits(first).and_then(|bit| of_bit(bit, of.trim()))
    {
        return object_type.map(|(mask, guid)| (mask, Some(guid)));
    }
    if let Some(right) = RightName::parse(text.trim()) {
        return Ok((AccessMask::CONTROL_ACCESS, Some(right.guid())));
    }
    if let Some(row) = names::by_name(text.trim()).filter(|row| row.kind == Kind::ControlAccessRight) {
        return Ok((AccessMask::CONTROL_ACCESS, Some(row.guid)));
    }
    Err(Fault::new(FaultKind::Invalid, format!("there is no right `{text}`")).help(
        "rights are: Send As, Receive As, ms-Exch-SMTP-Submit and the other rights of connectors, full-control, \
         extended-right (all of them), read-property, write-property, create-child, delete-child, delete, write-dac, …; \
         with what they are about: write-property proxyAddresses, create-child user",
    ))
}

/// A right on a property, a property set, a validated write or a class of children; none where it is about nothing.
fn of_bit(bit: AccessMask, name: &str) -> Option<Result<(AccessMask, Guid), Fault>> {
    let kinds: &[Kind] = match bit {
        AccessMask::CREATE_CHILD | AccessMask::DELETE_CHILD => return Some(class(name).map(|guid| (bit, guid))),
        AccessMask::READ_PROPERTY | AccessMask::WRITE_PROPERTY => &[Kind::Attribute, Kind::PropertySet],
        AccessMask::SELF_WRITE => &[Kind::ValidatedWrite],
        _ => return None,
    };
    let named = |row: &&names::Name| {
        kinds.contains(&row.kind)
            && (row.name.eq_ignore_ascii_case(name) || row.display_name.eq_ignore_ascii_case(name))
    };
    let guid = names::NAMES.iter().find(named).map(|row| row.guid).or_else(|| name.parse().ok());
    Some(guid.map(|guid| (bit, guid)).ok_or_else(|| {
        Fault::new(FaultKind::Invalid, format!("nothing that can be written or read is called `{name}`"))
            .help("name an attribute (proxyAddresses), a property set (Personal Information), or its schemaIDGUID")
    }))
}

/// The mask of a mailbox right.
pub fn mailbox_right(text: &str) -> Result<AccessMask, Fault> {
    let folded = text.trim().to_ascii_lowercase().replace([' ', '_'], "-");
    let folded = if folded == "fullaccess" || folded == "full-mailbox-access" { "full-access".into() } else { folded };
    let found = MAILBOX.iter().find(|(name, _)| *name == folded);
    found.map(|(_, mask)| *mask).ok_or_else(|| {
        if EXTERNAL_ACCOUNT.contains(&folded.as_str()) {
            // S0: “this is not a permission at all, but a convenient way to control the value of the
            // msExchMasterAccountSID attribute”.
            return Fault::new(FaultKind::Invalid, "the Associated External Account is no permission of a mailbox")
                .help("`procura mailbox link OWNER ACCOUNT` sets it, for one account of another forest");
        }
        if FOLDER_RIGHTS.contains(&folded.as_str()) {
            return Fault::new(FaultKind::Invalid, format!("`{text}` is a right on folders, not on the mailbox")).help(
                "`procura folder-permission add` grants it on one; full-access is the right on the whole mailbox",
            );
        }
        Fault::new(FaultKind::Invalid, format!("there is no mailbox right `{text}`"))
            .help("mailbox rights are: full-access, read-permission, change-permission, change-owner, delete-item")
    })
}

/// Names of the right that is none.
const EXTERNAL_ACCOUNT: [&str; 3] = ["external-account", "externalaccount", "associated-external-account"];

/// Roles and rights on MAPI folders (facts §4), as Outlook and the Exchange cmdlets name them.
const FOLDER_RIGHTS: [&str; 22] = [
    "owner",
    "publishing-editor",
    "publishingeditor",
    "editor",
    "publishing-author",
    "publishingauthor",
    "author",
    "non-editing-author",
    "noneditingauthor",
    "reviewer",
    "contributor",
    "read-items",
    "readitems",
    "create-items",
    "createitems",
    "edit-all-items",
    "editallitems",
    "delete-all-items",
    "deleteallitems",
    "create-subfolders",
    "folder-visible",
    "foldervisible",
];

/// What an entry grants or denies, in words.
pub fn rights(ace: &Ace) -> Vec<String> {
    let named = |guid: &Guid| match right_name(guid) {
        Some(name) => name.to_owned(),
        None => names::by_guid(guid).map_or_else(|| guid.to_string(), |row| row.display_name.to_owned()),
    };
    let mask = ace.mask;
    if mask.contains(AccessMask::DS_FULL_CONTROL) && ace.object_type.is_none() {
        return vec!["full-control".into()];
    }
    let mut words = Vec::new();
    for (name, bit) in BITS {
        if !mask.contains(bit) {
            continue;
        }
        words.push(match (&ace.object_type, bit) {
            (Some(guid), AccessMask::CONTROL_ACCESS) => named(guid),
            (None, AccessMask::CONTROL_ACCESS) => "all extended rights".to_owned(),
            (Some(guid), AccessMask::CREATE_CHILD | AccessMask::DELETE_CHILD | AccessMask::READ_PROPERTY)
            | (Some(guid), AccessMask::WRITE_PROPERTY | AccessMask::SELF_WRITE) => format!("{name} {}", named(guid)),
            _ => name.to_owned(),
        });
    }
    if words.is_empty() {
        words.push(format!("{:#x}", mask.0));
    }
    words
}

/// What an entry of a mailbox descriptor grants or denies, in words.
pub fn mailbox_rights(ace: &Ace) -> Vec<String> {
    let known: u32 = MAILBOX.iter().map(|(_, bit)| bit.0).fold(0, |all, bit| all | bit);
    let mut words: Vec<String> =
        MAILBOX.iter().filter(|(_, bit)| ace.mask.contains(*bit)).map(|(name, _)| (*name).to_owned()).collect();
    if ace.mask.0 & !known != 0 {
        words.push(format!("{:#x}", ace.mask.0 & !known));
    }
    words
}

/// Which objects below inherit an entry: `all`, a class, or nothing.
pub fn inherited_by(ace: &Ace) -> Option<String> {
    if !ace.flags.contains(AceFlags::CONTAINER_INHERIT) {
        return None;
    }
    Some(match &ace.inherited_object_type {
        Some(class) => names::by_guid(class).map_or_else(|| class.to_string(), |row| row.name.to_owned()),
        None => "all".to_owned(),
    })
}

/// What an explicit entry is inherited by, where that is not what its class alone would say.
pub fn inheritance(ace: &Ace) -> Option<Inheritance> {
    Inheritance::of(ace.flags).filter(|of| !matches!(of, Inheritance::None | Inheritance::Descendents))
}

/// One entry as SDDL.
pub fn sddl(snapshot: &Snapshot, ace: &Ace) -> String {
    let domain = snapshot.domains().first().map(|domain| domain.sid.clone());
    let context = SddlContext { domain, ..SddlContext::default() };
    let one = SecurityDescriptor::with_dacl(Acl::new(vec![ace.clone()]));
    let text = one.to_sddl(&context);
    text.find('(').map_or(text.clone(), |start| text[start..].to_owned())
}

/// The schema GUID of a class by its LDAP name.
pub fn class(name: &str) -> Result<Guid, Fault> {
    let known = directory::Class::from_ldap_name(name.as_bytes()).map(directory::Class::schema_guid);
    let named = || names::by_name(name).filter(|row| row.kind == Kind::Class).map(|row| row.guid);
    known.or_else(named).ok_or_else(|| {
        Fault::new(FaultKind::Invalid, format!("there is no class `{name}`"))
            .help("classes are: user, group, contact, …")
    })
}

pub fn quoted(name: &str) -> String {
    if name.contains(' ') { format!("“{name}”") } else { name.to_owned() }
}

fn right_name(guid: &Guid) -> Option<&'static str> {
    rights::RIGHTS.iter().find(|right| right.guid == *guid).map(|right| right.name)
}

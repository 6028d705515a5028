//! Writing LDIF.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Entry, EntryChange, Operation};
use crate::Record;

/// Writes objects as LDIF content records, each below `dn` given with it, lines folded at 76 columns.
pub fn write<'a>(objects: impl IntoIterator<Item = (&'a str, &'a Record)>) -> String {
    let mut out = String::from("version: 1\n");
    for (dn, record) in objects {
        out.push('\n');
        line(&mut out, "dn", dn.as_bytes());
        line(&mut out, "objectGUID", &record.guid.0);
        for (name, values) in &record.attributes {
            values.iter().for_each(|value| line(&mut out, name, value));
        }
    }
    out
}

/// Writes entries as they were read, with a `changetype` each.
pub fn write_entries(entries: &[Entry]) -> String {
    let mut out = String::from("version: 1\n");
    for entry in entries {
        out.push('\n');
        line(&mut out, "dn", entry.dn.as_bytes());
        match &entry.change {
            EntryChange::Add(attributes) => {
                out.push_str("changetype: add\n");
                attributes.iter().for_each(|(name, value)| line(&mut out, name, value));
            }
            EntryChange::Modify(modifications) => {
                out.push_str("changetype: modify\n");
                for modification in modifications {
                    let keyword = match modification.operation {
                        Operation::Add => "add",
                        Operation::Delete => "delete",
                        Operation::Replace => "replace",
                    };
                    line(&mut out, keyword, modification.attribute.as_bytes());
                    modification.values.iter().for_each(|value| line(&mut out, &modification.attribute, value));
                    out.push_str("-\n");
                }
            }
            EntryChange::Delete => out.push_str("changetype: delete\n"),
            EntryChange::Rename { rdn, delete_old, parent } => {
                out.push_str("changetype: modrdn\n");
                line(&mut out, "newrdn", rdn.as_bytes());
                line(&mut out, "deleteoldrdn", if *delete_old { b"1" } else { b"0" });
                if let Some(parent) = parent {
                    line(&mut out, "newsuperior", parent.as_bytes());
                }
            }
        }
    }
    out
}

/// One logical line, folded (RFC 2849 note 2) and base64 where it must be.
fn line(out: &mut String, name: &str, value: &[u8]) {
    let mut text = String::with_capacity(name.len() + value.len() + 3);
    text.push_str(name);
    match std::str::from_utf8(value) {
        Ok(plain) if is_safe(value) => {
            text.push_str(if plain.is_empty() { ":" } else { ": " });
            text.push_str(plain);
        }
        _ => {
            text.push_str(":: ");
            STANDARD.encode_string(value, &mut text);
        }
    }
    // All ASCII by now: any place is a character border.
    let mut rest = text.as_str();
    let mut width = 76;
    while rest.len() > width {
        let (now, later) = rest.split_at(width);
        out.push_str(now);
        out.push_str("\n ");
        rest = later;
        width = 75;
    }
    out.push_str(rest);
    out.push('\n');
}

/// SAFE-STRING of RFC 2849, without trailing spaces either (note 8).
fn is_safe(value: &[u8]) -> bool {
    value.iter().all(|b| (0x20..0x7f).contains(b))
        && !matches!(value.first(), Some(b' ' | b':' | b'<'))
        && value.last() != Some(&b' ')
}

//! What a dump holds that means nothing to decisions: kept, and told once.

use std::collections::BTreeMap;

use super::{Importer, Warning, values};
use crate::attributes::{MAILBOX_DESCRIPTOR_COPY, OBJECT_CLASS};
use crate::{Class, ldif};

/// Classes that are told by name; the rest is counted.
const TOLD: usize = 30;

/// What was met so far.
#[derive(Default)]
pub(super) struct Unknown {
    /// Objects by class, and the first of all.
    classes: BTreeMap<String, u64>,
    first: Option<(usize, String)>,
    /// Mailboxes with a backup copy of their rights, and the first of them.
    copies: u64,
    first_copy: Option<(usize, String)>,
}

impl Importer<'_> {
    /// Counts an object of the file.
    pub(super) fn count_unknown(&mut self, source: &values::Source) {
        let here = || (source.line, source.dn.clone());
        if source.class == Class::Other {
            let class = source.attributes.get(OBJECT_CLASS).and_then(|values| values.last());
            let name = class.map_or_else(|| "none".to_owned(), |name| String::from_utf8_lossy(name).into_owned());
            *self.unknown.classes.entry(name).or_default() += 1;
            self.unknown.first.get_or_insert_with(here);
        }
        if source.attributes.contains_key(MAILBOX_DESCRIPTOR_COPY) {
            self.unknown.copies += 1;
            self.unknown.first_copy.get_or_insert_with(here);
        }
    }

    /// Tells of what was counted.
    pub(super) fn tell_unknown(&mut self) {
        let Unknown { classes, first, copies, first_copy } = std::mem::take(&mut self.unknown);
        if let Some((line, dn)) = first {
            let objects: u64 = classes.values().sum();
            let mut named: Vec<(&String, &u64)> = classes.iter().collect();
            named.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
            let more = named.len().saturating_sub(TOLD);
            let named: Vec<String> = named.iter().take(TOLD).map(|(name, count)| format!("{name} {count}")).collect();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let text = format!(
                "{objects} objects, this one the first, are of classes that mean nothing here; they are kept, and \
                 permissions are inherited through them: {}{more}",
                named.join(", ")
            );
            self.summary.warnings.push(Warning { line, dn, text });
        }
        if let Some((line, dn)) = first_copy {
            let text = format!(
                "{copies} objects, this one the first, come with {MAILBOX_DESCRIPTOR_COPY}: a backup copy of mailbox \
                 rights, kept and never read; `procura mailbox-permission add` gives mailbox rights"
            );
            self.summary.warnings.push(Warning { line, dn, text });
        }
    }

    /// Tells of a direct write to the backup copy, which changes no right (S0).
    pub(super) fn tell_copy_written(&mut self, entry: &ldif::Entry, attribute: &str) {
        if attribute.eq_ignore_ascii_case(MAILBOX_DESCRIPTOR_COPY) {
            let text = format!(
                "{MAILBOX_DESCRIPTOR_COPY} is a backup copy: writing it changes no right; use `procura mailbox-permission`"
            );
            self.warn(entry.line, &entry.dn, text);
        }
    }
}

//! SIDs in SDDL: aliases (MS-DTYP 2.5.1.1) and texts.

use std::fmt::Write;

use super::cursor::Cursor;
use super::{SddlContext, SddlError};
use crate::{Sid, sid};

enum Alias {
    Fixed(u64, &'static [u32]),
    /// RID in the domain.
    Domain(u32),
    /// RID in the forest's root domain.
    Root(u32),
}

use Alias::{Domain, Fixed, Root};

/// Every alias. Of two for one SID the first is written.
const ALIASES: [(&str, Alias); 69] = [
    ("AA", Fixed(5, &[32, 579])),
    ("AC", Fixed(15, &[2, 1])),
    ("AN", Fixed(5, &[7])),
    ("AO", Fixed(5, &[32, 548])),
    ("AP", Domain(525)),
    ("AS", Fixed(18, &[1])),
    ("AU", Fixed(5, &[11])),
    ("BA", Fixed(5, &[32, 544])),
    ("BG", Fixed(5, &[32, 546])),
    ("BO", Fixed(5, &[32, 551])),
    ("BU", Fixed(5, &[32, 545])),
    ("CA", Domain(517)),
    ("CD", Fixed(5, &[32, 574])),
    ("CG", Fixed(3, &[1])),
    ("CN", Domain(522)),
    ("CO", Fixed(3, &[0])),
    ("CY", Fixed(5, &[32, 569])),
    ("DA", Domain(512)),
    ("DC", Domain(515)),
    ("DD", Domain(516)),
    ("DG", Domain(514)),
    ("DU", Domain(513)),
    ("EA", Root(519)),
    ("ED", Fixed(5, &[9])),
    ("EK", Root(527)),
    ("ER", Fixed(5, &[32, 573])),
    ("ES", Fixed(5, &[32, 576])),
    ("HA", Fixed(5, &[32, 578])),
    ("HI", Fixed(16, &[12288])),
    ("IS", Fixed(5, &[32, 568])),
    ("IU", Fixed(5, &[4])),
    ("KA", Domain(526)),
    ("LA", Domain(500)),
    ("LG", Domain(501)),
    ("LS", Fixed(5, &[19])),
    ("LU", Fixed(5, &[32, 559])),
    ("LW", Fixed(16, &[4096])),
    ("ME", Fixed(16, &[8192])),
    ("MP", Fixed(16, &[8448])),
    ("MS", Fixed(5, &[32, 577])),
    ("MU", Fixed(5, &[32, 558])),
    ("NO", Fixed(5, &[32, 556])),
    ("NS", Fixed(5, &[20])),
    ("NU", Fixed(5, &[2])),
    ("OW", Fixed(3, &[4])),
    ("PA", Domain(520)),
    ("PO", Fixed(5, &[32, 550])),
    ("PS", Fixed(5, &[10])),
    ("PU", Fixed(5, &[32, 547])),
    ("RA", Fixed(5, &[32, 575])),
    ("RC", Fixed(5, &[12])),
    ("RD", Fixed(5, &[32, 555])),
    ("RE", Fixed(5, &[32, 552])),
    ("RM", Fixed(5, &[32, 580])),
    ("RO", Root(498)),
    ("RS", Domain(553)),
    ("RU", Fixed(5, &[32, 554])),
    ("SA", Root(518)),
    ("SI", Fixed(16, &[16384])),
    ("SO", Fixed(5, &[32, 549])),
    ("SS", Fixed(18, &[2])),
    ("SU", Fixed(5, &[6])),
    ("SY", Fixed(5, &[18])),
    ("UD", Fixed(5, &[84, 0, 0, 0, 0, 0])),
    ("WD", Fixed(1, &[0])),
    ("WR", Fixed(5, &[33])),
    ("DL", Fixed(5, &[32, 562])),
    ("HO", Fixed(5, &[32, 583])),
    ("SH", Fixed(5, &[32, 585])),
];

impl Cursor<'_> {
    /// A SID from a whole field, which began at `start`.
    pub(super) fn sid(&self, text: &str, start: usize) -> Result<Sid, SddlError> {
        let fault = |message: String| SddlError { offset: start, length: text.len(), message };
        // Windows ignores spaces, also those between the numbers.
        let dense: String;
        let mut text = text;
        if self.lenient() {
            dense = text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_uppercase()).collect();
            text = &dense;
        }
        if text.is_empty() {
            return Err(fault("expected a SID or its alias".into()));
        }
        if text.len() > 2 {
            let parsed = if self.lenient() { sid::parse_lenient(text) } else { text.parse() };
            return parsed.map_err(|e| fault(e.to_string()));
        }
        let alias = ALIASES.iter().find(|(letters, _)| *letters == text);
        let (_, alias) = alias.ok_or_else(|| fault(format!("unknown SID alias {text}")))?;
        alias.sid(self.context).ok_or_else(|| fault(format!("the alias {text} needs a domain SID")))
    }
}

impl Alias {
    fn sid(&self, context: &SddlContext) -> Option<Sid> {
        match self {
            Fixed(authority, subs) => Sid::from_parts(*authority, subs),
            Domain(rid) => context.domain.as_ref()?.with_rid(*rid),
            Root(rid) => context.root_domain.as_ref().or(context.domain.as_ref())?.with_rid(*rid),
        }
    }

    fn is(&self, sid: &Sid, context: &SddlContext) -> bool {
        match self {
            Fixed(authority, subs) => sid.authority() == *authority && sid.sub_authorities() == *subs,
            Domain(rid) => sid.rid() == Some(*rid) && sid.domain() == context.domain && context.domain.is_some(),
            Root(rid) => {
                let root = context.root_domain.as_ref().or(context.domain.as_ref());
                sid.rid() == Some(*rid) && root.is_some() && sid.domain().as_ref() == root
            }
        }
    }
}

/// Writes the alias of a SID if it has one, else `S-1-…`.
pub(super) fn write(out: &mut String, sid: &Sid, context: &SddlContext) {
    match ALIASES.iter().find(|(_, alias)| alias.is(sid, context)) {
        Some((letters, _)) => out.push_str(letters),
        None => {
            let _ = write!(out, "{sid}");
        }
    }
}

//! `(type;flags;rights;object;class;sid;condition)`

use std::fmt::{self, Write};

use super::cursor::Cursor;
use super::{SddlContext, SddlError, rights, sids};
use crate::condition::{Claim, Expression};
use crate::{AccessMask, Ace, AceFlags, AceType, Coda, Guid};

/// Flags in the order of output.
const FLAGS: [(&str, AceFlags); 7] = [
    ("OI", AceFlags::OBJECT_INHERIT),
    ("CI", AceFlags::CONTAINER_INHERIT),
    ("NP", AceFlags::NO_PROPAGATE),
    ("IO", AceFlags::INHERIT_ONLY),
    ("ID", AceFlags::INHERITED),
    ("SA", AceFlags::SUCCESSFUL_ACCESS),
    ("FA", AceFlags::FAILED_ACCESS),
];

impl<'a> Cursor<'a> {
    pub(super) fn ace(&mut self) -> Result<Ace, SddlError> {
        self.expect("(")?;
        let (text, start) = self.field()?;
        let ace_type = self.ace_type(text, start)?;
        let (text, start) = self.field()?;
        let flags = self.flags(text, start)?;
        let (text, start) = self.field()?;
        let mask = self.rights(text, start)?;
        let object_type = self.guid(ace_type)?;
        let inherited_object_type = self.guid(ace_type)?;
        let start = self.at();
        let text = self.take_while(|c| !matches!(c, ';' | ')' | '('));
        let sid = self.sid(text, start)?;
        let data = self.coda(ace_type)?;
        self.expect(")")?;
        Ok(Ace { ace_type, flags, mask, object_type, inherited_object_type, sid, data })
    }

    /// A field up to `;`, which is gone over.
    fn field(&mut self) -> Result<(&'a str, usize), SddlError> {
        let start = self.at();
        let text = self.take_while(|c| !matches!(c, ';' | ')' | '('));
        self.expect(";")?;
        if !self.lenient() {
            return Ok((text, start));
        }
        let trimmed = text.trim_start_matches(' ');
        Ok((trimmed.trim_end_matches(' '), start + text.len() - trimmed.len()))
    }

    fn ace_type(&self, text: &str, start: usize) -> Result<AceType, SddlError> {
        let upper = text.to_ascii_uppercase();
        let text = if self.lenient() { &upper } else { text };
        let kinds = (0..=0x13).map(AceType);
        let mut known = kinds.filter(|kind| kind.sddl() == Some(text));
        known.next().ok_or_else(|| self.error_in(text, start, "unknown kind of ACE"))
    }

    fn flags(&self, text: &str, start: usize) -> Result<AceFlags, SddlError> {
        let upper = text.to_ascii_uppercase();
        let mut rest = if self.lenient() { &upper } else { text };
        let mut flags = AceFlags::NONE;
        while !rest.is_empty() {
            let Some((name, flag)) = FLAGS.into_iter().find(|(name, _)| rest.starts_with(name)) else {
                let at = start + text.len() - rest.len();
                return Err(self.error_in(&rest[..rest.chars().take(2).map(char::len_utf8).sum()], at, "unknown flag"));
            };
            flags = flags | flag;
            rest = &rest[name.len()..];
        }
        Ok(flags)
    }

    fn guid(&mut self, ace_type: AceType) -> Result<Option<Guid>, SddlError> {
        let (text, start) = self.field()?;
        if text.is_empty() {
            return Ok(None);
        }
        if !ace_type.is_object() {
            return Err(self.error_in(text, start, "only object ACEs (OA, OD, OU, ZA, …) have GUIDs"));
        }
        let guid = Some(text).filter(|text| !text.starts_with('{')).and_then(|text| text.parse().ok());
        guid.map(Some).ok_or_else(|| self.error_in(text, start, "a GUID is 8-4-4-4-12 hexadecimal digits"))
    }

    /// What follows the SID: a condition or a claim.
    fn coda(&mut self, ace_type: AceType) -> Result<Coda, SddlError> {
        let is_claim = ace_type == AceType::RESOURCE_ATTRIBUTE;
        if !is_claim && !ace_type.is_callback() {
            return Ok(Coda::EMPTY);
        }
        // Without one the condition is unknown: such an ACE allows nothing and denies.
        if self.peek() == Some(')') {
            return Ok(Coda::EMPTY);
        }
        let start = self.at();
        self.expect(";")?;
        self.skip_whitespace();
        let bytes = if is_claim { self.claim()?.to_bytes() } else { self.condition()?.to_bytes() };
        self.skip_whitespace();
        if bytes.len() > usize::from(u16::MAX) {
            return Err(self.error(start, "an ACE has at most 65,535 bytes"));
        }
        Ok(Coda::from(bytes))
    }

    fn error_in(&self, text: &str, start: usize, message: &str) -> SddlError {
        SddlError { offset: start, length: text.len(), message: message.into() }
    }
}

impl Ace {
    /// The entry in SDDL; nothing for kinds that SDDL does not know.
    pub fn sddl<'a>(&'a self, context: &'a SddlContext) -> impl fmt::Display + 'a {
        AceSddl { ace: self, context }
    }
}

struct AceSddl<'a> {
    ace: &'a Ace,
    context: &'a SddlContext,
}

impl fmt::Display for AceSddl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ace = self.ace;
        let Some(kind) = ace.ace_type.sddl() else { return Ok(()) };
        let is_claim = ace.ace_type == AceType::RESOURCE_ATTRIBUTE;
        let mut out = format!("({kind};");
        for (name, flag) in FLAGS {
            if ace.flags.contains(flag) {
                out.push_str(name);
            }
        }
        out.push(';');
        if !is_claim || ace.mask != AccessMask::NONE {
            rights::write(&mut out, ace.mask, ace.ace_type == AceType::MANDATORY_LABEL);
        }
        for guid in [ace.object_type, ace.inherited_object_type] {
            out.push(';');
            if let Some(guid) = guid {
                write!(out, "{guid}")?;
            }
        }
        out.push(';');
        sids::write(&mut out, &ace.sid, self.context);
        let coda = match ace.ace_type {
            AceType::RESOURCE_ATTRIBUTE => {
                let claim = Claim::parse(&ace.data).ok();
                claim.and_then(|claim| super::condition::claim_text(&claim, self.context))
            }
            kind if kind.is_callback() => {
                let expression = Expression::parse(&ace.data).ok();
                expression.and_then(|expression| super::condition::text(&expression, self.context))
            }
            _ => None,
        };
        if let Some(coda) = coda {
            write!(out, ";{coda}")?;
        }
        out.push(')');
        f.write_str(&out)
    }
}

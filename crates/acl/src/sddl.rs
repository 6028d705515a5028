//! The security descriptor definition language (MS-DTYP 2.5.1).

mod ace;
mod condition;
mod cursor;
mod rights;
mod sids;

use std::fmt::Write;

use crate::{Acl, Control, SecurityDescriptor, Sid};
use cursor::Cursor;

/// What SDDL leaves to its surroundings.
#[derive(Clone, Debug, Default)]
pub struct SddlContext {
    /// The domain that `DA`, `DU`, … stand for. Without it they cannot be read and are never written.
    pub domain: Option<Sid>,
    /// The forest's root domain, for `EA`, `SA`, `RO`, `EK`; [`SddlContext::domain`] when absent.
    pub root_domain: Option<Sid>,
    /// Accept what Windows accepts beyond its documentation: lower case, more spaces, numbers that overflow.
    pub lenient: bool,
}

impl SddlContext {
    /// For one domain that is its forest's root.
    pub fn of_domain(domain: Sid) -> SddlContext {
        SddlContext { domain: Some(domain), root_domain: None, lenient: false }
    }
}

/// Why a text is not SDDL: where, and what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {offset}: {message}")]
pub struct SddlError {
    /// Byte offset in the text.
    pub offset: usize,
    /// Length in bytes of what is wrong; 0 where something is missing.
    pub length: usize,
    /// What is wrong.
    pub message: String,
}

/// A NULL DACL, as Windows writes it; the published grammar does not know it.
const NO_ACCESS_CONTROL: &str = "NO_ACCESS_CONTROL";

/// `P`, `AR`, `AI` for the DACL and for the SACL, in the order of output.
const ACL_FLAGS: [(&str, Control, Control); 3] = [
    ("P", Control::DACL_PROTECTED, Control::SACL_PROTECTED),
    ("AR", Control::DACL_AUTO_INHERIT_REQUIRED, Control::SACL_AUTO_INHERIT_REQUIRED),
    ("AI", Control::DACL_AUTO_INHERITED, Control::SACL_AUTO_INHERITED),
];

impl SecurityDescriptor {
    /// Reads SDDL: `O:`, `G:`, `D:` and `S:` parts in any order, each at most once.
    ///
    /// An error names the place in the text. See [`SddlContext::lenient`] for what else can be accepted.
    pub fn from_sddl(text: &str, context: &SddlContext) -> Result<SecurityDescriptor, SddlError> {
        let mut cursor = Cursor::new(text, context);
        let mut sd = SecurityDescriptor { control: Control::SELF_RELATIVE, ..SecurityDescriptor::default() };
        let mut seen = [false; 4];
        loop {
            if context.lenient {
                cursor.skip_spaces();
            }
            let start = cursor.at();
            let Some(letter) = cursor.next() else { break };
            let Some(part) = "OGDS".find(letter) else {
                return Err(cursor.error(start, "expected O:, G:, D: or S:"));
            };
            if !cursor.eat(":") {
                return Err(cursor.error(start, format!("expected {letter}:")));
            }
            if std::mem::replace(&mut seen[part], true) {
                return Err(cursor.error(start, format!("{letter}: is there twice")));
            }
            match letter {
                'O' => sd.owner = Some(cursor.trustee()?),
                'G' => sd.group = Some(cursor.trustee()?),
                'D' => {
                    sd.control = sd.control | Control::DACL_PRESENT;
                    sd.dacl = cursor.acl(&mut sd.control, true)?;
                }
                _ => {
                    sd.control = sd.control | Control::SACL_PRESENT;
                    sd.sacl = cursor.acl(&mut sd.control, false)?;
                }
            }
        }
        Ok(sd)
    }

    /// Writes SDDL as Windows does: `O:`, `G:`, `D:`, `S:`; aliases where a SID has one in this context.
    ///
    /// Defaulted bits, the resource manager's byte and trailing bytes have no place in SDDL; unknown kinds of ACEs are
    /// left out.
    pub fn to_sddl(&self, context: &SddlContext) -> String {
        let mut out = String::new();
        if let Some(owner) = &self.owner {
            out.push_str("O:");
            sids::write(&mut out, owner, context);
        }
        if let Some(group) = &self.group {
            out.push_str("G:");
            sids::write(&mut out, group, context);
        }
        if self.dacl.is_some() || self.control.contains(Control::DACL_PRESENT) {
            out.push_str("D:");
            write_flags(&mut out, self.control, true);
            match &self.dacl {
                Some(dacl) => dacl.write_sddl(&mut out, context),
                None => out.push_str(NO_ACCESS_CONTROL),
            }
        }
        if let Some(sacl) = &self.sacl {
            out.push_str("S:");
            write_flags(&mut out, self.control, false);
            sacl.write_sddl(&mut out, context);
        }
        out
    }
}

fn write_flags(out: &mut String, control: Control, is_dacl: bool) {
    for (text, dacl, sacl) in ACL_FLAGS {
        if control.contains(if is_dacl { dacl } else { sacl }) {
            out.push_str(text);
        }
    }
}

impl Acl {
    fn write_sddl(&self, out: &mut String, context: &SddlContext) {
        for ace in &self.aces {
            let _ = write!(out, "{}", ace.sddl(context));
        }
    }
}

impl Cursor<'_> {
    /// The value of `O:` or `G:`. It ends before the letter of the next part; the letter may look like a hexadecimal
    /// digit of the SID.
    fn trustee(&mut self) -> Result<Sid, SddlError> {
        let start = self.at();
        let rest = self.rest();
        let end = rest.find(':').map_or(rest.len(), |colon| colon.saturating_sub(1));
        if !rest.is_char_boundary(end) {
            return Err(self.error(start, "expected a SID or its alias"));
        }
        let text = self.take(end);
        self.sid(text, start)
    }

    /// Flags and entries of an ACL; `None` for a NULL DACL.
    fn acl(&mut self, control: &mut Control, is_dacl: bool) -> Result<Option<Acl>, SddlError> {
        self.skip_spaces();
        let start = self.at();
        let mut aces = Vec::new();
        let mut flags = true;
        loop {
            if self.lenient() {
                self.skip_spaces();
            }
            if self.peek() == Some('(') {
                flags = false;
                let ace = self.ace()?;
                aces.push(ace);
                continue;
            }
            let flag = ACL_FLAGS.into_iter().find(|(text, ..)| self.rest().starts_with(text));
            let Some((text, dacl, sacl)) = flag.filter(|_| flags) else { break };
            *control = *control | if is_dacl { dacl } else { sacl };
            self.take(text.len());
        }
        if is_dacl && aces.is_empty() && self.eat(NO_ACCESS_CONTROL) {
            return Ok(None);
        }
        let mut acl = Acl::new(aces);
        reserve_as_windows(&mut acl);
        if acl.byte_len() > usize::from(u16::MAX) {
            return Err(
                self.error(start, format!("the list takes {} bytes, at most 65,535 are possible", acl.byte_len()))
            );
        }
        Ok(Some(acl))
    }
}

/// Windows, as captured, takes a plain ACE without rights that repeats the trustee before it for an object ACE when it
/// computes the size of the list: revision 4, and the four bytes of the object flags left over as zeros.
fn reserve_as_windows(acl: &mut Acl) {
    let repeats = acl.aces.windows(2).filter(|pair| {
        let plain = !pair[1].ace_type.is_object() && !pair[1].ace_type.is_callback();
        plain && pair[1].mask.is_empty() && pair[1].data.is_empty() && pair[0].sid == pair[1].sid
    });
    let repeats = repeats.count();
    if repeats > 0 {
        acl.revision = Acl::REVISION_DS;
        acl.trailing = vec![0; 4 * repeats];
    }
}

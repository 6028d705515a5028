//! The security descriptor definition language (MS-DTYP 2.5.1).

use crate::{SecurityDescriptor, Sid};

/// What SDDL leaves to its surroundings.
#[derive(Clone, Debug, Default)]
pub struct SddlContext {
    /// The domain that `DA`, `DU`, … stand for.
    pub domain: Option<Sid>,
    /// The forest's root domain, for `EA`, `SA`, …; [`SddlContext::domain`] when absent.
    pub root_domain: Option<Sid>,
    /// Accept what Windows accepts beyond its documentation: case, spaces, odd numbers.
    pub lenient: bool,
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

impl SecurityDescriptor {
    /// Reads SDDL.
    pub fn from_sddl(text: &str, context: &SddlContext) -> Result<SecurityDescriptor, SddlError> {
        let _ = (text, context);
        todo!()
    }

    /// Writes SDDL as Windows does.
    pub fn to_sddl(&self, context: &SddlContext) -> String {
        let _ = context;
        todo!()
    }
}

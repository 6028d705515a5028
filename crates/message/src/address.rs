//! Mail addresses: the grammar of RFC 5321 §4.1.2 and RFC 6531 §3.3, and the canonical form for comparing them.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;

/// A validated mail address (addr-spec: `local@domain`), kept as it was written.
///
/// Equality is that of the text; to compare addresses as identities use [`Address::canonical`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: CompactString,
    at: u16,
}

impl Address {
    /// Parses `local@domain`. The local part is a dot-atom or a quoted string, UTF-8 allowed (RFC 6531); the domain is
    /// a host name, not necessarily qualified, or an address literal.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let _ = text;
        todo!()
    }

    /// The local part as written, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..usize::from(self.at)]
    }

    /// The domain as written; an address literal with its brackets.
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.at) + 1..]
    }

    /// The whole address as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the domain is an address literal such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    pub fn domain_literal(&self) -> bool {
        self.domain().starts_with('[')
    }

    /// Whether the domain is a name with at least one dot.
    pub fn is_qualified(&self) -> bool {
        !self.domain_literal() && self.domain().contains('.')
    }

    /// Whether any part needs SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// The form in which addresses are compared, logged and looked up.
    pub fn canonical(&self) -> CanonicalAddress {
        todo!()
    }
}

/// An address in the form in which addresses are compared: local part unquoted where possible, lowercase, NFC; domain
/// as lowercase A-labels without a trailing dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalAddress(CompactString);

impl CanonicalAddress {
    /// Parses any spelling of an address and gives its canonical form.
    pub fn parse(text: &str) -> Result<CanonicalAddress, AddressError> {
        Address::parse(text).map(|address| address.canonical())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The local part; quoted only where it cannot be written otherwise.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The domain as lowercase A-labels, or an address literal.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The same local part in another domain; `None` when `domain` is no domain name.
    pub fn with_domain(&self, domain: &str) -> Option<CanonicalAddress> {
        let _ = domain;
        todo!()
    }

    /// The address without its subaddress: `carla+list@x` gives `carla@x` (RFC 5233). `None` when there is no tag.
    pub fn without_tag(&self) -> Option<CanonicalAddress> {
        todo!()
    }
}

/// The canonical form of a domain name: lowercase A-labels (IDNA, UTS 46), no trailing dot. `None` when it is no domain
/// name; address literals are none.
pub fn canonical_domain(domain: &str) -> Option<String> {
    let _ = domain;
    todo!()
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing there.
    #[error("the address is empty")]
    Empty,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::parse(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl fmt::Display for CanonicalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CanonicalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

impl AsRef<str> for CanonicalAddress {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

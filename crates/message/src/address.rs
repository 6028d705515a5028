//! Mail addresses: the grammar of RFC 5321 §4.1.2 and RFC 6531 §3.3, and the canonical form for comparing them.

mod domain;
mod local;

pub(crate) use local::is_atext;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use compact_str::{CompactString, format_compact};

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
    ///
    /// RFC 5321 §4.5.3.1.1 limits a local part to 64 octets, which variable envelope return paths exceed in practice; here
    /// only the whole is limited, to [`Address::MAX_LENGTH`].
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > Address::MAX_LENGTH {
            return Err(AddressError::TooLong);
        }
        let at = local::parse(text)?;
        domain::check(&text[at + 1..])?;
        Ok(Address { text: CompactString::from(text), at: at as u16 })
    }

    /// The most octets an address may have.
    pub const MAX_LENGTH: usize = 320;

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
        let mut text = local::canonical(self.local());
        text.push('@');
        text.push_str(&domain::canonical_or_literal(self.domain()));
        CanonicalAddress(text)
    }

    /// The local part without quotes and backslashes.
    pub fn local_content(&self) -> Cow<'_, str> {
        local::content(self.local())
    }

    /// The address of this local part, given without quoting, in `domain`.
    pub(crate) fn from_parts(local_content: &str, domain: &str) -> Result<Address, AddressError> {
        let mut text = String::with_capacity(local_content.len() + 1 + domain.len());
        local::write(local_content, &mut text);
        text.push('@');
        text.push_str(domain);
        Address::parse(&text)
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
        let domain = domain::canonical(domain)?;
        Some(CanonicalAddress(format_compact!("{}@{domain}", self.local())))
    }

    /// The address without its subaddress: `carla+list@x` gives `carla@x` (RFC 5233). `None` when there is no tag.
    pub fn without_tag(&self) -> Option<CanonicalAddress> {
        let content = local::content(self.local());
        let user = &content[..content.find('+')?];
        if user.is_empty() {
            return None;
        }
        let mut text = String::new();
        local::write(user, &mut text);
        Some(CanonicalAddress(format_compact!("{text}@{}", self.domain())))
    }
}

/// The canonical form of a domain name: lowercase A-labels (IDNA, UTS 46), no trailing dot. `None` when it is no domain
/// name; address literals are none.
pub fn canonical_domain(domain: &str) -> Option<String> {
    domain::canonical(domain)
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing there.
    #[error("the address is empty")]
    Empty,
    /// Longer than [`Address::MAX_LENGTH`] octets.
    #[error("the address is longer than {} octets", Address::MAX_LENGTH)]
    TooLong,
    /// No `@` separates a local part from a domain.
    #[error("the address has no @")]
    NoAt,
    /// Nothing before the `@`.
    #[error("the local part is empty")]
    EmptyLocal,
    /// A dot at the start or end of an unquoted local part, or two in a row.
    #[error("the local part has a misplaced dot")]
    LocalDot,
    /// A character that a local part cannot hold, or not unquoted.
    #[error("the local part has a character that is not allowed there")]
    LocalCharacter,
    /// A quoted string without its end, or followed by something else than `@`.
    #[error("the quoted local part does not end before the @")]
    Quote,
    /// A character that readers do not show, or show as another one.
    #[error("the address has a character that cannot be seen or looks like another")]
    Confusable,
    /// Nothing after the `@`.
    #[error("the domain is empty")]
    EmptyDomain,
    /// The domain ends with a dot.
    #[error("the domain ends with a dot")]
    TrailingDot,
    /// The domain is no domain name: a label is empty, too long, has other characters than letters, digits and hyphens, or
    /// is no valid internationalized label.
    #[error("the domain is not a domain name")]
    Domain,
    /// The last label has digits only: an IP address without brackets.
    #[error("the domain is a number; an address literal needs brackets")]
    NumericDomain,
    /// Brackets that hold no IP address.
    #[error("the address literal is not an IP address")]
    Literal,
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

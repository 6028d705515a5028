//! Mail addresses: the grammar of RFC 5321 §4.1.2 and RFC 6531 §3.3, and the canonical form for comparing them.

mod domain;
mod local;

pub(crate) use local::is_atext_byte;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use compact_str::{CompactString, format_compact};

/// A validated mail address (addr-spec: `local@domain`), kept as it was written, with its canonical form.
///
/// Equality is that of the text; to compare addresses as identities use [`Address::as_canonical`].
#[derive(Clone)]
pub struct Address {
    canonical: CanonicalAddress,
    /// As it was written, and where the `@` is; none where that is the canonical form.
    written: Option<Box<(CompactString, u16)>>,
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
        if let Some(address) = Address::plain(text) {
            return Ok(address);
        }
        Address::read(text)
    }

    /// Any address, whatever it is made of.
    fn read(text: &str) -> Result<Address, AddressError> {
        let at = local::parse(text)?;
        domain::check(&text[at + 1..])?;
        let mut canonical = local::canonical(&text[..at]);
        let canonical_at = canonical.len() as u16;
        canonical.push('@');
        canonical.push_str(&domain::canonical_or_literal(&text[at + 1..]));
        // A-labels are longer than what they stand for; the canonical form is an address, too.
        if canonical.len() > Address::MAX_LENGTH {
            return Err(AddressError::TooLong);
        }
        let written = (canonical != text).then(|| Box::new((CompactString::from(text), at as u16)));
        Ok(Address { canonical: CanonicalAddress { text: canonical, at: canonical_at }, written })
    }

    /// Nearly every address: a dot-atom of ASCII in a domain of plain labels. Canonical but for case, so it is read in one
    /// pass; whatever else it may be is found out by the parser proper.
    fn plain(text: &str) -> Option<Address> {
        let at = local::end_of_plain(text)?;
        if !domain::is_plain(&text[at + 1..]) {
            return None;
        }
        let mut lower = CompactString::from(text);
        let written = text.bytes().any(|byte| byte.is_ascii_uppercase()).then(|| {
            lower.make_ascii_lowercase();
            Box::new((CompactString::from(text), at as u16))
        });
        Some(Address { canonical: CanonicalAddress { text: lower, at: at as u16 }, written })
    }

    /// The most octets an address may have.
    pub const MAX_LENGTH: usize = 320;

    /// The local part as written, quotes included.
    pub fn local(&self) -> &str {
        match &self.written {
            Some(written) => &written.0[..usize::from(written.1)],
            None => self.canonical.local(),
        }
    }

    /// The domain as written; an address literal with its brackets.
    pub fn domain(&self) -> &str {
        match &self.written {
            Some(written) => &written.0[usize::from(written.1) + 1..],
            None => self.canonical.domain(),
        }
    }

    /// The whole address as written.
    pub fn as_str(&self) -> &str {
        match &self.written {
            Some(written) => &written.0,
            None => self.canonical.as_str(),
        }
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
        self.as_str().is_ascii()
    }

    /// The form in which addresses are compared, logged and looked up.
    pub fn canonical(&self) -> CanonicalAddress {
        self.canonical.clone()
    }

    /// The same, to look at.
    pub fn as_canonical(&self) -> &CanonicalAddress {
        &self.canonical
    }

    /// The local part without quotes and backslashes.
    pub fn local_content(&self) -> Cow<'_, str> {
        local::content(self.local())
    }

    /// The address of this local part, given without quoting, in `domain`.
    pub(crate) fn from_parts(local_content: &str, domain: &str) -> Result<Address, AddressError> {
        let mut text = CompactString::with_capacity(local_content.len() + 1 + domain.len());
        local::write(local_content, &mut text);
        text.push('@');
        text.push_str(domain);
        Address::parse(&text)
    }
}

/// An address in the form in which addresses are compared: local part unquoted where possible, lowercase, NFC; domain
/// as lowercase A-labels without a trailing dot.
#[derive(Clone)]
pub struct CanonicalAddress {
    text: CompactString,
    /// Where the `@` before the domain is.
    at: u16,
}

impl CanonicalAddress {
    /// Parses any spelling of an address and gives its canonical form.
    pub fn parse(text: &str) -> Result<CanonicalAddress, AddressError> {
        Address::parse(text).map(|address| address.canonical)
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The local part; quoted only where it cannot be written otherwise.
    pub fn local(&self) -> &str {
        &self.text[..usize::from(self.at)]
    }

    /// The domain as lowercase A-labels, or an address literal.
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.at) + 1..]
    }

    /// The same local part in another domain; `None` when `domain` is no domain name, or too long for this local part.
    pub fn with_domain(&self, domain: &str) -> Option<CanonicalAddress> {
        let domain = domain::canonical(domain)?;
        CanonicalAddress { text: format_compact!("{}@{domain}", self.local()), at: self.at }.short_enough()
    }

    /// The address without its subaddress: `carla+list@x` gives `carla@x` (RFC 5233). `None` when there is no tag, or when what
    /// is left has to be quoted and is too long by that.
    pub fn without_tag(&self) -> Option<CanonicalAddress> {
        let content = local::content(self.local());
        let user = &content[..content.find('+')?];
        if user.is_empty() {
            return None;
        }
        let mut text = CompactString::default();
        local::write(user, &mut text);
        let at = text.len() as u16;
        text.push('@');
        text.push_str(self.domain());
        CanonicalAddress { text, at }.short_enough()
    }

    fn short_enough(self) -> Option<CanonicalAddress> {
        (self.text.len() <= Address::MAX_LENGTH).then_some(self)
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
    /// Longer than [`Address::MAX_LENGTH`] octets, as written or in its canonical form.
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

/// Equality, order and hash of a type that are those of its text.
macro_rules! compares_as_text {
    ($type:ty) => {
        impl PartialEq for $type {
            fn eq(&self, other: &$type) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $type {}

        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &$type) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $type {
            fn cmp(&self, other: &$type) -> Ordering {
                self.as_str().cmp(other.as_str())
            }
        }
    };
}

compares_as_text!(Address);
compares_as_text!(CanonicalAddress);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

impl fmt::Display for CanonicalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CanonicalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl AsRef<str> for CanonicalAddress {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_read_in_one_pass_is_what_the_parser_reads(
            text in "[a-zA-Z0-9.@_+\"\\\\ \u{e9}-]{0,12}@?(xn--)?[a-zA-Z0-9._\u{e9}-]{0,16}(\\.[a-zA-Z0-9-]{1,4})?"
        ) {
            if let Some(plain) = Address::plain(&text) {
                let read = Address::read(&text).unwrap();
                prop_assert_eq!(plain.as_str(), read.as_str());
                prop_assert_eq!(plain.local(), read.local());
                prop_assert_eq!(plain.domain(), read.domain());
                prop_assert_eq!(plain.as_canonical(), read.as_canonical());
                prop_assert_eq!(plain.as_canonical().local(), read.as_canonical().local());
                prop_assert_eq!(plain.as_canonical().domain(), read.as_canonical().domain());
            }
        }
    }

    #[test]
    fn an_ordinary_address_is_read_in_one_pass() {
        assert!(Address::plain("Carla.Owens+list@Mail.Example.COM").is_some());
    }
}

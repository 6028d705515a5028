//! LDAP filters (RFC 4515), as dynamic groups have them, and which objects fit them.
//!
//! An attribute is compared by its values as the directory has them, as text without regard to case; links are compared
//! as distinguished names. What is not there fits no comparison, so `(!(department=Sales))` is true for it (MS-ADTS
//! 3.1.1.3.1.3 counts it as undefined; here there are two values, not three).

use std::borrow::Cow;

use thiserror::Error;

use crate::attributes::{self, Syntax};
use crate::shared::OVERFLOW;
use crate::{Class, Object, ObjectId, Snapshot};

/// Filters nested deeper are refused.
const DEEPEST: usize = 64;
/// Longer filters are refused, in octets.
const LONGEST: usize = 16 * 1024;

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `(&…)`: all of them; an empty one fits everything (RFC 4526).
    And(Vec<Filter>),
    /// `(|…)`: one of them; an empty one fits nothing.
    Or(Vec<Filter>),
    /// `(!…)`.
    Not(Box<Filter>),
    /// `(attribute=*)`.
    Present(String),
    /// `(attribute=value)`, and `~=`.
    Equal(String, String),
    /// `(attribute=first*some*more*last)`; empty texts fit everything.
    Like(String, Vec<String>),
    /// `(attribute>=value)`.
    AtLeast(String, String),
    /// `(attribute<=value)`.
    AtMost(String, String),
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// Something else was expected here.
    #[error("the filter has {found} where {expected} was expected, at character {at}")]
    Syntax {
        /// What was expected.
        expected: &'static str,
        /// What is there.
        found: String,
        /// Characters before it.
        at: usize,
    },
    /// It is too deep or too long.
    #[error("the filter is too large")]
    TooLarge,
    /// Extensible matches, with `:=`.
    #[error("extensible matches (`:=`) are not supported, at character {0}")]
    Extensible(usize),
}

impl Filter {
    /// Reads a filter: `(&(objectClass=user)(department=Sales*))`.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        if text.len() > LONGEST {
            return Err(FilterError::TooLarge);
        }
        let mut parser = Parser { text, at: 0 };
        let filter = parser.filter(0)?;
        match parser.rest().trim_end() {
            "" => Ok(filter),
            _ => Err(parser.expected("the end")),
        }
    }

    /// Whether an object fits.
    pub fn fits(&self, snapshot: &Snapshot, id: ObjectId) -> bool {
        match self {
            Filter::And(all) => all.iter().all(|filter| filter.fits(snapshot, id)),
            Filter::Or(some) => some.iter().any(|filter| filter.fits(snapshot, id)),
            Filter::Not(filter) => !filter.fits(snapshot, id),
            Filter::Present(name) => !values(snapshot, id, name).is_empty(),
            Filter::Equal(name, wanted) => {
                let wanted = wanted.to_lowercase();
                values(snapshot, id, name).iter().any(|value| value.to_lowercase() == wanted)
            }
            Filter::Like(name, parts) => values(snapshot, id, name).iter().any(|value| is_like(value, parts)),
            Filter::AtLeast(name, bound) => values(snapshot, id, name).iter().any(|value| in_order(bound, value)),
            Filter::AtMost(name, bound) => values(snapshot, id, name).iter().any(|value| in_order(value, bound)),
        }
    }
}

impl Snapshot {
    /// The members of a dynamic group as it is now: recipients below its base that fit its filter. None where it has no
    /// filter, or one that cannot be read. Looks at each object below the base.
    pub fn dynamic_members(&self, group: ObjectId) -> Vec<ObjectId> {
        let Some(object) = self.object(group) else { return Vec::new() };
        let Some(Ok(filter)) = object.words(attributes::DYNAMIC_FILTER).map(Filter::parse) else { return Vec::new() };
        let fits = |id: &ObjectId| {
            let recipient = self.object(*id).is_some_and(is_recipient);
            recipient && *id != group && filter.fits(self, *id)
        };
        match self.links(group, attributes::DYNAMIC_BASE).first() {
            Some(base) => self.subtree(*base).into_iter().filter(fits).collect(),
            None => self.objects().map(|(id, _)| id).filter(fits).collect(),
        }
    }
}

/// Whether mail can go to an object.
fn is_recipient(object: &Object) -> bool {
    let kind = matches!(
        object.class(),
        Class::User | Class::InetOrgPerson | Class::Group | Class::Contact | Class::PublicFolder | Class::DynamicGroup
    );
    kind && object.primary_address().is_some()
}

/// The values of an attribute as text.
fn values(snapshot: &Snapshot, id: ObjectId, name: &str) -> Vec<String> {
    let Some(object) = snapshot.object(id) else { return Vec::new() };
    if name.eq_ignore_ascii_case(attributes::OBJECT_CLASS) {
        let known = object.class().object_classes();
        if !known.is_empty() {
            return known.iter().map(|class| (*class).to_owned()).collect();
        }
    }
    let is_link = attributes::by_back_link(name).is_some()
        || attributes::by_name(name).is_some_and(|attribute| matches!(attribute.syntax, Syntax::Link(_)));
    if is_link {
        let ends = match attributes::by_back_link(name) {
            Some(attribute) => snapshot.linked_from(id, attribute.name),
            None => snapshot.links(id, name),
        };
        return ends.into_iter().map(|end| snapshot.dn(end)).collect();
    }
    let number = snapshot.shared.names.number(name);
    let plain = match attributes::known(number) {
        Some(attribute) => matches!(attribute.syntax, Syntax::Text | Syntax::Integer | Syntax::Boolean),
        None => number != OVERFLOW,
    };
    if plain {
        let values = object.values(number).filter_map(|value| std::str::from_utf8(value).ok());
        return values.map(str::to_owned).collect();
    }
    let values = snapshot.attribute(id, name);
    values.into_iter().filter_map(|value| String::from_utf8(value).ok()).collect()
}

/// Numbers as numbers, everything else as text without regard to case.
fn in_order(lower: &str, upper: &str) -> bool {
    match (lower.parse::<i64>(), upper.parse::<i64>()) {
        (Ok(lower), Ok(upper)) => lower <= upper,
        _ => lower.to_lowercase() <= upper.to_lowercase(),
    }
}

/// Whether a text begins with the first part, ends with the last, and has the others in order between.
fn is_like(value: &str, parts: &[String]) -> bool {
    let value = value.to_lowercase();
    let (Some((first, rest)), Some(last)) = (parts.split_first(), parts.last()) else { return true };
    let Some(mut left) = value.strip_prefix(&first.to_lowercase()) else { return false };
    let between = rest.len().saturating_sub(1);
    for part in rest.iter().take(between) {
        let part = part.to_lowercase();
        match left.find(&part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(&last.to_lowercase())
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn expected(&self, expected: &'static str) -> FilterError {
        let found = self.rest().chars().next().map_or("the end".to_owned(), |c| format!("“{c}”"));
        FilterError::Syntax { expected, found, at: self.text[..self.at].chars().count() }
    }

    fn take(&mut self, wanted: char, expected: &'static str) -> Result<(), FilterError> {
        if !self.rest().starts_with(wanted) {
            return Err(self.expected(expected));
        }
        self.at += wanted.len_utf8();
        Ok(())
    }

    fn filter(&mut self, depth: usize) -> Result<Filter, FilterError> {
        if depth > DEEPEST {
            return Err(FilterError::TooLarge);
        }
        self.skip_spaces();
        self.take('(', "“(”")?;
        self.skip_spaces();
        let filter = match self.rest().chars().next() {
            Some('&') => Filter::And(self.list(depth)?),
            Some('|') => Filter::Or(self.list(depth)?),
            Some('!') => {
                self.at += 1;
                Filter::Not(Box::new(self.filter(depth + 1)?))
            }
            _ => self.comparison()?,
        };
        self.skip_spaces();
        self.take(')', "“)”")?;
        Ok(filter)
    }

    /// Filters up to the closing bracket, behind `&` or `|`.
    fn list(&mut self, depth: usize) -> Result<Vec<Filter>, FilterError> {
        self.at += 1;
        let mut filters = Vec::new();
        loop {
            self.skip_spaces();
            if !self.rest().starts_with('(') {
                return Ok(filters);
            }
            filters.push(self.filter(depth + 1)?);
        }
    }

    fn comparison(&mut self) -> Result<Filter, FilterError> {
        let rest = self.rest();
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ';'))).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.expected("an attribute"));
        }
        let name = rest[..end].to_owned();
        self.at += end;
        self.skip_spaces();
        let operator = ["=", ">=", "<=", "~="].into_iter().find(|operator| self.rest().starts_with(operator));
        let Some(operator) = operator else {
            return Err(match self.rest().starts_with(':') {
                true => FilterError::Extensible(self.text[..self.at].chars().count()),
                false => self.expected("=, >=, <= or ~="),
            });
        };
        self.at += operator.len();
        let value = self.value()?;
        Ok(match operator {
            ">=" => Filter::AtLeast(name, unescaped(value)?.into_owned()),
            "<=" => Filter::AtMost(name, unescaped(value)?.into_owned()),
            _ if value == "*" => Filter::Present(name),
            "=" if value.contains('*') => {
                let parts: Result<Vec<String>, FilterError> =
                    value.split('*').map(|part| unescaped(part).map(Cow::into_owned)).collect();
                Filter::Like(name, parts?)
            }
            _ => Filter::Equal(name, unescaped(value)?.into_owned()),
        })
    }

    fn value(&mut self) -> Result<&'a str, FilterError> {
        let rest = self.rest();
        let end = rest.find(['(', ')', '\0']).ok_or(FilterError::Syntax {
            expected: "“)”",
            found: "the end".to_owned(),
            at: self.text.chars().count(),
        })?;
        self.at += end;
        Ok(&rest[..end])
    }
}

/// `\2a` and the like (RFC 4515 §3).
fn unescaped(value: &str) -> Result<Cow<'_, str>, FilterError> {
    if !value.contains('\\') {
        return Ok(Cow::Borrowed(value));
    }
    let wrong = || FilterError::Syntax { expected: "two hexadecimal digits", found: format!("“{value}”"), at: 0 };
    let mut octets = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
        let valid = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        octets.push(u8::from_str_radix(digits, 16).ok().filter(|_| valid).ok_or_else(wrong)?);
        rest = &after[2..];
    }
    String::from_utf8(octets).map(Cow::Owned).map_err(|_| wrong())
}

//! LDAP messages (RFC 4511 §4): requests written, answers read. No I/O.

use thiserror::Error;

use crate::ber::{BOOLEAN, ENUMERATED, INTEGER, Malformed, OCTETS, Reader, SEQUENCE, SET, Writer, header};

/// An answer that is larger is refused: 64 MiB hold a group of half a million members.
pub const LARGEST: usize = 64 << 20;

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The object itself.
    Base = 0,
    /// Right below it.
    One = 1,
    /// The object and everything below.
    Subtree = 2,
}

/// What a search looks for. Values are octets and need no escaping: nothing that a user gives can become syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of these.
    And(Vec<Filter>),
    /// One of these.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The attribute has this value.
    Equal(String, Vec<u8>),
    /// The attribute has this value or a larger one.
    AtLeast(String, Vec<u8>),
    /// The attribute has a value.
    Present(String),
}

impl Filter {
    /// `(objectClass=*)`
    pub fn everything() -> Filter {
        Filter::Present("objectClass".to_owned())
    }

    /// `(attribute=value)`
    pub fn equal(attribute: &str, value: impl Into<Vec<u8>>) -> Filter {
        Filter::Equal(attribute.to_owned(), value.into())
    }

    fn write(&self, to: &mut Writer) {
        let pair = |to: &mut Writer, tag: u8, attribute: &str, value: &[u8]| {
            to.nested(tag, |to| {
                to.octets(OCTETS, attribute.as_bytes()).octets(OCTETS, value);
            });
        };
        match self {
            Filter::And(all) => {
                to.nested(0xa0, |to| all.iter().for_each(|one| one.write(to)));
            }
            Filter::Or(all) => {
                to.nested(0xa1, |to| all.iter().for_each(|one| one.write(to)));
            }
            Filter::Not(one) => {
                to.nested(0xa2, |to| one.write(to));
            }
            Filter::Equal(attribute, value) => pair(to, 0xa3, attribute, value),
            Filter::AtLeast(attribute, value) => pair(to, 0xa5, attribute, value),
            Filter::Present(attribute) => {
                to.octets(0x87, attribute.as_bytes());
            }
        }
    }
}

/// A search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Where it begins: a DN, `<GUID=…>`, or nothing for the root DSE.
    pub base: String,
    /// How far it goes.
    pub scope: Scope,
    /// What it looks for.
    pub filter: Filter,
    /// The attributes wanted.
    pub attributes: Vec<String>,
}

/// A control of a request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// What it is.
    pub oid: String,
    /// The request fails where it is not understood.
    pub critical: bool,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

/// What a modification does with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Adds them.
    Add = 0,
    /// Removes them.
    Delete = 1,
    /// They take the place of all.
    Replace = 2,
}

/// One part of a modification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modification {
    /// What is done.
    pub operation: Operation,
    /// With which attribute.
    pub attribute: String,
    /// With which values.
    pub values: Vec<Vec<u8>>,
}

/// A request.
#[derive(Debug)]
pub enum Request<'a> {
    /// A simple bind (RFC 4513 §5.1.3).
    Bind {
        /// DN, user principal name or `DOMAIN\name`.
        name: &'a str,
        /// The password.
        password: &'a [u8],
    },
    /// A step of SASL GSSAPI (RFC 4513 §5.2).
    Sasl {
        /// What is said.
        credentials: &'a [u8],
    },
    /// A search.
    Search(&'a Search),
    /// A modification.
    Modify {
        /// The object.
        dn: &'a str,
        /// Parts, together or not at all.
        parts: &'a [Modification],
    },
    /// StartTLS (RFC 4511 §4.14).
    StartTls,
    /// The end of the connection.
    Unbind,
}

impl Request<'_> {
    /// The tag of the answer that ends it; nothing ends the end of a connection.
    pub fn answered_by(&self) -> u8 {
        match self {
            Request::Bind { .. } | Request::Sasl { .. } => 0x61,
            Request::Search(_) => 0x65,
            Request::Modify { .. } => 0x67,
            Request::StartTls => 0x78,
            Request::Unbind => 0,
        }
    }
}

/// OID of StartTLS.
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// The octets of a request.
pub fn request(id: i32, request: &Request<'_>, controls: &[Control]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.nested(SEQUENCE, |to| {
        to.integer(INTEGER, i64::from(id));
        match request {
            Request::Bind { name, password } => {
                to.nested(0x60, |to| {
                    to.integer(INTEGER, 3).octets(OCTETS, name.as_bytes()).octets(0x80, password);
                });
            }
            Request::Sasl { credentials } => {
                to.nested(0x60, |to| {
                    to.integer(INTEGER, 3).octets(OCTETS, b"").nested(0xa3, |to| {
                        to.octets(OCTETS, b"GSSAPI").octets(OCTETS, credentials);
                    });
                });
            }
            Request::Search(search) => write_search(to, search),
            Request::Modify { dn, parts } => write_modify(to, dn, parts),
            Request::StartTls => {
                to.nested(0x77, |to| {
                    to.octets(0x80, START_TLS);
                });
            }
            Request::Unbind => {
                to.octets(0x42, &[]);
            }
        }
        if !controls.is_empty() {
            to.nested(0xa0, |to| controls.iter().for_each(|control| write_control(to, control)));
        }
    });
    writer.into_bytes()
}

fn write_search(to: &mut Writer, search: &Search) {
    to.nested(0x63, |to| {
        to.octets(OCTETS, search.base.as_bytes());
        to.integer(ENUMERATED, search.scope as i64);
        // Aliases are never followed; no limits of ours: pages keep answers small.
        to.integer(ENUMERATED, 0).integer(INTEGER, 0).integer(INTEGER, 0).boolean(false);
        search.filter.write(to);
        to.nested(SEQUENCE, |to| {
            search.attributes.iter().for_each(|name| {
                to.octets(OCTETS, name.as_bytes());
            });
        });
    });
}

fn write_modify(to: &mut Writer, dn: &str, parts: &[Modification]) {
    to.nested(0x66, |to| {
        to.octets(OCTETS, dn.as_bytes());
        to.nested(SEQUENCE, |to| {
            for part in parts {
                to.nested(SEQUENCE, |to| {
                    to.integer(ENUMERATED, part.operation as i64);
                    to.nested(SEQUENCE, |to| {
                        to.octets(OCTETS, part.attribute.as_bytes());
                        to.nested(SET, |to| {
                            part.values.iter().for_each(|value| {
                                to.octets(OCTETS, value);
                            })
                        });
                    });
                });
            }
        });
    });
}

fn write_control(to: &mut Writer, control: &Control) {
    to.nested(SEQUENCE, |to| {
        to.octets(OCTETS, control.oid.as_bytes());
        if control.critical {
            to.boolean(true);
        }
        if let Some(value) = &control.value {
            to.octets(OCTETS, value);
        }
    });
}

/// An object that a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its DN, in the form that was asked for.
    pub dn: String,
    /// Attributes, options such as `;range=0-1499` included, as the server spells them.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// The values of an attribute, in any case; none when it is absent.
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, values)| values)
    }

    /// The first value of an attribute as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values(name).first().and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// What came of a request (RFC 4511 §4.1.9).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{}", result_name(*code), if message.is_empty() { String::new() } else { format!(": {message}") })]
pub struct Outcome {
    /// 0 is success.
    pub code: u32,
    /// What the server says about it.
    pub message: String,
}

/// Result codes that are told apart here.
pub mod code {
    /// success
    pub const SUCCESS: u32 = 0;
    /// referral
    pub const REFERRAL: u32 = 10;
    /// unavailableCriticalExtension
    pub const NO_SUCH_CONTROL: u32 = 12;
    /// saslBindInProgress
    pub const SASL_GOES_ON: u32 = 14;
    /// noSuchObject
    pub const NO_SUCH_OBJECT: u32 = 32;
    /// invalidCredentials
    pub const INVALID_CREDENTIALS: u32 = 49;
    /// insufficientAccessRights
    pub const NO_RIGHT: u32 = 50;
    /// busy
    pub const BUSY: u32 = 51;
    /// unwillingToPerform
    pub const UNWILLING: u32 = 53;
}

/// What a code is called in RFC 4511 appendix A.
fn result_name(number: u32) -> String {
    let name = match number {
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        32 => "noSuchObject",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        other => return format!("result {other}"),
    };
    name.to_owned()
}

/// An answer, and which request it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's number; 0: the server speaks of its own accord.
    pub id: i64,
    /// The tag of what it says.
    pub tag: u8,
    /// What it says.
    pub body: Body,
    /// Controls with it.
    pub controls: Vec<Control>,
    /// What it says of its own in an answer to a bind by SASL.
    pub credentials: Option<Vec<u8>>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An object.
    Entry(Entry),
    /// A search would go on elsewhere. Not followed: what is elsewhere is asked there, by those who are configured.
    Reference,
    /// The end of a request.
    Done(Outcome),
}

/// Length of the first message in these octets; none: there are too few to say.
///
/// # Errors
/// They are no message, or one that is larger than [`LARGEST`].
pub fn length(octets: &[u8]) -> Result<Option<usize>, Malformed> {
    if octets.first().is_some_and(|tag| *tag != SEQUENCE) {
        return Err(Malformed("it does not begin as a message"));
    }
    match header(octets)? {
        Some((_, _, content)) if content > LARGEST => Err(Malformed("it is too large")),
        Some((_, head, content)) => Ok(Some(head + content)),
        None => Ok(None),
    }
}

/// Reads an answer.
///
/// # Errors
/// The octets are not one answer of LDAP.
pub fn answer(octets: &[u8]) -> Result<Answer, Malformed> {
    let mut message = Reader::new(octets).enter(SEQUENCE)?;
    let id = message.integer(INTEGER)?;
    let (tag, content) = message.value()?;
    let mut reader = Reader::new(content);
    let credentials = if tag == 0x61 { crate::tickets::server_credentials(reader) } else { None };
    let body = match tag {
        0x64 => Body::Entry(entry(reader)?),
        0x73 => Body::Reference,
        // Bind, SearchDone, Modify, Add, Delete, ModifyDN, Compare, Extended.
        0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78 => Body::Done(outcome(&mut reader)?),
        _ => return Err(Malformed("an answer of an unknown kind")),
    };
    let mut controls = Vec::new();
    while !message.is_empty() {
        let (tag, content) = message.value()?;
        if tag != 0xa0 {
            continue;
        }
        let mut list = Reader::new(content);
        while !list.is_empty() {
            controls.push(control(list.enter(SEQUENCE)?)?);
        }
    }
    Ok(Answer { id, tag, body, controls, credentials })
}

fn entry(mut reader: Reader<'_>) -> Result<Entry, Malformed> {
    let mut found = Entry { dn: text(reader.expect(OCTETS)?)?, attributes: Vec::new() };
    let mut list = reader.enter(SEQUENCE)?;
    while !list.is_empty() {
        let mut pair = list.enter(SEQUENCE)?;
        let name = text(pair.expect(OCTETS)?)?;
        let mut set = pair.enter(SET)?;
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(set.expect(OCTETS)?.to_vec());
        }
        found.attributes.push((name, values));
    }
    Ok(found)
}

fn outcome(reader: &mut Reader<'_>) -> Result<Outcome, Malformed> {
    let code = u32::try_from(reader.integer(ENUMERATED)?).map_err(|_| Malformed("a negative result"))?;
    reader.expect(OCTETS)?;
    let message = String::from_utf8_lossy(reader.expect(OCTETS)?);
    // Windows ends its messages with a NUL.
    Ok(Outcome { code, message: message.trim_end_matches('\0').trim().to_owned() })
}

fn control(mut reader: Reader<'_>) -> Result<Control, Malformed> {
    let oid = text(reader.expect(OCTETS)?)?;
    let mut critical = false;
    if reader.peek() == Some(BOOLEAN) {
        critical = reader.expect(BOOLEAN)?.first().is_some_and(|octet| *octet != 0);
    }
    let value = if reader.is_empty() { None } else { Some(reader.expect(OCTETS)?.to_vec()) };
    Ok(Control { oid, critical, value })
}

fn text(octets: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(octets.to_vec()).map_err(|_| Malformed("a name that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(tag: u8, fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.nested(SEQUENCE, |to| {
            to.integer(INTEGER, 5).nested(tag, fill);
        });
        writer.into_bytes()
    }

    #[test]
    fn an_entry_is_read_with_all_its_values() {
        let octets = written(0x64, |to| {
            to.octets(OCTETS, b"CN=a").nested(SEQUENCE, |to| {
                to.nested(SEQUENCE, |to| {
                    to.octets(OCTETS, b"member").nested(SET, |to| {
                        to.octets(OCTETS, b"x").octets(OCTETS, b"y");
                    });
                });
            });
        });
        assert_eq!(length(&octets), Ok(Some(octets.len())));
        let Body::Entry(entry) = answer(&octets).unwrap().body else { panic!("no entry") };
        assert_eq!(entry.values("MEMBER"), [b"x".to_vec(), b"y".to_vec()]);
    }

    #[test]
    fn a_refusal_says_what_the_server_said() {
        let octets = written(0x65, |to| {
            to.integer(ENUMERATED, 50).octets(OCTETS, b"").octets(OCTETS, b"no\0");
        });
        let Body::Done(outcome) = answer(&octets).unwrap().body else { panic!("no result") };
        assert_eq!(outcome.to_string(), "insufficientAccessRights: no");
    }

    #[test]
    fn an_answer_without_end_is_refused() {
        assert!(length(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(length(&[0x30, 0x80]).is_err());
        assert_eq!(length(&[0x30, 0x84, 0xff]), Ok(None));
    }

    #[test]
    fn what_a_user_gives_never_becomes_syntax_of_a_filter() {
        let mut one = Writer::default();
        Filter::equal("cn", "*)(objectClass=*").write(&mut one);
        let octets = one.into_bytes();
        let mut reader = crate::ber::Reader::new(&octets).enter(0xa3).unwrap();
        assert_eq!(reader.expect(OCTETS).unwrap(), b"cn");
        assert_eq!(reader.expect(OCTETS).unwrap(), b"*)(objectClass=*");
        assert!(reader.is_empty());
    }

    /// Reads a filter as a server does (RFC 4511 §4.5.1.7).
    fn read_filter(reader: &mut Reader<'_>) -> Filter {
        let (tag, content) = reader.value().unwrap();
        let mut inner = Reader::new(content);
        let all = |inner: &mut Reader<'_>| {
            let mut filters = Vec::new();
            while !inner.is_empty() {
                filters.push(read_filter(inner));
            }
            filters
        };
        match tag {
            0xa0 => Filter::And(all(&mut inner)),
            0xa1 => Filter::Or(all(&mut inner)),
            0xa2 => Filter::Not(Box::new(read_filter(&mut inner))),
            0xa3 | 0xa5 => {
                let name = text(inner.expect(OCTETS).unwrap()).unwrap();
                let value = inner.expect(OCTETS).unwrap().to_vec();
                assert!(inner.is_empty());
                if tag == 0xa3 { Filter::Equal(name, value) } else { Filter::AtLeast(name, value) }
            }
            0x87 => Filter::Present(text(content).unwrap()),
            other => panic!("no filter of ours: {other:#x}"),
        }
    }

    /// Filters with any values: what people give, and what could be syntax, of LDAP's text form and of BER.
    fn filters() -> impl Strategy<Value = Filter> {
        let value = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "[*()\\\\&|!=<>~\0-\u{1f}a-z]{0,40}".prop_map(String::into_bytes),
            Just(b"*)(objectClass=*".to_vec()),
            Just(vec![0xa2, 0x0d, 0x87, 0x0b]),
        ];
        let name = prop_oneof![Just("cn".to_owned()), Just("objectGUID".to_owned()), ".{0,10}"];
        let leaf = prop_oneof![
            (name.clone(), value.clone()).prop_map(|(name, value)| Filter::Equal(name, value)),
            (name.clone(), value).prop_map(|(name, value)| Filter::AtLeast(name, value)),
            name.prop_map(Filter::Present),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
                inner.prop_map(|one| Filter::Not(Box::new(one))),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_value_changes_what_a_search_asks_for(filter in filters(), base in ".{0,40}") {
            let attributes = vec!["mail".to_owned()];
            let search = Search { base: base.clone(), scope: Scope::Subtree, filter: filter.clone(), attributes };
            let octets = request(9, &Request::Search(&search), &[]);
            let mut message = Reader::new(&octets).enter(SEQUENCE).unwrap();
            prop_assert_eq!(message.integer(INTEGER), Ok(9));
            let mut asked = message.enter(0x63).unwrap();
            prop_assert!(message.is_empty());
            prop_assert_eq!(asked.expect(OCTETS), Ok(base.as_bytes()));
            prop_assert_eq!(asked.integer(ENUMERATED), Ok(2));
            for tag in [ENUMERATED, INTEGER, INTEGER, BOOLEAN] {
                prop_assert!(asked.expect(tag).is_ok());
            }
            prop_assert_eq!(read_filter(&mut asked), filter);
            let mut wanted = asked.enter(SEQUENCE).unwrap();
            prop_assert_eq!(wanted.expect(OCTETS), Ok(&b"mail"[..]));
            prop_assert!(wanted.is_empty() && asked.is_empty());
        }

        #[test]
        fn any_octets_are_an_answer_or_none(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = length(&octets);
            let _ = answer(&octets);
        }

        #[test]
        fn an_entry_that_was_cut_is_none(cut in 0usize..40) {
            let octets = written(0x64, |to| {
                to.octets(OCTETS, b"CN=a").nested(SEQUENCE, |to| {
                    to.nested(SEQUENCE, |to| {
                        to.octets(OCTETS, b"member").nested(SET, |to| {
                            to.octets(OCTETS, b"x");
                        });
                    });
                });
            });
            if cut < octets.len() {
                prop_assert!(answer(&octets[..cut]).is_err());
            }
        }
    }
}

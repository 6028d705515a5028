//! What holds whatever a KDC, or a server that shows its proof, says to us; for the corpus, and for fuzzing (`fuzz/`). With a KDC
//! that knows the keys, so that what is sealed is looked at too.

#![allow(dead_code, clippy::unwrap_used)]

use std::cell::Cell;

use kerberos::der::{element, integer, optional, whole, written};
use kerberos::{AES256, Channel, Client, ClientError, Initiator, Key, Keytab, MECHANISM, Protection, Side, Ticket};

pub const ACCOUNT: &str = "svc@EXAMPLE.TEST";
pub const REALM: &str = "EXAMPLE.TEST";
/// Tags of KRB_AS_REP and KRB_TGS_REP.
pub const FIRST: u8 = 0x6B;
pub const FURTHER: u8 = 0x6D;
/// What stands for the number of a question, for the time and its microseconds of a proof, in what is sealed.
const NUMBER: &[u8] = b"\x02\x04NNNN";
const TIME: &[u8] = b"19700101000000Z";
const MICROS: &[u8] = b"\x02\x03CCC";
/// Key usages (RFC 4120 §7.5.1, RFC 4121 §2).
const AUTHENTICATOR: i32 = 11;
const ANSWER: i32 = 12;
const ACCEPTOR_SEAL: i32 = 22;

/// The account's key, that of its first ticket, and that of a ticket for a service.
pub fn keys() -> [Key; 3] {
    [7, 8, 9].map(|octet| Key::new(AES256, vec![octet; 32]).unwrap())
}

pub fn service() -> Vec<String> {
    ["ldap", "dc1.example.test"].map(str::to_owned).to_vec()
}

/// The account, with its key.
pub fn client() -> Client {
    let mut entry = vec![0, 1];
    for text in [REALM, "svc"] {
        entry.extend((text.len() as u16).to_be_bytes());
        entry.extend(text.as_bytes());
    }
    entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 18, 0, 32]);
    entry.extend([7; 32]);
    let octets = [&[5, 2][..], &(entry.len() as i32).to_be_bytes(), &entry].concat();
    Client::with_keytab(&Keytab::parse(&octets).unwrap(), ACCOUNT).unwrap()
}

/// The tag of a question to a KDC, and its number (RFC 4120 §5.4.1).
pub fn asked(question: &[u8]) -> (u8, u32) {
    let tag = question[0];
    let mut fields = whole(whole(question, tag).unwrap(), 0x30).unwrap();
    (1..=3).for_each(|field| assert!(optional(&mut fields, 0xA0 | field).is_some()));
    let mut body = whole(optional(&mut fields, 0xA4).unwrap(), 0x30).unwrap();
    skip(&mut body, 5);
    let number = whole(optional(&mut body, 0xA7).unwrap(), 0x02).unwrap();
    (tag, number.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}

/// Passes over optional fields up to this one.
fn skip(fields: &mut &[u8], last: u8) {
    for field in 0..=last {
        let _ = optional(fields, 0xA0 | field);
    }
}

fn sequence(fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    written(0x30, &fields.iter().flat_map(|(tag, content)| written(0xA0 | tag, content)).collect::<Vec<u8>>())
}

fn name(parts: &[&str]) -> Vec<u8> {
    let list: Vec<u8> = parts.iter().flat_map(|part| written(0x1B, part.as_bytes())).collect();
    sequence(&[(0, integer(1)), (1, written(0x30, &list))])
}

fn sealed(key: &Key, usage: i32, content: &[u8]) -> Vec<u8> {
    sequence(&[(0, integer(key.etype())), (2, written(0x04, &key.seal(usage, content).unwrap()))])
}

/// EncKDCRepPart (§5.4.2) with a key, for a service of a realm; its number is yet to come.
pub fn part(key: &Key, realm: &str, service: &[&str]) -> Vec<u8> {
    let fields = sequence(&[
        (0, sequence(&[(0, integer(key.etype())), (1, written(0x04, key.octets()))])),
        (1, written(0x30, &[])),
        (2, NUMBER.to_vec()),
        (4, written(0x03, &[0, 0, 0, 0, 0])),
        (5, written(0x18, b"20260101000000Z")),
        (7, written(0x18, b"20991231000000Z")),
        (9, written(0x1B, realm.as_bytes())),
        (10, name(service)),
    ]);
    written(0x7A, &fields)
}

/// KDC-REP (§5.4.2) of a kind, for somebody, with a part that is sealed with a key.
pub fn reply(kind: u8, who: &str, realm: &str, key: &Key, part: &[u8]) -> Vec<u8> {
    let usage = if kind == FIRST { 3 } else { 8 };
    let fields = sequence(&[
        (0, integer(5)),
        (1, integer(u32::from(kind & 0x1F))),
        (3, written(0x1B, realm.as_bytes())),
        (4, name(&[who])),
        (5, written(0x61, b"a ticket")),
        (6, sealed(key, usage, part)),
    ]);
    written(kind, &fields)
}

/// KRB_ERROR (§5.9.1) with a code.
pub fn refusal(code: u32) -> Vec<u8> {
    written(0x7E, &sequence(&[(0, integer(5)), (1, integer(30)), (6, integer(code))]))
}

/// The same with all that stands for something put in its place.
pub fn filled(octets: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut filled = octets.to_vec();
    let found = octets.windows(old.len()).position(|window| window == old);
    found.into_iter().for_each(|at| filled[at..at + old.len()].copy_from_slice(new));
    filled
}

/// What a KDC answers that does what it should.
pub fn right_answer(question: &[u8]) -> Vec<u8> {
    let [account, first, further] = keys();
    let (tag, number) = asked(question);
    match tag {
        0x6A => reply(FIRST, "svc", REALM, &account, &numbered(&part(&first, REALM, &["krbtgt", REALM]), number)),
        _ => {
            let part = part(&further, REALM, &["ldap", "dc1.example.test"]);
            reply(FURTHER, "svc", REALM, &first, &numbered(&part, number))
        }
    }
}

/// What is sealed, with the number of a question.
pub fn numbered(part: &[u8], number: u32) -> Vec<u8> {
    filled(part, NUMBER, &[&[2, 4][..], &number.to_be_bytes()].concat())
}

/// A ticket, got of a KDC that does what it should.
pub fn ticket() -> Ticket {
    client().ticket_by(&service(), &mut |_, question| Ok(right_answer(question))).unwrap()
}

/// What came of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Nothing.
    Nothing,
    /// A first ticket: a further one was asked for.
    FirstTicket,
    /// A ticket for the service.
    Ticket,
    /// A context.
    Context,
    /// The content of a token.
    Content,
}

/// The first octet says what the others are. What is not sealed with the keys is never believed; what is sealed with them
/// answers what was asked, or is refused; what a token says is what was sealed in it.
pub fn answers_hold(input: &[u8]) {
    came_of(input);
}

/// ..., and what came of it.
pub fn came_of(input: &[u8]) -> Came {
    let Some((kind, rest)) = input.split_first() else { return Came::Nothing };
    match kind % 8 {
        0 => tickets(rest, None),
        1 => tickets(rest, Some(0x6A)),
        2 => tickets(rest, Some(0x6C)),
        3 => further_answer(rest),
        4 => proof(rest, true),
        5 => proof(rest, false),
        6 => changed_token(rest),
        _ => own_token(rest),
    }
}

/// All questions are answered so; or those of one kind by what is sealed, the others as they should.
fn tickets(rest: &[u8], sealed: Option<u8>) -> Came {
    let [account, first, _] = keys();
    let (questions, further) = (Cell::new(0), Cell::new(false));
    let said = client().ticket_by(&service(), &mut |_, question| {
        questions.set(questions.get() + 1);
        assert!(questions.get() < 10, "questions without end");
        let (tag, number) = asked(question);
        further.set(further.get() || tag == 0x6C);
        Ok(match sealed {
            None => rest.to_vec(),
            Some(kind) if kind != tag => right_answer(question),
            Some(0x6A) => reply(FIRST, "svc", REALM, &account, &numbered(rest, number)),
            Some(_) => reply(FURTHER, "svc", REALM, &first, &numbered(rest, number)),
        })
    });
    let names = |all: &[&str]| all.iter().all(|one| has(rest, one.as_bytes()));
    match (said, sealed) {
        (Ok(ticket), Some(0x6C)) => {
            assert!(names(&["ldap", "dc1.example.test", REALM]) && has(rest, NUMBER), "a ticket for somebody else");
            let _ = (ticket.ends(), Initiator::begin(&ticket, Protection::Context).unwrap());
            Came::Ticket
        }
        // Its key is not the one that the further answer is sealed with, unless it is.
        (Ok(_), Some(_)) => {
            assert!(names(&["krbtgt", REALM]) && has(rest, NUMBER), "a first ticket for somebody else");
            Came::Ticket
        }
        (Ok(_), None) => panic!("what nobody sealed is a ticket"),
        (Err(ClientError::Unreachable { .. } | ClientError::NoKey(_) | ClientError::NoRealm(_)), _) => {
            panic!("the KDC answered")
        }
        (Err(_), None) => {
            assert!(!further.get(), "what nobody sealed is a first ticket");
            Came::Nothing
        }
        (Err(_), Some(0x6A)) if further.get() => Came::FirstTicket,
        (Err(_), Some(_)) => Came::Nothing,
    }
}

/// The further question is answered by octets that nobody sealed.
fn further_answer(rest: &[u8]) -> Came {
    let said = client().ticket_by(&service(), &mut |_, question| {
        Ok(if asked(question).0 == 0x6A { right_answer(question) } else { rest.to_vec() })
    });
    assert!(said.is_err(), "what nobody sealed is a ticket");
    Came::Nothing
}

/// The time and the microseconds, as DER, that a context was begun at, and the key that it chose (RFC 4120 §5.5.1).
fn begun(message: &[u8]) -> (Vec<u8>, u32, Key) {
    let frame = whole(message, 0x60).unwrap().strip_prefix(MECHANISM).unwrap();
    let mut request = whole(whole(frame.strip_prefix(&[1, 0]).unwrap(), 0x6E).unwrap(), 0x30).unwrap();
    (0..=3).for_each(|field| assert!(optional(&mut request, 0xA0 | field).is_some()));
    let mut sealed = whole(optional(&mut request, 0xA4).unwrap(), 0x30).unwrap();
    optional(&mut sealed, 0xA0).unwrap();
    let cipher = whole(optional(&mut sealed, 0xA2).unwrap(), 0x04).unwrap();
    let opened = keys()[2].open(AUTHENTICATOR, cipher).unwrap();
    let mut fields = whole(whole(&opened, 0x62).unwrap(), 0x30).unwrap();
    skip(&mut fields, 3);
    let micros = whole(optional(&mut fields, 0xA4).unwrap(), 0x02).unwrap();
    let micros = micros.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
    let time = whole(optional(&mut fields, 0xA5).unwrap(), 0x18).unwrap().to_vec();
    let mut subkey = whole(optional(&mut fields, 0xA6).unwrap(), 0x30).unwrap();
    optional(&mut subkey, 0xA0).unwrap();
    let (octets, _) = element(optional(&mut subkey, 0xA1).unwrap(), 0x04).unwrap();
    (time, micros, Key::new(AES256, octets.to_vec()).unwrap())
}

/// KRB_AP_REP in its frame, with a part that is sealed.
fn framed(part: &[u8]) -> Vec<u8> {
    let fields = sequence(&[(0, integer(5)), (1, integer(15)), (2, sealed(&keys()[2], ANSWER, part))]);
    written(0x60, &[MECHANISM, &[2, 0], &written(0x6F, &fields)].concat())
}

/// A server's proof.
fn proof(rest: &[u8], is_sealed: bool) -> Came {
    let (initiator, message) = Initiator::begin(&ticket(), Protection::Tls(b"tls-server-end-point:x")).unwrap();
    let (time, micros, _) = begun(&message);
    if !is_sealed {
        assert!(initiator.finish(rest).is_err(), "what nobody sealed is a proof");
        return Came::Nothing;
    }
    let micros = [&[2, 3][..], &micros.to_be_bytes()[1..]].concat();
    let part = filled(&filled(rest, TIME, &time), MICROS, &micros);
    let Ok(mut context) = initiator.finish(&framed(&part)) else { return Came::Nothing };
    assert!(has(&part, &time), "a proof of another time");
    assert!(context.unwrap(rest).is_err(), "what nobody sealed is a message");
    let token = context.wrap_sealed(b"content").unwrap();
    assert!(context.unwrap(&token).is_err(), "our own message is the server's");
    Came::Context
}

/// A context with a key that the server chose, and the server's side of it.
fn context() -> (Channel, Channel) {
    let key = || Key::new(AES256, vec![5; 32]).unwrap();
    let ours = Channel::new(key(), Side::Initiator, true, 0).in_order(7);
    (ours, Channel::new(key(), Side::Acceptor, true, 7))
}

/// A token of the server in which octets were changed: which, and by what, in pairs.
fn changed_token(rest: &[u8]) -> Came {
    let (mut ours, mut theirs) = context();
    let Some((&[is_sealed, count], rest)) = rest.split_first_chunk::<2>() else { return Came::Nothing };
    let (changes, content) = rest.split_at((usize::from(count) * 2).min(rest.len()));
    let is_sealed = is_sealed & 1 == 1;
    let mut token = if is_sealed { theirs.wrap_sealed(content) } else { theirs.wrap(content) }.unwrap();
    let whole = token.clone();
    for change in changes.chunks_exact(2) {
        let at = usize::from(change[0]) % token.len();
        token[at] ^= change[1];
    }
    match ours.unwrap(&token) {
        Ok(read) => {
            assert_eq!(read, (content.to_vec(), is_sealed), "a token says something else");
            // How far it is turned round is not signed.
            assert!((0..whole.len()).all(|at| (6..8).contains(&at) || token[at] == whole[at]), "a changed token");
            assert!(ours.unwrap(&token).is_err(), "a token counts twice");
            Came::Content
        }
        Err(_) => {
            assert!(token != whole, "a token as it was made is refused");
            Came::Nothing
        }
    }
}

/// A token of a server that seals whatever it likes.
fn own_token(rest: &[u8]) -> Came {
    let (mut ours, _) = context();
    let Some((header, content)) = rest.split_first_chunk::<16>() else { return Came::Nothing };
    let key = Key::new(AES256, vec![5; 32]).unwrap();
    let token = [&header[..], &key.seal(ACCEPTOR_SEAL, content).unwrap()].concat();
    match ours.unwrap(&token) {
        Ok((read, is_sealed)) => {
            assert!(is_sealed && content.starts_with(&read), "something that was not in it");
            assert_eq!(header[8..], 7u64.to_be_bytes(), "out of its order");
            Came::Content
        }
        Err(_) => Came::Nothing,
    }
}

/// Names are the same without regard to case.
fn has(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

//! SPNEGO (RFC 4178): what Windows and .NET put around Kerberos. Kerberos is all that is agreed to.

use ::kerberos::der::{element, optional, whole, written};

/// `1.3.6.1.5.5.2`
const SPNEGO: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x02];
/// `1.2.840.113554.1.2.2` (RFC 4121), and what Windows says for it, after a mistake of Windows 2000 (MS-SPNG 2.2.1).
const KERBEROS: [&[u8]; 2] =
    [&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 0x01, 0x02, 0x02], &[0x2A, 0x86, 0x48, 0x82, 0xF7, 0x12, 0x01, 0x02, 0x02]];
/// Mechanisms that are looked at in a list.
const MOST_MECHANISMS: usize = 32;

/// NegTokenInit, in its frame (RFC 4178 §4.2.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Init<'m> {
    /// The mechanisms of the client, best first: object identifiers.
    pub(super) mechanisms: Vec<&'m [u8]>,
    /// The first message of the first mechanism.
    pub(super) token: Option<&'m [u8]>,
}

/// How far the negotiation is (RFC 4178 §4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Completed = 0,
    Incomplete = 1,
}

/// Whether this is SPNEGO at all, right or wrong.
pub(super) fn is_spnego(message: &[u8]) -> bool {
    element(message, 0x60).and_then(|(frame, _)| element(frame, 0x06)).is_some_and(|(oid, _)| oid == SPNEGO)
}

/// Whether this is Kerberos, by either of its names.
pub(super) fn is_kerberos(mechanism: &[u8]) -> bool {
    KERBEROS.contains(&mechanism)
}

impl<'m> Init<'m> {
    pub(super) fn parse(message: &'m [u8]) -> Option<Init<'m>> {
        let (oid, rest) = element(whole(message, 0x60)?, 0x06)?;
        let mut fields = whole(whole(rest, 0xA0)?, 0x30).filter(|_| oid == SPNEGO)?;
        let mut list = whole(optional(&mut fields, 0xA0)?, 0x30)?;
        let mut mechanisms = Vec::new();
        while !list.is_empty() && mechanisms.len() < MOST_MECHANISMS {
            mechanisms.push(optional(&mut list, 0x06)?);
        }
        let _flags = optional(&mut fields, 0xA1);
        let token = match optional(&mut fields, 0xA2) {
            Some(token) => Some(whole(token, 0x04)?),
            None => None,
        };
        // What else there is (mechListMIC; negHints of Windows) is not needed while Kerberos is the client's first choice.
        Some(Init { mechanisms, token })
    }
}

/// The message of the mechanism in a NegTokenResp of the client.
pub(super) fn response(message: &[u8]) -> Option<&[u8]> {
    let mut fields = whole(whole(message, 0xA1)?, 0x30)?;
    let _state = optional(&mut fields, 0xA0);
    let _mechanism = optional(&mut fields, 0xA1);
    whole(optional(&mut fields, 0xA2)?, 0x04)
}

/// NegTokenResp: our answer, by the name of Kerberos that the client used.
pub(super) fn answer(progress: Progress, mechanism: &[u8], token: &[u8]) -> Vec<u8> {
    let mut fields = written(0xA0, &written(0x0A, &[progress as u8]));
    fields.extend(written(0xA1, &written(0x06, mechanism)));
    if !token.is_empty() {
        fields.extend(written(0xA2, &written(0x04, token)));
    }
    written(0xA1, &written(0x30, &fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn init(mechanisms: &[&[u8]], token: Option<&[u8]>) -> Vec<u8> {
        let list: Vec<u8> = mechanisms.iter().flat_map(|oid| written(0x06, oid)).collect();
        let mut fields = written(0xA0, &written(0x30, &list));
        fields.extend(written(0xA1, &written(0x03, &[1, 0x40])));
        fields.extend(token.into_iter().flat_map(|token| written(0xA2, &written(0x04, token))));
        let frame = [written(0x06, SPNEGO), written(0xA0, &written(0x30, &fields))].concat();
        written(0x60, &frame)
    }

    #[test]
    fn mechanisms_and_the_first_message_are_found() {
        let ntlm: &[u8] = &[0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0A];
        let message = init(&[KERBEROS[1], KERBEROS[0], ntlm], Some(b"ticket"));
        let expected = Init { mechanisms: vec![KERBEROS[1], KERBEROS[0], ntlm], token: Some(b"ticket") };
        assert!(is_spnego(&message) && is_kerberos(KERBEROS[1]) && !is_kerberos(ntlm));
        assert_eq!(Init::parse(&message), Some(expected));
        assert_eq!(Init::parse(&init(&[KERBEROS[0]], None)).and_then(|init| init.token), None);
    }

    #[test]
    fn an_answer_has_the_form_of_rfc_4178() {
        let expected =
            [&[0xA1, 24, 0x30, 22, 0xA0, 3, 0x0A, 1, 0, 0xA1, 11, 6, 9][..], KERBEROS[0], &[0xA2, 3, 4, 1, 7]];
        let mut expected = expected.concat();
        // The lengths of what follows.
        (expected[1], expected[3]) = (expected.len() as u8 - 2, expected.len() as u8 - 4);
        assert_eq!(answer(Progress::Completed, KERBEROS[0], &[7]), expected);
        assert_eq!(response(&expected), Some(&[7][..]));
    }

    #[test]
    fn something_behind_the_frame_is_no_message() {
        let message = [init(&[KERBEROS[0]], Some(b"ticket")), vec![0]].concat();
        assert_eq!(Init::parse(&message), None);
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>) {
            let _ = (Init::parse(&octets), response(&octets), is_spnego(&octets));
        }
    }
}

//! What is believed of a KDC that knows the keys, and what is asked of it.

#![allow(clippy::unwrap_used)]

mod checks;

use std::cell::Cell;

use checks::{FIRST, FURTHER, REALM, asked, client, keys, numbered, part, refusal, reply, right_answer, service};
use kerberos::{ClientError, Ticket};

/// What is said of a KDC that answers first questions as it should, and further ones so.
fn further(answer: impl Fn(u32) -> Vec<u8>) -> Result<Ticket, ClientError> {
    client().ticket_by(&service(), &mut |_, question| {
        let (tag, number) = asked(question);
        Ok(if tag == 0x6A { right_answer(question) } else { answer(number) })
    })
}

fn ticket_of(who: &str, whose: &str, realm: &str, service: &[&str]) -> Result<Ticket, ClientError> {
    let [_, first, key] = keys();
    further(|number| reply(FURTHER, who, whose, &first, &numbered(&part(&key, realm, service), number)))
}

const SERVICE: [&str; 2] = ["ldap", "dc1.example.test"];

#[test]
fn a_ticket_is_taken_that_is_what_was_asked_for() {
    assert!(ticket_of("svc", REALM, REALM, &SERVICE).is_ok());
    assert!(ticket_of("SVC", REALM, REALM, &["LDAP", "DC1.example.test"]).is_ok(), "names are without case");
}

#[test]
fn a_ticket_for_another_service_is_refused() {
    let said = ticket_of("svc", REALM, REALM, &["ldap", "dc2.example.test"]);
    assert!(matches!(said, Err(ClientError::Nonsense(_))), "{said:?}");
}

#[test]
fn a_ticket_of_another_account_is_refused() {
    for said in [ticket_of("root", REALM, REALM, &SERVICE), ticket_of("svc", "OTHER.TEST", REALM, &SERVICE)] {
        assert!(matches!(said, Err(ClientError::Nonsense(_))), "{said:?}");
    }
}

#[test]
fn a_ticket_of_another_realm_than_the_one_that_was_asked_is_refused() {
    let said = ticket_of("svc", REALM, "OTHER.TEST", &SERVICE);
    assert!(matches!(said, Err(ClientError::Nonsense(_))), "{said:?}");
}

#[test]
fn a_first_ticket_for_a_service_is_refused() {
    let [account, first, _] = keys();
    let said = client().ticket_by(&service(), &mut |_, question| {
        let (tag, number) = asked(question);
        assert_eq!(tag, 0x6A, "it was taken");
        Ok(reply(FIRST, "svc", REALM, &account, &numbered(&part(&first, REALM, &SERVICE), number)))
    });
    assert!(matches!(said, Err(ClientError::Nonsense(_))), "{said:?}");
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let [_, first, key] = keys();
    let said = further(|number| {
        reply(FURTHER, "svc", REALM, &first, &numbered(&part(&key, REALM, &SERVICE), number.wrapping_add(1)))
    });
    assert!(matches!(said, Err(ClientError::Nonsense(_))), "{said:?}");
}

#[test]
fn a_realm_that_refers_to_another_is_followed_and_one_that_refers_to_itself_ends() {
    let [_, first, key] = keys();
    let realms = Cell::new(Vec::new());
    let said = client().ticket_by(&service(), &mut |realm, question| {
        let (tag, number) = asked(question);
        let mut all = realms.take();
        all.push(realm.to_owned());
        realms.set(all);
        Ok(match (tag, realm) {
            (0x6A, _) => right_answer(question),
            (_, REALM) => {
                let part = part(&key, REALM, &["krbtgt", "CHILD.EXAMPLE.TEST"]);
                reply(FURTHER, "svc", REALM, &first, &numbered(&part, number))
            }
            _ => reply(FURTHER, "svc", REALM, &key, &numbered(&part(&key, realm, &SERVICE), number)),
        })
    });
    assert!(said.is_ok(), "{said:?}");
    assert_eq!(realms.take(), [REALM, REALM, "CHILD.EXAMPLE.TEST"]);

    let said = ticket_of("svc", REALM, REALM, &["krbtgt", REALM]);
    assert!(said.is_err(), "{said:?}");
}

#[test]
fn a_first_ticket_that_the_realm_does_not_know_any_more_is_got_anew() {
    let client = client();
    client.ticket_by(&service(), &mut |_, question| Ok(right_answer(question))).unwrap();
    client.forget(&service());
    // Its key was changed: of tickets from before it knows nothing.
    let asked_for_first = Cell::new(false);
    let said = client.ticket_by(&service(), &mut |_, question| {
        asked_for_first.set(asked_for_first.get() || asked(question).0 == 0x6A);
        const MODIFIED: u32 = 41;
        Ok(if asked_for_first.get() { right_answer(question) } else { refusal(MODIFIED) })
    });
    assert!(said.is_ok(), "{said:?}");
}

#[test]
fn a_key_that_is_not_the_accounts_is_shown_twice_and_then_rests() {
    let (client, questions) = (client(), Cell::new(0));
    for _ in 0..10 {
        let said = client.ticket_by(&service(), &mut |_, _| {
            questions.set(questions.get() + 1);
            const PREAUTHENTICATION_FAILED: u32 = 24;
            Ok(refusal(PREAUTHENTICATION_FAILED))
        });
        assert!(matches!(said, Err(ClientError::WrongKey)), "{said:?}");
    }
    assert_eq!(questions.get(), 2);
}

//! Each refusal: its reply word for word (`authorization.md` §4-§6), its name and its address.

use message::senders::{SenderFault, SenderFaultKind};
use rights::Refusal;

use crate::world::address;

/// Refusal, its reply with its codes, its name.
fn table() -> Vec<(Refusal, &'static str, &'static str)> {
    let refused = || address("ceo@example.com");
    let fault = SenderFault { field: "From", kind: SenderFaultKind::Duplicate };
    vec![
        (Refusal::AuthenticationFailed, "535 5.7.3 Authentication unsuccessful", "authentication-failed"),
        (Refusal::NotAuthenticated, "530 5.7.1 Client was not authenticated", "not-authenticated"),
        (Refusal::NoSubmit, "550 5.7.1 Client does not have permissions to submit to this server", "no-submit"),
        (Refusal::Sender(refused()), "550 5.7.1 Client does not have permissions to send as this sender", "sender"),
        (
            Refusal::From(refused()),
            "550 5.7.1 Client does not have permissions to send on behalf of the from address",
            "from",
        ),
        (Refusal::FromMissing, "550 5.6.0 The message has no From field", "from-missing"),
        (Refusal::MalformedHeader(fault), "550 5.6.0 the From field is there more than once", "malformed-header"),
        (Refusal::UnableToRelay(refused()), "550 5.7.1 Unable to relay", "unable-to-relay"),
        (Refusal::UserUnknown(refused()), "550 5.1.1 User unknown", "user-unknown"),
        (
            Refusal::AmbiguousRecipient(refused()),
            "550 5.1.4 Several recipients own this address",
            "ambiguous-recipient",
        ),
        (
            Refusal::AuthenticationRequired(refused()),
            "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required",
            "authentication-required",
        ),
        (Refusal::NotAuthorized(refused()), "550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized", "not-authorized"),
        (Refusal::TooLarge { limit: 1024 }, "552 5.3.4 Message size exceeds the maximum of 1024 octets", "too-large"),
        (
            Refusal::Unreadable(refused()),
            "451 4.3.0 The permissions of this sender cannot be read at present",
            "unreadable",
        ),
        (Refusal::DirectoryUnavailable, "451 4.3.0 The directory cannot answer at present", "directory-unavailable"),
        (Refusal::AccountEnded, "421 4.7.0 The account of this session is no longer enabled", "account-ended"),
        (Refusal::ConnectorEnded, "421 4.3.2 This connector is no longer in service", "connector-ended"),
    ]
}

#[test]
fn each_refusal_has_one_reply_word_for_word() {
    for (refusal, expected, _) in table() {
        let reply = refusal.reply();
        let (class, subject, detail) = reply.enhanced;
        assert_eq!(format!("{} {class}.{subject}.{detail} {}", reply.code, reply.text), expected);
    }
}

#[test]
fn each_refusal_has_a_name_of_its_own() {
    for (refusal, _, expected) in table() {
        assert_eq!(refusal.name(), expected);
    }
}

#[test]
fn refusals_of_an_address_give_it_and_the_others_give_none() {
    for (refusal, ..) in table() {
        let expected = matches!(
            refusal,
            Refusal::Sender(_)
                | Refusal::From(_)
                | Refusal::UnableToRelay(_)
                | Refusal::UserUnknown(_)
                | Refusal::AmbiguousRecipient(_)
                | Refusal::AuthenticationRequired(_)
                | Refusal::NotAuthorized(_)
                | Refusal::Unreadable(_)
        );
        assert_eq!(refusal.address(), expected.then(|| address("ceo@example.com")).as_ref(), "{refusal:?}");
    }
}

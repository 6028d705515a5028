//! The envelope of a message that has none but its header, as files of a pickup folder: the sender is who Sender or From
//! names, the recipients are those of To, Cc and Bcc.

use std::borrow::Cow;

use thiserror::Error;

use crate::address::Address;
use crate::header::HeaderBlock;
use crate::rewrite::{Edits, rewrite};
use crate::senders::{SenderFault, SenderFaultKind, mailbox_list, senders};
use crate::{Keep, Mailbox};

/// Fields that name recipients.
const RECIPIENT_FIELDS: [&str; 3] = ["To", "Cc", "Bcc"];

/// What the header of a message says of its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PickupEnvelope {
    /// Sender, or else the only address of From.
    pub sender: Address,
    /// At least one. The same address may be there twice.
    pub recipients: Vec<Address>,
}

/// Why a header names no envelope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PickupFault {
    /// Sender or From cannot be read, or stands there twice.
    #[error(transparent)]
    Sender(#[from] SenderFault),
    /// Neither Sender nor From.
    #[error("there is neither a Sender nor a From field, so nobody sends it")]
    NobodySends,
    /// From names several, and no Sender says who of them it was.
    #[error("From names {0} mailboxes, and no Sender field says who of them sends it")]
    SeveralSend(usize),
    /// A field of recipients cannot be read.
    #[error("{field}: {fault}")]
    Recipients {
        /// `To`, `Cc` or `Bcc`.
        field: &'static str,
        /// What is wrong with it.
        fault: SenderFaultKind,
    },
    /// None of To, Cc and Bcc names anybody.
    #[error("none of To, Cc and Bcc names anybody who is to get it")]
    NobodyReceives,
}

/// Reads the envelope out of a header.
pub fn pickup_envelope(block: &HeaderBlock) -> Result<PickupEnvelope, PickupFault> {
    let found = senders(block)?;
    let sender = match (found.sender, found.from.as_slice()) {
        (Some(Mailbox { address, .. }), _) => address,
        (None, [only]) => only.address.clone(),
        (None, []) => return Err(PickupFault::NobodySends),
        (None, several) => return Err(PickupFault::SeveralSend(several.len())),
    };
    let mut recipients = Vec::new();
    for name in RECIPIENT_FIELDS {
        for field in block.named(name) {
            // As it is folded: one line of all of it would be too long.
            match mailbox_list(&String::from_utf8_lossy(field.value())) {
                Ok(mailboxes) => recipients.extend(mailboxes.into_iter().map(|mailbox| mailbox.address)),
                // Blank, or a group with nobody in it.
                Err(SenderFaultKind::NoMailbox) => {}
                Err(fault) => return Err(PickupFault::Recipients { field: name, fault }),
            }
        }
    }
    if recipients.is_empty() { Err(PickupFault::NobodyReceives) } else { Ok(PickupEnvelope { sender, recipients }) }
}

/// The header without Bcc, with its empty line. Where neither To nor Cc is left, To says that the recipients are not
/// named.
pub fn without_bcc(block: &HeaderBlock) -> Vec<u8> {
    let names_any = ["To", "Cc"].iter().any(|name| block.named(name).next().is_some());
    let undisclosed = (Cow::Borrowed("To"), "undisclosed-recipients:;".to_owned());
    let edits = Edits {
        keep: Keep::ALL,
        drop: vec![Cow::Borrowed("Bcc")],
        prepend: if names_any { Vec::new() } else { vec![undisclosed] },
        ..Edits::default()
    };
    rewrite(block, &edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(header: &str) -> Result<(String, Vec<String>), PickupFault> {
        let block = HeaderBlock::parse(format!("{header}\r\n\r\n").as_bytes()).unwrap();
        let found = pickup_envelope(&block)?;
        Ok((found.sender.to_string(), found.recipients.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn recipients_are_those_of_to_cc_and_bcc() {
        let header = "From: Alice <alice@example.com>\r\nTo: Bob <bob@example.com>,\r\n carol@example.com\r\n\
            Cc: Team: dave@example.com;\r\nBcc: eve@example.com";
        let (sender, recipients) = envelope(header).unwrap();
        assert_eq!(sender, "alice@example.com");
        let expected = ["bob@example.com", "carol@example.com", "dave@example.com", "eve@example.com"];
        assert_eq!(recipients, expected);
    }

    #[test]
    fn a_hundred_recipients_may_be_named_in_folded_lines() {
        let many: Vec<String> = (0..100).map(|number| format!("user{number}@example.com")).collect();
        let (_, recipients) = envelope(&format!("From: a@x.test\r\nTo: {}", many.join(",\r\n "))).unwrap();
        assert_eq!(recipients, many);
    }

    #[test]
    fn sender_sends_rather_than_from() {
        let (sender, _) = envelope("From: ceo@example.com\r\nSender: alice@example.com\r\nTo: b@example.com").unwrap();
        assert_eq!(sender, "alice@example.com");
    }

    #[test]
    fn who_sends_must_be_one() {
        assert_eq!(envelope("From: a@x.test, b@x.test\r\nTo: c@x.test"), Err(PickupFault::SeveralSend(2)));
        assert_eq!(envelope("To: c@x.test"), Err(PickupFault::NobodySends));
        assert!(matches!(envelope("From: a@x.test\r\nFrom: b@x.test\r\nTo: c@x.test"), Err(PickupFault::Sender(_))));
    }

    #[test]
    fn somebody_must_receive() {
        for to in ["Subject: x", "To: undisclosed-recipients:;", "Bcc: ", "Resent-To: b@x.test"] {
            assert_eq!(envelope(&format!("From: a@x.test\r\n{to}")), Err(PickupFault::NobodyReceives), "{to}");
        }
        let fault = envelope("From: a@x.test\r\nTo: <b@x.test");
        assert!(matches!(fault, Err(PickupFault::Recipients { field: "To", .. })), "{fault:?}");
    }

    #[test]
    fn bcc_goes_and_recipients_that_are_not_named_are_called_so() {
        let without = |header: &str| {
            let block = HeaderBlock::parse(format!("{header}\r\n\r\n").as_bytes()).unwrap();
            String::from_utf8(without_bcc(&block)).unwrap()
        };
        assert_eq!(without("From: a@x\r\nTo: b@x\r\nBCC: c@x,\r\n d@x"), "From: a@x\r\nTo: b@x\r\n\r\n");
        assert_eq!(without("Bcc: c@x\r\nFrom: a@x"), "To: undisclosed-recipients:;\r\nFrom: a@x\r\n\r\n");
    }
}

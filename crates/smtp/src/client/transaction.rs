//! One message to its recipients: MAIL, RCPT…, DATA, pipelined where the server offers it, over SMTP or LMTP.

use message::Address;

use super::Capabilities;
use crate::command::{BodyType, Notify, OriginalRecipient, ReturnContent};
use crate::reply::Reply;

/// SMTP, or LMTP with a reply for each recipient after the data (RFC 2033).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
}

/// What is to be sent, to whom.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The reverse-path; `None` is `<>`.
    pub sender: Option<Address>,
    /// The recipients, with their options.
    pub recipients: Vec<(Address, RecipientOptions)>,
    /// The size of the data in bytes, when known.
    pub size: Option<u64>,
    /// `BODY`.
    pub body: Option<BodyType>,
    /// Whether header or envelope need SMTPUTF8.
    pub smtputf8: bool,
    /// `RET`, passed on where the server offers DSN.
    pub ret: Option<ReturnContent>,
    /// `ENVID`, passed on where the server offers DSN.
    pub envid: Option<String>,
}

/// DSN options of a recipient, passed on where the server offers DSN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecipientOptions {
    /// `NOTIFY`.
    pub notify: Option<Notify>,
    /// `ORCPT`.
    pub orcpt: Option<OriginalRecipient>,
}

/// One message on its way.
#[derive(Debug)]
pub struct Transaction {
    protocol: Protocol,
}

impl Transaction {
    /// Begins a transaction on a connection that has had its EHLO or LHLO.
    pub fn new(protocol: Protocol, capabilities: &Capabilities, envelope: Envelope) -> Result<Transaction, Unsendable> {
        let _ = (capabilities, envelope);
        Ok(Transaction { protocol })
    }

    /// What to do now. After [`Step::Send`] and [`Step::Body`] ask again.
    pub fn step(&mut self) -> Step {
        let _ = self.protocol;
        todo!()
    }

    /// Takes the reply that was waited for.
    pub fn reply(&mut self, reply: Reply) -> Result<(), ProtocolError> {
        let _ = reply;
        todo!()
    }

    /// The body was sent, through a [`super::DotStuffer`] to its end.
    pub fn body_sent(&mut self) {
        todo!()
    }

    /// What became of each recipient, in the order of the envelope. Those without a final reply are deferred with `reason`.
    pub fn finish(self, reason: &str) -> (Vec<Outcome>, ConnectionState) {
        let _ = reason;
        todo!()
    }
}

/// What a [`Transaction`] wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Send the message data, then call [`Transaction::body_sent`].
    Body,
    /// Read a reply.
    Read,
    /// Nothing more: take the outcomes with [`Transaction::finish`].
    Done,
}

/// What became of a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took the message for this recipient.
    Delivered(Reply),
    /// A 4yz reply.
    Deferred(Reply),
    /// A 5yz reply.
    Failed(Reply),
    /// The connection broke before the server answered.
    Interrupted {
        /// Why.
        reason: String,
        /// Whether the whole message was sent, so that the server may have taken it: a later try may deliver it twice.
        data_sent: bool,
    },
}

/// Whether the connection can carry another transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Ready for MAIL.
    Ready,
    /// RSET first.
    NeedsReset,
    /// Close it.
    Broken,
}

/// Why a message cannot be sent to this server at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// Address or header need SMTPUTF8, which the server does not offer: `5.6.7`.
    #[error("the message needs SMTPUTF8, which the server does not offer")]
    NeedsSmtputf8,
    /// `5.3.4`.
    #[error("the message has {size} bytes, the server takes {limit}")]
    TooLarge {
        /// Bytes of the message.
        size: u64,
        /// Bytes that the server takes.
        limit: u64,
    },
    /// The envelope has no recipient.
    #[error("there is no recipient")]
    NoRecipients,
}

/// The server answered what was not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A reply came when none was due.
    #[error("the server sent a reply that nothing asked for: {0}")]
    Unexpected(Reply),
    /// A reply of the wrong kind, for example 354 to RCPT.
    #[error("the server sent a reply of the wrong kind: {0}")]
    WrongKind(Reply),
}

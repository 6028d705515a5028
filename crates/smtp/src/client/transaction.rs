//! One message to its recipients: MAIL, RCPT…, DATA, pipelined where the server offers it, over SMTP or LMTP. A binary
//! message goes as one chunk (BDAT, RFC 3030), once the recipients are known.

use std::collections::VecDeque;

use message::Address;

use super::{Capabilities, write};
use crate::command::{BodyType, MailParams, RcptParams, ReturnContent};
use crate::reply::Reply;

/// The most commands sent before their replies are read: both sides' socket buffers hold them, so neither side can wait
/// for the other for ever (RFC 2920 §3.1).
const WINDOW: usize = 100;

/// SMTP, or LMTP with a reply for each recipient after the data (RFC 2033).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
}

/// What is to be sent, to whom.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The reverse-path; `None` is `<>`.
    pub sender: Option<Address>,
    /// The recipients, with their DSN parameters, which are passed on where the server offers DSN.
    pub recipients: Vec<(Address, RcptParams)>,
    /// The size of the data in bytes, when known; announced where the server offers SIZE. Of a binary message it must be
    /// exact: so many bytes are sent.
    pub size: Option<u64>,
    /// `BODY`; announced where the server offers 8BITMIME, `BINARYMIME` in any case. Nothing is converted for servers that
    /// do not.
    pub body: Option<BodyType>,
    /// Whether header or envelope need SMTPUTF8.
    pub smtputf8: bool,
    /// `RET`, passed on where the server offers DSN.
    pub ret: Option<ReturnContent>,
    /// `ENVID`, passed on where the server offers DSN.
    pub envid: Option<String>,
    /// `REQUIRETLS` (RFC 8689): a server that does not offer it gets nothing.
    pub requiretls: bool,
    /// Data of XEXCH50, passed on where the server offers it.
    pub exch50: Option<Vec<u8>>,
}

/// One message on its way.
#[derive(Debug)]
pub struct Transaction {
    protocol: Protocol,
    capabilities: Capabilities,
    envelope: Envelope,
    outcomes: Vec<Option<Outcome>>,
    /// Indices of recipients that the server accepts.
    accepted: Vec<usize>,
    /// Which command is next: 0 MAIL, then each RCPT, then XEXCH50 where there is data for it, then DATA or BDAT.
    next: usize,
    awaited: VecDeque<Awaited>,
    phase: Phase,
    data_sent: bool,
    /// Bytes of the data of XEXCH50; 0: it is not sent.
    exch50_size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Mail,
    Rcpt(usize),
    Exch50,
    /// The reply after the data of XEXCH50.
    Exch50Taken,
    Data,
    /// The reply after the data, for all recipients.
    End,
    /// The LMTP reply after the data for one recipient.
    EndFor(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Up to the reply to DATA.
    Commands,
    /// 354 came in reply to XEXCH50.
    Exch50,
    /// 354 came.
    Body,
    /// The end of data was sent.
    Sent,
    Done(ConnectionState),
}

impl Transaction {
    /// Begins a transaction on a connection that has had its EHLO or LHLO.
    pub fn new(protocol: Protocol, capabilities: &Capabilities, envelope: Envelope) -> Result<Transaction, Unsendable> {
        if envelope.recipients.is_empty() {
            return Err(Unsendable::NoRecipients);
        }
        if envelope.smtputf8 && !capabilities.smtputf8 {
            return Err(Unsendable::NeedsSmtputf8);
        }
        if envelope.requiretls && !capabilities.requiretls {
            return Err(Unsendable::NeedsRequireTls);
        }
        let takes_binary = capabilities.takes_binary() && envelope.size.is_some();
        if envelope.body == Some(BodyType::BinaryMime) && !takes_binary {
            return Err(Unsendable::NeedsBinaryMime);
        }
        if let (Some(size), Some(limit)) = (envelope.size, capabilities.size.filter(|limit| *limit > 0))
            && size > limit
        {
            return Err(Unsendable::TooLarge { size, limit });
        }
        let exch50 = envelope.exch50.as_ref().filter(|_| capabilities.xexch50 && protocol == Protocol::Smtp);
        Ok(Transaction {
            protocol,
            exch50_size: exch50.map_or(0, Vec::len),
            capabilities: capabilities.clone(),
            outcomes: vec![None; envelope.recipients.len()],
            envelope,
            accepted: Vec::new(),
            next: 0,
            awaited: VecDeque::new(),
            phase: Phase::Commands,
            data_sent: false,
        })
    }

    /// What to do now. After [`Step::Send`], [`Step::Body`] and [`Step::Octets`] ask again.
    pub fn step(&mut self) -> Step {
        match self.phase {
            Phase::Done(_) => Step::Done,
            _ if !self.awaited.is_empty() => Step::Read,
            Phase::Commands => self.commands(),
            Phase::Exch50 => {
                self.phase = Phase::Commands;
                self.awaited.push_back(Awaited::Exch50Taken);
                Step::Send(self.envelope.exch50.take().unwrap_or_default())
            }
            Phase::Body if self.is_binary() => Step::Octets,
            Phase::Body if self.accepted.is_empty() => self.empty_body(),
            Phase::Body => Step::Body,
            Phase::Sent => {
                self.phase = Phase::Done(self.after_data());
                Step::Done
            }
        }
    }

    /// Takes the reply that was waited for. After an error the connection is of no use: take the outcomes.
    pub fn reply(&mut self, reply: Reply) -> Result<(), ProtocolError> {
        if matches!(self.phase, Phase::Done(_)) {
            return Err(ProtocolError::Unexpected(reply));
        }
        if reply.code == 421 {
            self.settle_all(&reply);
            self.phase = Phase::Done(ConnectionState::Broken);
            return Ok(());
        }
        let Some(awaited) = self.awaited.pop_front() else {
            self.phase = Phase::Done(ConnectionState::Broken);
            return Err(ProtocolError::Unexpected(reply));
        };
        let asks_for_data = matches!(awaited, Awaited::Data | Awaited::Exch50);
        let is_refused = reply.is_transient() || reply.is_permanent();
        if reply.is_intermediate() != (asks_for_data && !is_refused) {
            self.phase = Phase::Done(ConnectionState::Broken);
            return Err(ProtocolError::WrongKind(reply));
        }
        match awaited {
            Awaited::Mail if reply.is_positive() => {}
            Awaited::Mail => self.settle_all(&reply),
            Awaited::Rcpt(_) if self.settled() => {}
            Awaited::Rcpt(index) if reply.is_positive() => self.accepted.push(index),
            Awaited::Rcpt(index) => self.outcomes[index] = Some(refused(reply, true)),
            Awaited::Exch50 if reply.is_intermediate() => self.phase = Phase::Exch50,
            // What the server does not want it does not get; the message is whole without it.
            Awaited::Exch50 | Awaited::Exch50Taken => {}
            Awaited::Data if reply.is_intermediate() => self.phase = Phase::Body,
            Awaited::Data => {
                self.settle_all(&reply);
                self.phase = Phase::Done(ConnectionState::NeedsReset);
            }
            Awaited::End => self.settle_all(&reply),
            Awaited::EndFor(index) => self.outcomes[index] = Some(outcome(reply)),
        }
        Ok(())
    }

    /// The body was sent to its end, through a [`super::DotStuffer`] where it was not asked for in octets.
    pub fn body_sent(&mut self) {
        self.phase = Phase::Sent;
        self.data_sent = true;
        match self.protocol {
            Protocol::Smtp => self.awaited.push_back(Awaited::End),
            Protocol::Lmtp => self.awaited.extend(self.accepted.iter().map(|index| Awaited::EndFor(*index))),
        }
    }

    /// What became of each recipient, in the order of the envelope, and of the connection. Recipients without a final
    /// reply were interrupted for `reason`.
    pub fn finish(self, reason: &str) -> (Vec<Outcome>, ConnectionState) {
        let (data_sent, after_data) = (self.data_sent, self.after_data());
        let accepted = self.accepted;
        let outcomes = self.outcomes.into_iter().enumerate().map(|(index, outcome)| {
            outcome.unwrap_or_else(|| Outcome::Interrupted {
                reason: reason.to_owned(),
                data_sent: data_sent && accepted.contains(&index),
            })
        });
        let state = match self.phase {
            Phase::Done(state) => state,
            Phase::Sent if self.awaited.is_empty() => after_data,
            _ => ConnectionState::Broken,
        };
        (outcomes.collect(), state)
    }

    /// The connection once the text was answered. Of a chunk that is refused RFC 3030 does not say that it ends the
    /// transaction, as RFC 5321 §4.1.1.4 says it of DATA.
    fn after_data(&self) -> ConnectionState {
        let taken = self.outcomes.iter().any(|outcome| matches!(outcome, Some(Outcome::Delivered(_))));
        if self.is_binary() && !taken { ConnectionState::NeedsReset } else { ConnectionState::Ready }
    }

    /// Commands up to the next point where replies must be read.
    fn commands(&mut self) -> Step {
        let recipients = self.envelope.recipients.len();
        let exch50 = self.sends_exch50();
        let data = recipients + 1 + usize::from(exch50);
        if self.settled() {
            let state = if self.next <= 1 { ConnectionState::Ready } else { ConnectionState::NeedsReset };
            self.phase = Phase::Done(state);
            return Step::Done;
        }
        let mut end = if self.capabilities.pipelining { (self.next + WINDOW).min(data + 1) } else { self.next + 1 };
        if self.is_binary() {
            // A chunk follows its command at once: it is begun when somebody is there to get it.
            if self.next == data {
                self.next += 1;
                self.phase = Phase::Body;
                return Step::Send(format!("BDAT {} LAST\r\n", self.envelope.size.unwrap_or_default()).into_bytes());
            }
            end = end.min(data);
        }
        // XEXCH50 stands alone: its data waits for a reply.
        if exch50 {
            let own = recipients + 1;
            end = if self.next < own { end.min(own) } else { self.next + 1 };
        }
        let mut out = Vec::new();
        while self.next < end {
            let awaited = match self.next {
                0 => Awaited::Mail,
                next if next == data => Awaited::Data,
                next if next > recipients => Awaited::Exch50,
                next => Awaited::Rcpt(next - 1),
            };
            self.write(awaited, &mut out);
            self.awaited.push_back(awaited);
            self.next += 1;
        }
        Step::Send(out)
    }

    fn is_binary(&self) -> bool {
        self.envelope.body == Some(BodyType::BinaryMime)
    }

    /// Whether XEXCH50 has its place among the commands.
    fn sends_exch50(&self) -> bool {
        self.exch50_size > 0
    }

    /// Nobody is left to send to, but the server expects data: RFC 2920 §3.1 lets us send none.
    fn empty_body(&mut self) -> Step {
        if self.protocol == Protocol::Lmtp {
            // How many replies would follow is anybody's guess.
            self.phase = Phase::Done(ConnectionState::Broken);
            return Step::Done;
        }
        self.phase = Phase::Sent;
        self.awaited.push_back(Awaited::End);
        Step::Send(b".\r\n".to_vec())
    }

    fn write(&self, command: Awaited, out: &mut Vec<u8>) {
        let Envelope { sender, recipients, size, body, smtputf8, ret, envid, requiretls, exch50: _ } = &self.envelope;
        let Capabilities { dsn, eight_bit_mime, size: size_limit, .. } = self.capabilities;
        match command {
            Awaited::Mail => {
                let params = MailParams {
                    size: size.filter(|_| size_limit.is_some()),
                    body: body.filter(|body| eight_bit_mime || *body == BodyType::BinaryMime),
                    smtputf8: *smtputf8,
                    auth: None,
                    ret: ret.filter(|_| dsn),
                    envid: envid.clone().filter(|_| dsn),
                    requiretls: *requiretls,
                };
                write::mail(out, sender.as_ref(), &params);
            }
            Awaited::Rcpt(index) => {
                let (address, params) = &recipients[index];
                write::rcpt(out, address, if dsn { params } else { const { &RcptParams::NONE } });
            }
            Awaited::Exch50 => {
                let size = self.exch50_size;
                out.extend_from_slice(format!("XEXCH50 {size} 2\r\n").as_bytes());
            }
            Awaited::Data => out.extend_from_slice(b"DATA\r\n"),
            Awaited::Exch50Taken | Awaited::End | Awaited::EndFor(_) => {}
        }
    }

    /// Gives every recipient without an outcome this one.
    fn settle_all(&mut self, reply: &Reply) {
        for place in self.outcomes.iter_mut().filter(|place| place.is_none()) {
            *place = Some(outcome(reply.clone()));
        }
        self.accepted.clear();
    }

    /// Whether every recipient has its outcome.
    fn settled(&self) -> bool {
        self.outcomes.iter().all(Option::is_some)
    }
}

/// What a [`Transaction`] wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Send the message data through a [`super::DotStuffer`], then call [`Transaction::body_sent`].
    Body,
    /// Send the message data as it is, as many bytes as the envelope says; then the same.
    Octets,
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
    /// The message may only go where REQUIRETLS is offered: `5.7.30`.
    #[error("the message must be sent with REQUIRETLS, which the server does not offer")]
    NeedsRequireTls,
    /// The body is binary, which the server does not take: `5.6.3`.
    #[error("the message has a binary body, which the server does not take")]
    NeedsBinaryMime,
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

fn outcome(reply: Reply) -> Outcome {
    if reply.is_positive() { Outcome::Delivered(reply) } else { refused(reply, false) }
}

fn refused(reply: Reply, to_rcpt: bool) -> Outcome {
    // RFC 5321 §4.5.3.1.10: servers of old say 552 when they have too many recipients.
    let too_many = to_rcpt && reply.code == 552 && matches!(reply.enhanced, None | Some((5, 5, 3)));
    if reply.is_transient() || too_many { Outcome::Deferred(reply) } else { Outcome::Failed(reply) }
}

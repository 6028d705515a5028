//! The state of a mail transaction, and the one way to be rid of it.

use message::Address;

use crate::chunk::Chunked;
use crate::host::{Extensions, Output, Recipient};
use crate::session::Session;

/// From MAIL FROM to the end of data. Everything that belongs to one message and must not reach the next is here.
pub(crate) struct Transaction {
    /// The tokens that still allow all of it.
    pub(crate) rights: rights::Transaction,
    /// The same for the addresses that the connector puts in the place of those that came, where it rewrites senders: neither
    /// may say what the client must not.
    pub(crate) rewritten: Option<rights::Transaction>,
    /// The reverse-path; `None` is `<>`.
    pub(crate) sender: Option<Address>,
    /// Those that were accepted, each once.
    pub(crate) recipients: Vec<Recipient>,
    /// How many RCPT commands were accepted; what the connector limits, as each is weighed again after a change.
    pub(crate) rcpt_commands: u32,
    /// `SMTPUTF8` was given.
    pub(crate) smtputf8: bool,
    /// `BODY=8BITMIME` or `BODY=BINARYMIME` was given.
    pub(crate) eight_bit: bool,
    /// Text was given to [`Output::body`] and is not stored yet.
    pub(crate) body_begun: bool,
    /// What of the message came by BDAT, between its chunks.
    pub(crate) chunks: Option<Box<Chunked>>,
    /// What the client asked for beyond delivery.
    pub(crate) extensions: Extensions,
    /// The data of XEXCH50, where a token that is left may hand it over.
    pub(crate) exch50: Option<Vec<u8>>,
}

impl Session {
    /// Forgets sender, recipients, tokens and text of the present message. Nothing else ends a transaction: RSET, EHLO,
    /// STARTTLS, a refused or accepted message and the end of the session all come here (attack 7: one reset function).
    pub(crate) fn reset_transaction(&mut self, out: &mut dyn Output) {
        if let Some(transaction) = self.transaction.take()
            && transaction.body_begun
        {
            out.drop_body();
        }
    }
}

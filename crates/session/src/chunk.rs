//! BDAT (RFC 3030): a message in chunks whose octets are counted. The header is decided as with DATA, the same limits
//! hold, and the same line ends are faults; only its end is found otherwise.

use smtp::{ChunkReader, Reply};

use crate::data::Content;
use crate::host::{Host, Output, Wait};
use crate::replies;
use crate::session::{Context, Phase, Session};

/// The largest chunk that is read although nothing of it is kept, so that the commands behind it are found. A client
/// that announces more is disconnected (attack 14).
const MOST_SKIPPED: u64 = 1 << 30;

/// What came of a message by BDAT.
pub(crate) struct Chunked {
    reader: ChunkReader,
    content: Content,
}

/// A chunk on its way in.
pub(crate) struct Chunk {
    size: u64,
    left: u64,
    last: bool,
    into: Destiny,
}

/// What becomes of the octets of a chunk.
enum Destiny {
    /// They are of this message.
    Message(Box<Chunked>),
    /// They are dropped, and this is the answer.
    Nothing(Reply),
}

impl Session {
    /// A client sends its chunk without waiting for a reply, so that even one that is not wanted is read: what is in it
    /// must not be taken for commands (attack 4). A command that fails ends the transaction, for the next chunk is not
    /// the message without this one.
    pub(crate) fn bdat(&mut self, cx: &Context<'_>, size: u64, last: bool, out: &mut dyn Output) -> Wait {
        let into = match self.chunked(cx, size) {
            Ok(message) => Destiny::Message(message),
            Err(reply) => {
                self.reset_transaction(out);
                if size > cx.connector.max_message_size.max(MOST_SKIPPED) {
                    return self.end(reply, out);
                }
                Destiny::Nothing(reply)
            }
        };
        let chunk = Chunk { size, left: size, last, into };
        match size {
            0 => self.chunk_ended(cx, chunk, out),
            _ => {
                self.phase = Phase::Chunk(chunk);
                Wait::Nothing
            }
        }
    }

    /// The message that a chunk of this size belongs to, or why there is none.
    fn chunked(&mut self, cx: &Context<'_>, size: u64) -> Result<Box<Chunked>, Reply> {
        if !cx.connector.chunking || !self.greeted.as_ref().is_some_and(|greeted| greeted.extended) {
            return Err(replies::not_implemented());
        }
        let Some(transaction) = &mut self.transaction else {
            return Err(replies::bad_sequence("Need MAIL before BDAT"));
        };
        if transaction.recipients.is_empty() {
            return Err(replies::no_valid_recipients());
        }
        let message = transaction.chunks.take().unwrap_or_else(|| {
            let reader = match (transaction.extensions.binary, cx.connector.tolerant) {
                (true, _) => ChunkReader::binary(),
                (false, true) => ChunkReader::tolerant(),
                (false, false) => ChunkReader::new(),
            };
            Box::new(Chunked { reader, content: Content::new(cx, transaction.extensions.binary) })
        });
        let limit = transaction.rights.size_limit(cx.snapshot, &self.authority, cx.now);
        match limit.filter(|limit| message.content.size().saturating_add(size) > *limit) {
            Some(limit) => Err(replies::refusal(&rights::Refusal::TooLarge { limit }, None)),
            None => Ok(message),
        }
    }

    /// Takes octets of a chunk. Whatever is wrong with the message, the chunk is read to its end first.
    pub(crate) fn take_chunk(&mut self, host: &dyn Host, input: &[u8], out: &mut dyn Output) -> (usize, Wait) {
        let Phase::Chunk(mut chunk) = std::mem::replace(&mut self.phase, Phase::Command) else {
            return (input.len(), Wait::Close);
        };
        let taken = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(input.len());
        chunk.left -= taken as u64;
        if let Destiny::Message(message) = &mut chunk.into {
            let Chunked { reader, content } = &mut **message;
            reader.push(&input[..taken], &mut |bytes| content.take(self, host, bytes, out));
            content.blame(self, reader.fault(), out);
        }
        if chunk.left > 0 {
            self.phase = Phase::Chunk(chunk);
            self.data_arrived(host.steady());
            return (taken, Wait::Nothing);
        }
        (taken, self.within(host, out, |session, cx, out| session.chunk_ended(cx, chunk, out)))
    }

    fn chunk_ended(&mut self, cx: &Context<'_>, chunk: Chunk, out: &mut dyn Output) -> Wait {
        let mut message = match chunk.into {
            Destiny::Message(message) => message,
            Destiny::Nothing(reply) => {
                self.reply(reply, out);
                return Wait::Nothing;
            }
        };
        if chunk.last {
            let Chunked { reader, content } = &mut *message;
            reader.finish(&mut |bytes| content.take(self, cx.host, bytes, out));
            content.blame(self, reader.fault(), out);
            return self.end_of_data(cx, message.content, out);
        }
        if let Some(reply) = message.content.refusal() {
            return self.refused(reply.clone(), out);
        }
        match &mut self.transaction {
            Some(transaction) => transaction.chunks = Some(message),
            None => return self.refused(replies::bad_sequence("Need MAIL before BDAT"), out),
        }
        self.reply(replies::chunk_taken(chunk.size), out);
        Wait::Nothing
    }
}

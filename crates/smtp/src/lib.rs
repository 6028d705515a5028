//! SMTP, ESMTP and LMTP (RFC 5321, RFC 2033), server and client side, without I/O: bytes in, commands, replies and
//! message data out.
//!
//! Server: [`LineReader`] cuts command lines, [`parse_command`] makes a [`Command`] of one, [`DataReader`] reads message
//! data, [`ChunkReader`] the chunks of BDAT, [`proxy`] the header of the PROXY protocol, [`Reply`] is what is answered. Every fault of a peer is a [`PeerError`] with exactly one reply.
//! Client: see [`client`].

pub mod client;
pub mod command;
pub mod data;
pub mod error;
pub mod line;
pub mod parse;
pub mod proxy;
pub mod reply;
pub mod xtext;

pub use command::{
    AuthParam, BodyType, Command, ForwardPath, InitialResponse, MailParams, Notify, OriginalRecipient, RcptParams,
    ReturnContent, ReversePath,
};
pub use data::{ChunkReader, DataFault, DataProgress, DataReader};
pub use error::PeerError;
pub use line::{Line, LineReader, Taken};
pub use parse::{AuthResponse, Strictness, parse_auth_response, parse_command, parse_command_with};
pub use reply::Reply;

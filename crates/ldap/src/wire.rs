//! What the octets of a connection go over: TLS, or a context of Kerberos that seals them (RFC 4752).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::tickets::Context;

/// The longest token of a server that is read, in octets.
const LONGEST_TOKEN: usize = 16 << 20;

/// A socket that ends at a moment, however often the peer says an octet more.
pub(crate) struct Timed {
    pub(crate) stream: TcpStream,
    pub(crate) end: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(octets)
    }
}

impl Write for Timed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// What octets go over.
pub(crate) enum Wire {
    /// TLS.
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
    /// Nothing as yet, until a context is there.
    Plain(Timed),
    /// A context of Kerberos.
    Sealed(Box<Sealed>),
}

impl Wire {
    pub(crate) fn socket(&mut self) -> &mut Timed {
        match self {
            Wire::Tls(stream) => &mut stream.sock,
            Wire::Plain(stream) => stream,
            Wire::Sealed(sealed) => &mut sealed.stream,
        }
    }

    /// Whether nobody else hears what is said.
    pub(crate) fn is_private(&self) -> bool {
        !matches!(self, Wire::Plain(_))
    }

    /// `tls-server-end-point` of RFC 5929 §4; none without TLS.
    pub(crate) fn binding(&self) -> Option<Vec<u8>> {
        let Wire::Tls(stream) = self else { return None };
        let certificate = stream.conn.peer_certificates()?.first()?;
        Some([b"tls-server-end-point:", crate::tickets::certificate_hash(certificate).as_slice()].concat())
    }

    /// Everything is sealed from now on, in pieces that the server takes.
    pub(crate) fn seal(self, context: Box<dyn Context>, most: usize) -> Wire {
        match self {
            Wire::Plain(stream) => {
                Wire::Sealed(Box::new(Sealed { stream, context, most, token: Vec::new(), opened: Vec::new(), at: 0 }))
            }
            other => other,
        }
    }

    /// Says that nothing more comes.
    pub(crate) fn end(&mut self) {
        if let Wire::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.conn.write_tls(&mut stream.sock);
        }
    }
}

impl Read for Wire {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Tls(stream) => stream.read(octets),
            Wire::Plain(stream) => stream.read(octets),
            Wire::Sealed(sealed) => sealed.read(octets),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Tls(stream) => stream.write(octets),
            Wire::Plain(stream) => stream.write(octets),
            Wire::Sealed(sealed) => sealed.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Tls(stream) => stream.flush(),
            Wire::Plain(stream) => stream.flush(),
            Wire::Sealed(sealed) => sealed.stream.flush(),
        }
    }
}

/// A sealed connection: tokens with their lengths before them (RFC 4422 §3.7).
pub(crate) struct Sealed {
    stream: Timed,
    context: Box<dyn Context>,
    /// Octets that the server takes in a token.
    most: usize,
    /// Of the next token, as far as it has come.
    token: Vec<u8>,
    /// What the last one held, and how much of that was taken.
    opened: Vec<u8>,
    at: usize,
}

/// What a token is longer by than what it holds: header, confounder, checksum, and the header once more.
const OVERHEAD: usize = 128;

impl Sealed {
    /// Reads until so many octets of a token are there. What has come stays where time runs out.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        let mut piece = [0; 32 << 10];
        while self.token.len() < wanted {
            let room = (wanted - self.token.len()).min(piece.len());
            match self.stream.read(&mut piece[..room])? {
                0 if self.token.is_empty() => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.token.extend_from_slice(&piece[..count]),
            }
        }
        Ok(true)
    }
}

impl Read for Sealed {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        while self.at == self.opened.len() {
            if !self.fill(4)? {
                return Ok(0);
            }
            let length = self.token.first_chunk().map_or(0, |length| u32::from_be_bytes(*length)) as usize;
            if length == 0 || length > LONGEST_TOKEN {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "what it sends is not sealed"));
            }
            self.fill(4 + length)?;
            let token = std::mem::take(&mut self.token);
            let (opened, is_sealed) = self.context.unwrap(&token[4..]).map_err(io::Error::other)?;
            if !is_sealed {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "what it sends is not sealed"));
            }
            (self.opened, self.at) = (opened, 0);
        }
        let count = octets.len().min(self.opened.len() - self.at);
        octets[..count].copy_from_slice(&self.opened[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Write for Sealed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let count = octets.len().min(self.most.saturating_sub(OVERHEAD).max(1));
        let token = self.context.wrap(&octets[..count], true).map_err(io::Error::other)?;
        let length = u32::try_from(token.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.stream.write_all(&[&length.to_be_bytes()[..], &token].concat())?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

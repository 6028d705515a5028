//! A server that accepts everything and keeps nothing: what is left when a mail server does no work at all.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memchr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longest command line; a peer that sends more is disconnected.
const LONGEST_LINE: usize = 16 * 1024;

/// An SMTP server that discards what it accepts. It offers PIPELINING, 8BITMIME and AUTH PLAIN, and believes every password.
/// For comparisons on the loopback interface only: it has no limits on connections or time.
#[derive(Debug)]
pub struct Sink {
    listener: TcpListener,
    count: SinkCount,
}

/// How much a sink has discarded so far. Clones look at the same sink.
#[derive(Debug, Clone, Default)]
pub struct SinkCount {
    messages: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

impl SinkCount {
    /// Messages answered with 250.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Their bytes as they were on the wire, end-of-data lines not counted.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Sink {
    /// Listens; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> io::Result<Sink> {
        Ok(Sink { listener: TcpListener::bind(address).await?, count: SinkCount::default() })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A view of what it has discarded.
    pub fn count(&self) -> SinkCount {
        self.count.clone()
    }

    /// Serves until the future is dropped or the listener fails.
    pub async fn serve(self) -> io::Result<()> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let count = self.count.clone();
            tokio::spawn(async move {
                // A peer that breaks off ends its own connection and nothing else.
                let _ = serve_one(stream, count).await;
            });
        }
    }

    /// Takes connections and never says a word on them: a next hop that stalls. Runs until the future is dropped or the
    /// listener fails.
    pub async fn stall(self) -> io::Result<()> {
        let mut silent = Vec::new();
        loop {
            silent.push(self.listener.accept().await?);
        }
    }
}

async fn serve_one(mut stream: TcpStream, count: SinkCount) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"220 sink ready\r\n").await?;
    let mut input: Vec<u8> = Vec::with_capacity(64 * 1024);
    let mut out: Vec<u8> = Vec::new();
    // `Some(bytes so far)` while a message is read.
    let mut message: Option<u64> = None;
    loop {
        let mut at = 0;
        while let Some(end) = memchr(b'\n', &input[at..]) {
            let line = &input[at..at + end + 1];
            at += end + 1;
            match &mut message {
                Some(bytes) if line == b".\r\n" => {
                    count.messages.fetch_add(1, Ordering::Relaxed);
                    count.bytes.fetch_add(*bytes, Ordering::Relaxed);
                    message = None;
                    out.extend_from_slice(b"250 2.0.0 discarded\r\n");
                }
                Some(bytes) => *bytes += line.len() as u64,
                None => match verb(line).as_slice() {
                    b"EHLO" => {
                        out.extend_from_slice(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n")
                    }
                    b"DATA" => {
                        message = Some(0);
                        out.extend_from_slice(b"354 go ahead\r\n");
                    }
                    b"AUTH" => out.extend_from_slice(b"235 2.7.0 believed\r\n"),
                    b"QUIT" => {
                        out.extend_from_slice(b"221 bye\r\n");
                        return stream.write_all(&out).await;
                    }
                    b"HELO" | b"MAIL" | b"RCPT" | b"RSET" | b"NOOP" => out.extend_from_slice(b"250 ok\r\n"),
                    _ => out.extend_from_slice(b"502 5.5.1 not here\r\n"),
                },
            }
        }
        input.drain(..at);
        if input.len() > LONGEST_LINE {
            return Ok(());
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

fn verb(line: &[u8]) -> Vec<u8> {
    line.iter().take_while(|byte| byte.is_ascii_alphabetic()).map(u8::to_ascii_uppercase).collect()
}

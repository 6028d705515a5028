//! Hosts that stall: one listener that all addresses of the loopback interface lead to, and a client that hands in many
//! messages quickly.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Where hosts stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// Before their greeting.
    Greeting,
    /// After the sender.
    Recipient,
    /// After they asked for the data.
    Data,
}

/// Hosts that stall, each at an address of its own ([`StalledHosts::address`]).
#[derive(Debug)]
pub struct StalledHosts {
    /// The port of all of them.
    pub port: u16,
    held: Arc<Mutex<Vec<TcpStream>>>,
}

impl StalledHosts {
    /// Starts them; they live as long as the process.
    #[track_caller]
    pub fn start() -> StalledHosts {
        let socket = TcpListener::bind("0.0.0.0:0").unwrap();
        let hosts = StalledHosts { port: socket.local_addr().unwrap().port(), held: Arc::default() };
        let held = Arc::clone(&hosts.held);
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let Ok(address) = stream.local_addr() else { continue };
                let held = Arc::clone(&held);
                // A thread for a moment: most of the time such a host does nothing.
                thread::spawn(move || {
                    if let (Some(stream), Ok(mut held)) = (talk(stream, stall_of(address)), held.lock()) {
                        held.push(stream);
                    }
                });
            }
        });
        hosts
    }

    /// The address of a host; they stall in different places.
    pub fn address(host: u16) -> Ipv4Addr {
        let [high, low] = host.to_be_bytes();
        Ipv4Addr::new(127, 77, high, low)
    }

    /// Connections that stall now.
    pub fn stalled(&self) -> usize {
        self.held.lock().map(|held| held.len()).unwrap_or_default()
    }
}

fn stall_of(address: std::net::SocketAddr) -> Stall {
    match address.port().wrapping_add(u16::from(last_octet(address))) % 3 {
        0 => Stall::Greeting,
        1 => Stall::Recipient,
        _ => Stall::Data,
    }
}

fn last_octet(address: std::net::SocketAddr) -> u8 {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(ip) => ip.octets()[15],
    }
}

/// Talks up to where the host stalls.
fn talk(mut stream: TcpStream, stall: Stall) -> Option<TcpStream> {
    if stall == Stall::Greeting {
        return Some(stream);
    }
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    stream.write_all(b"220 stalled.test\r\n").ok()?;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let reply: &[u8] = match line.get(..4).unwrap_or_default() {
            "RCPT" if stall == Stall::Recipient => return Some(stream),
            "DATA" => {
                stream.write_all(b"354 go on\r\n").ok()?;
                return Some(stream);
            }
            _ => b"250 ok\r\n",
        };
        stream.write_all(reply).ok()?;
    }
}

/// Hands in messages from sue@outside.test over one connection, one to each of these recipients; the number of those that
/// were accepted.
#[track_caller]
pub fn hand_in(port: u16, recipients: &[String], body: &str) -> usize {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut out = stream;
    let mut reply = || {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the server closed the connection");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    };
    reply();
    out.write_all(b"EHLO client.test\r\n").unwrap();
    reply();
    let mut accepted = 0;
    for recipient in recipients {
        let commands = format!("MAIL FROM:<sue@outside.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n");
        out.write_all(commands.as_bytes()).unwrap();
        let replies = [reply(), reply(), reply()];
        if !replies[2].starts_with("354") {
            out.write_all(b"RSET\r\n").unwrap();
            reply();
            continue;
        }
        out.write_all(format!("{body}\r\n.\r\n").as_bytes()).unwrap();
        accepted += usize::from(reply().starts_with("250"));
    }
    accepted
}

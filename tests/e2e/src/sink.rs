//! A mail server that takes everything and remembers in which order it came.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::outcome::Message;
use crate::server::PATIENCE;

/// An SMTP server. It lives as long as the process.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its port.
    pub port: u16,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Sink {
    /// Starts it on a free port of the loopback interface.
    pub fn start() -> Sink {
        Sink::start_on(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts it on this address.
    #[track_caller]
    pub fn start_on(address: SocketAddr) -> Sink {
        Sink::serving(TcpListener::bind(address).unwrap(), |_| None)
    }

    /// Starts one that refuses messages at the end of data, by their subject, with a reply.
    pub fn refusing(answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> Sink {
        Sink::serving(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    fn serving(listener: TcpListener, answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> Sink {
        let answer = Arc::new(answer);
        let sink = Sink { port: listener.local_addr().unwrap().port(), messages: Arc::default() };
        let messages = Arc::clone(&sink.messages);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (messages, answer) = (Arc::clone(&messages), Arc::clone(&answer));
                thread::spawn(move || drop(serve(&stream, &messages, &*answer)));
            }
        });
        sink
    }

    /// The subjects of what came, in the order in which it was taken.
    pub fn subjects(&self) -> Vec<String> {
        let subject = |message: &Message| message.values("Subject").first().map(|subject| (*subject).to_owned());
        self.messages.lock().unwrap().iter().map(|message| subject(message).unwrap_or_default()).collect()
    }

    /// Waits for the message with this subject.
    #[track_caller]
    pub fn message(&self, subject: &str) -> Message {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let found = |message: &&Message| message.values("Subject").contains(&subject);
            if let Some(message) = self.messages.lock().unwrap().iter().find(found) {
                return message.clone();
            }
            thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("no message with the subject {subject:?} came");
    }

    /// Waits until so many messages have come; their subjects in order.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<String> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let subjects = self.subjects();
            if subjects.len() >= count {
                return subjects;
            }
            thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("of {count} messages {} came", self.subjects().len());
    }
}

fn serve(
    stream: &TcpStream,
    messages: &Mutex<Vec<Message>>,
    answer: &dyn Fn(&str) -> Option<&'static str>,
) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream.try_clone()?);
    out.write_all(b"220 sink.test\r\n")?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => out.write_all(b"250-sink.test\r\n250 8BITMIME\r\n")?,
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                let message = read_message(&mut lines)?;
                match answer(message.values("Subject").first().unwrap_or(&"")) {
                    Some(refusal) => out.write_all(format!("{refusal}\r\n").as_bytes())?,
                    None => {
                        messages.lock().unwrap().push(message);
                        out.write_all(b"250 taken\r\n")?;
                    }
                }
            }
            "QUIT" => return out.write_all(b"221 bye\r\n"),
            _ => out.write_all(b"250 ok\r\n")?,
        }
    }
}

/// Reads to the end of data.
fn read_message(lines: &mut impl BufRead) -> std::io::Result<Message> {
    let mut message = Vec::new();
    loop {
        let begin = message.len();
        if lines.read_until(b'\n', &mut message)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if &message[begin..] == b".\r\n" {
            message.truncate(begin);
            return Ok(Message::parse(&message));
        }
    }
}

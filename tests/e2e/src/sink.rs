//! A mail server that takes everything and remembers in which order it came.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::server::PATIENCE;

/// An SMTP server on a free port of the loopback interface. It lives as long as the process.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its port.
    pub port: u16,
    subjects: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    /// Starts it.
    pub fn start() -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Sink { port: listener.local_addr().unwrap().port(), subjects: Arc::default() };
        let subjects = Arc::clone(&sink.subjects);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let subjects = Arc::clone(&subjects);
                thread::spawn(move || drop(serve(&stream, &subjects)));
            }
        });
        sink
    }

    /// The subjects of what came, in the order in which it was taken.
    pub fn subjects(&self) -> Vec<String> {
        self.subjects.lock().unwrap().clone()
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

fn serve(stream: &TcpStream, subjects: &Mutex<Vec<String>>) -> std::io::Result<()> {
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
                let subject = read_message(&mut lines)?;
                subjects.lock().unwrap().push(subject);
                out.write_all(b"250 taken\r\n")?;
            }
            "QUIT" => return out.write_all(b"221 bye\r\n"),
            _ => out.write_all(b"250 ok\r\n")?,
        }
    }
}

/// Reads to the end of data; the subject.
fn read_message(lines: &mut impl BufRead) -> std::io::Result<String> {
    let mut subject = String::new();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&line);
        if text == ".\r\n" {
            return Ok(subject);
        }
        if subject.is_empty()
            && let Some(found) = text.strip_prefix("Subject: ")
        {
            subject = found.trim_end().to_owned();
        }
    }
}

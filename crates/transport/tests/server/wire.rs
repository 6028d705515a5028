//! A raw client: it says exactly what it is told to, and reads replies with a bound.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::site::PATIENCE;

pub struct Wire {
    stream: Stream,
    input: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Gone,
}

impl Wire {
    /// Connects and reads the greeting.
    pub fn greet(address: SocketAddr) -> Wire {
        let mut wire = Wire::connect(address);
        wire.expect("220");
        wire
    }

    pub fn connect(address: SocketAddr) -> Wire {
        Wire::on(TcpStream::connect(address).unwrap())
    }

    pub fn on(stream: TcpStream) -> Wire {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Wire { stream: Stream::Plain(stream), input: Vec::new() }
    }

    pub fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).unwrap();
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Gone => panic!("no connection"),
        }
    }

    /// Reads one reply, all its lines; empty when the server closed.
    pub fn reply(&mut self) -> String {
        loop {
            if let Some(end) = end_of_reply(&self.input) {
                let reply: Vec<u8> = self.input.drain(..end).collect();
                return String::from_utf8(reply).unwrap();
            }
            let mut buffer = [0; 4096];
            let count = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut buffer),
                Stream::Tls(stream) => stream.read(&mut buffer),
                Stream::Gone => panic!("no connection"),
            };
            match count {
                Ok(0) => return String::new(),
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return String::new(),
                Err(error) => panic!("no reply: {error}; so far {:?}", String::from_utf8_lossy(&self.input)),
            }
        }
    }

    pub fn expect(&mut self, start: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(start), "expected {start}, got {reply:?}");
        reply
    }

    /// Says a line and expects a reply.
    pub fn say(&mut self, line: &str, start: &str) -> String {
        self.send(&format!("{line}\r\n"));
        self.expect(start)
    }

    /// The server has closed, and says nothing more.
    pub fn expect_end(&mut self) {
        assert_eq!(self.reply(), "");
    }

    /// STARTTLS, with the certificate taken as it is.
    pub fn start_tls(&mut self, config: &Arc<ClientConfig>) {
        self.say("STARTTLS", "220");
        self.handshake(config);
    }

    pub fn handshake(&mut self, config: &Arc<ClientConfig>) {
        let Stream::Plain(mut stream) = std::mem::replace(&mut self.stream, Stream::Gone) else { panic!("plain") };
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        self.stream = Stream::Tls(Box::new(StreamOwned::new(connection, stream)));
    }

    /// A handshake that may fail, on either side.
    pub fn try_handshake(&mut self, config: &Arc<ClientConfig>) -> io::Result<()> {
        let Stream::Plain(mut stream) = std::mem::replace(&mut self.stream, Stream::Gone) else { panic!("plain") };
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(())
    }

    /// The certificate that the server showed.
    pub fn server_certificate(&self) -> CertificateDer<'static> {
        let Stream::Tls(stream) = &self.stream else { panic!("TLS") };
        stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Was the TLS session resumed?
    pub fn resumed(&self) -> bool {
        let Stream::Tls(stream) = &self.stream else { panic!("TLS") };
        stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// AUTH PLAIN with an initial response.
    pub fn auth(&mut self, user: &str, password: &str, start: &str) -> String {
        let response = base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        self.say(&format!("AUTH PLAIN {response}"), start)
    }

    /// A whole message without pipelining.
    pub fn mail(&mut self, from: &str, to: &[&str], text: &str) -> String {
        self.say(&format!("MAIL FROM:<{from}>"), "250");
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250");
        }
        self.say("DATA", "354");
        let stuffed: String = text
            .lines()
            .map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") })
            .collect();
        self.send(&stuffed);
        self.send(".\r\n");
        self.reply()
    }
}

/// A message with these senders.
pub fn text(from: &str, subject: &str) -> String {
    format!("From: <{from}>\nSubject: {subject}\nMessage-ID: <{subject}@test>\n\nHello\n")
}

pub fn tls_client() -> Arc<ClientConfig> {
    tls_client_of(rustls::ALL_VERSIONS)
}

/// A client that speaks these versions.
pub fn tls_client_of(versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    Arc::new(trusting(versions).with_no_client_auth())
}

/// A client that shows a certificate when it is asked for one.
pub fn tls_client_with(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Arc<ClientConfig> {
    Arc::new(trusting(rustls::ALL_VERSIONS).with_client_auth_cert(chain, key).unwrap())
}

fn trusting(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
}

fn end_of_reply(input: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(end) = input[start..].windows(2).position(|pair| pair == b"\r\n") {
        let line = &input[start..start + end];
        start += end + 2;
        if line.get(3) != Some(&b'-') {
            return Some(start);
        }
    }
    None
}

#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

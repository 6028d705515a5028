//! Logging on to smart hosts with tokens (XOAUTH2).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::attributes;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::hosts::nobody;
use crate::sending::{await_reason, certificate_for, hand_over, relaying_to};
use crate::site::{Directory, PATIENCE, RELAY_PASSWORD};

/// A token endpoint: gives tokens `token-1`, `token-2`, …; what it is sent comes out.
fn endpoint(life: u32) -> (SocketAddr, Receiver<String>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for (number, stream) in socket.incoming().flatten().enumerate() {
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut form = vec![0; length];
            lines.read_exact(&mut form).unwrap();
            send.send(String::from_utf8(form).unwrap()).unwrap();
            let body = format!("{{\"access_token\":\"token-{}\",\"expires_in\":{life}}}", number + 1);
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n";
            let mut stream = stream;
            stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        }
    });
    (address, receive)
}

/// A host with TLS that takes mail from who shows one of these tokens; what it is shown comes out.
fn host(certificate: Arc<CertifiedKey>, good: Arc<Mutex<Vec<&'static str>>>) -> (SocketAddr, Receiver<String>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let (certificate, good, send) = (certificate.clone(), good.clone(), send.clone());
            std::thread::spawn(move || serve(stream, certificate, &good, &send));
        }
    });
    (address, receive)
}

fn serve(
    mut stream: TcpStream,
    certificate: Arc<CertifiedKey>,
    good: &Mutex<Vec<&'static str>>,
    shown: &Sender<String>,
) -> Option<()> {
    let mut plain = BufReader::new(stream.try_clone().ok()?);
    stream.write_all(b"220 relay.test\r\n").ok()?;
    for reply in ["250-relay.test\r\n250 STARTTLS\r\n", "220 go on\r\n"] {
        plain.read_line(&mut String::new()).ok()?;
        stream.write_all(reply.as_bytes()).ok()?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let config = config.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)));
    let mut lines = BufReader::new(StreamOwned::new(ServerConnection::new(Arc::new(config)).ok()?, stream));
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let reply = match line.get(..4).unwrap_or(&line) {
            "EHLO" => "250-relay.test\r\n250 AUTH XOAUTH2 PLAIN".to_owned(),
            "AUTH" => {
                let response = line.trim().strip_prefix("AUTH XOAUTH2 ")?;
                let response = String::from_utf8(STANDARD.decode(response).ok()?).ok()?;
                shown.send(response.clone()).ok()?;
                match good
                    .lock()
                    .ok()?
                    .iter()
                    .any(|token| response == format!("user=us\x01auth=Bearer {token}\x01\x01"))
                {
                    true => "235 2.7.0 welcome".to_owned(),
                    false => format!("334 {}", STANDARD.encode("{\"status\":\"401\"}")),
                }
            }
            "DATA" => {
                lines.get_mut().write_all(b"354 go on\r\n").ok()?;
                while line != ".\r\n" {
                    line.clear();
                    lines.read_line(&mut line).ok()?;
                }
                shown.send("message".to_owned()).ok()?;
                "250 2.0.0 taken".to_owned()
            }
            "\r\n" => "535 5.7.8 no".to_owned(),
            _ => "250 fine".to_owned(),
        };
        lines.get_mut().write_all(format!("{reply}\r\n").as_bytes()).ok()?;
    }
}

fn with_tokens(endpoint: SocketAddr, grant: &'static str) -> impl FnOnce(&mut Directory) {
    move |directory: &mut Directory| {
        let relay = directory.relay();
        directory.put(relay, attributes::SEND_AUTH, "oauth");
        directory.put(relay, attributes::SEND_USER, "us");
        directory.put(relay, attributes::SEND_TOKEN_URL, &format!("http://{endpoint}/token"));
        directory.put(relay, attributes::SEND_TOKEN_CLIENT, "procura app");
        directory.put(relay, attributes::SEND_TOKEN_SCOPE, "smtp.send");
        directory.put(relay, attributes::SEND_TOKEN_GRANT, grant);
    }
}

fn next(from: &Receiver<String>) -> String {
    from.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_token_is_fetched_with_the_secret_and_shown_over_tls() {
    let (_, certificate) = certificate_for("relay.test");
    let (tokens, asked) = endpoint(3600);
    let (address, shown) = host(certificate, Arc::new(Mutex::new(vec!["token-1"])));
    let site = relaying_to(address, with_tokens(tokens, "client-credentials"), |_| {});
    hand_over_plainly(&site);
    let form = next(&asked);
    let secret = RELAY_PASSWORD.replace(' ', "+");
    for field in [
        "grant_type=client_credentials",
        "client_id=procura+app",
        "scope=smtp.send",
        &format!("client_secret={secret}"),
    ] {
        assert!(form.replace("%20", "+").contains(field), "{field}: {form}");
    }
    assert_eq!(next(&shown), "user=us\x01auth=Bearer token-1\x01\x01");
    assert_eq!(next(&shown), "message");
    site.await_empty_queue();
}

#[test]
fn a_token_that_is_not_taken_any_more_is_replaced_at_once() {
    let (_, certificate) = certificate_for("relay.test");
    let (tokens, asked) = endpoint(3600);
    let good = Arc::new(Mutex::new(vec!["token-2"]));
    let (address, shown) = host(certificate, good);
    let site = relaying_to(address, with_tokens(tokens, "refresh-token"), |_| {});
    hand_over_plainly(&site);
    let (refresh, secret) = RELAY_PASSWORD.split_once(' ').unwrap();
    let form = next(&asked);
    assert!(
        form.contains(&format!("refresh_token={refresh}")) && form.contains(&format!("client_secret={secret}")),
        "{form}"
    );
    assert_eq!(next(&shown), "user=us\x01auth=Bearer token-1\x01\x01");
    next(&asked);
    assert_eq!(next(&shown), "user=us\x01auth=Bearer token-2\x01\x01");
    assert_eq!(next(&shown), "message");
    site.await_empty_queue();
}

#[test]
fn mail_waits_where_the_host_takes_no_token() {
    let (_, certificate) = certificate_for("relay.test");
    let (tokens, _asked) = endpoint(3600);
    let (address, _shown) = host(certificate, Arc::default());
    let site = relaying_to(address, with_tokens(tokens, "client-credentials"), |_| {});
    hand_over_plainly(&site);
    await_reason(&site, "the host refused the logon: 535 5.7.8 no");
}

#[test]
fn mail_waits_where_there_is_no_token_and_the_reason_has_no_secret() {
    let (_, certificate) = certificate_for("relay.test");
    let (address, _shown) = host(certificate, Arc::default());
    let site = relaying_to(address, with_tokens(nobody(), "client-credentials"), |_| {});
    hand_over_plainly(&site);
    await_reason(&site, "there is no token to log on with");
    let states = site.shared.queue().destinations(None);
    assert!(states.iter().all(|state| !state.reason.contains("secret")), "{states:?}");
}

fn hand_over_plainly(site: &crate::site::Site) {
    hand_over(site, "rita@relay.test");
}

//! Runs against the sink and against small servers that misbehave on purpose.

// A test stops at the first surprise; that includes the functions that several tests share.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use load::{Accounts, Auth, Connections, LoadError, Mechanism, Plan, Report, Sink, SinkCount, Stop, Tls};
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const LOOPBACK: &str = "127.0.0.1:0";

async fn sink() -> (SocketAddr, SinkCount) {
    let sink = Sink::bind(LOOPBACK.parse().unwrap()).await.unwrap();
    let (address, count) = (sink.address().unwrap(), sink.count());
    tokio::spawn(sink.serve());
    (address, count)
}

fn plan(target: SocketAddr) -> Plan {
    let mut plan = Plan::new(target, "a@example.org".parse().unwrap(), "b@example.com".parse().unwrap());
    plan.timeout = Duration::from_secs(10);
    plan
}

/// A server that answers each line by the first matching prefix of `script`, speaks TLS after STARTTLS, and gives 250 at end of data.
async fn scripted(script: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Several replies to pipelined commands are several writes: with Nagle each batch would wait for an ACK.
            stream.set_nodelay(true).unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                stream.write_all(answer(script, "CONNECT").as_bytes()).await.unwrap();
                if talk(&mut stream, script).await {
                    let mut stream = acceptor.accept(stream).await.unwrap();
                    talk(&mut stream, script).await;
                }
            });
        }
    });
    address
}

/// True where the client wants TLS.
async fn talk(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    script: &'static [(&'static str, &'static str)],
) -> bool {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).take(1 << 20).lines();
    let mut in_data = false;
    while let Ok(Some(line)) = lines.next_line().await {
        if in_data && line != "." {
            continue;
        }
        let reply = answer(script, if in_data { "END" } else { &line });
        in_data = reply.starts_with("354");
        if write.write_all(reply.as_bytes()).await.is_err() || line == "QUIT" {
            return false;
        }
        if line == "STARTTLS" && reply.starts_with("220") {
            return true;
        }
    }
    false
}

fn answer(script: &[(&str, &str)], line: &str) -> String {
    let defaults = [
        ("CONNECT", "220 scripted"),
        ("EHLO", "250-scripted\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"),
        ("STARTTLS", "220 go"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
        ("Ym9iLWRlbW8=", "235 welcome"),
        ("Ym9i", "334 UGFzc3dvcmQ6"),
        ("AUTH PLAIN AGJvYgBib2ItZGVtbw==", "235 welcome"),
        ("AUTH", "535 5.7.3 Authentication unsuccessful"),
        ("DATA", "354 go"),
        ("", "250 ok"),
    ];
    let found = script.iter().chain(&defaults).find(|(prefix, _)| line.starts_with(prefix));
    format!("{}\r\n", found.map(|(_, reply)| *reply).unwrap_or("500 what"))
}

async fn run(plan: &Plan) -> Report {
    load::run(plan).await.unwrap()
}

#[tokio::test]
async fn every_message_of_a_count_arrives() {
    let (target, count) = sink().await;
    let mut plan = plan(target);
    (plan.sessions, plan.stop) = (8, Stop::Count(250));
    let report = run(&plan).await;
    assert_eq!((report.accepted, report.attempted, count.messages()), (250, 250, 250));
}

#[tokio::test]
async fn the_bytes_reported_are_the_bytes_that_arrive() {
    let (target, count) = sink().await;
    let mut plan = plan(target);
    plan.sizes = "1k-20k".parse().unwrap();
    let report = run(&plan).await;
    assert_eq!(report.bytes, count.bytes());
}

#[tokio::test]
async fn each_accepted_message_has_its_latency() {
    let (target, _) = sink().await;
    let report = run(&plan(target)).await;
    assert_eq!(report.end_of_data.count, report.accepted);
}

#[tokio::test]
async fn fresh_connections_are_made_for_every_message() {
    let (target, _) = sink().await;
    let mut plan = plan(target);
    (plan.connections, plan.stop) = (Connections::Fresh(1), Stop::Count(20));
    // The first connection is made before the sessions begin and is used by the first of them.
    assert_eq!(run(&plan).await.connections, 20);
}

#[tokio::test]
async fn kept_connections_are_one_for_each_session() {
    let (target, _) = sink().await;
    let mut plan = plan(target);
    (plan.sessions, plan.stop) = (4, Stop::Count(100));
    assert_eq!(run(&plan).await.connections, 4);
}

#[tokio::test]
async fn without_pipelining_messages_arrive_too() {
    let (target, count) = sink().await;
    let mut plan = plan(target);
    plan.pipelining = false;
    run(&plan).await;
    assert_eq!(count.messages(), 100);
}

#[tokio::test]
async fn several_recipients_are_counted() {
    let (target, _) = sink().await;
    let mut plan = plan(target);
    (plan.recipients_per_message, plan.stop) = (3, Stop::Count(10));
    assert_eq!(run(&plan).await.recipients, 30);
}

#[tokio::test]
async fn a_rate_spreads_the_messages_over_time() {
    let (target, _) = sink().await;
    let mut plan = plan(target);
    (plan.rate, plan.stop) = (Some(100.0), Stop::Count(21));
    // The last of 21 messages is due 200 ms after the first: a run cannot be shorter, however fast the machine.
    assert!(run(&plan).await.seconds >= 0.2);
}

#[tokio::test]
async fn refusals_are_counted_by_stage_and_reply() {
    let target = scripted(&[
        ("MAIL FROM:<ceo@", "550 5.7.1 Client does not have permissions to send as this sender [ceo@x; decision 01]"),
        ("RCPT", "503 no"),
        ("DATA", "503 no"),
    ])
    .await;
    let mut plan = plan(target);
    (plan.senders, plan.stop) = ("ceo@example.com".parse().unwrap(), Stop::Count(5));
    let report = run(&plan).await;
    assert_eq!(report.accepted, 0);
    let refused: Vec<_> = report.refused.into_iter().collect();
    assert_eq!(refused, [("MAIL: 550 5.7.1 Client does not have permissions to send as this sender".to_owned(), 5)]);
}

#[tokio::test]
async fn a_refusal_at_end_of_data_is_told_apart() {
    let target = scripted(&[("END", "550 5.7.1 on behalf")]).await;
    let mut plan = plan(target);
    plan.stop = Stop::Count(3);
    assert_eq!(run(&plan).await.refused["end of data: 550 5.7.1 on behalf"], 3);
}

#[tokio::test]
async fn sessions_log_on_with_plain_after_starttls() {
    let target = scripted(&[]).await;
    assert_eq!(run(&with_login(target, Mechanism::Plain)).await.accepted, 100);
}

#[tokio::test]
async fn sessions_log_on_with_login_after_starttls() {
    let target = scripted(&[]).await;
    assert_eq!(run(&with_login(target, Mechanism::Login)).await.accepted, 100);
}

fn with_login(target: SocketAddr, mechanism: Mechanism) -> Plan {
    let mut plan = plan(target);
    plan.tls = Tls::StartTls { roots: None, name: "localhost".to_owned(), resume: true };
    plan.auth = Some(Auth { mechanism, accounts: Accounts::List(vec![("bob".to_owned(), "bob-demo".to_owned())]) });
    plan
}

#[tokio::test]
async fn a_wrong_password_names_the_account() {
    let target = scripted(&[]).await;
    let mut plan = with_login(target, Mechanism::Plain);
    plan.auth = Some(Auth {
        mechanism: Mechanism::Plain,
        accounts: Accounts::Pattern { login: "eve{1..2}".parse().unwrap(), password: "x".parse().unwrap() },
    });
    let error = load::run(&plan).await.unwrap_err().to_string();
    assert!(error.contains("refused the login of eve1") && error.contains("535"), "{error}");
}

#[tokio::test]
async fn a_port_without_a_server_is_said_so() {
    let free = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let error = load::run(&plan(free)).await.unwrap_err();
    assert!(matches!(error, LoadError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn a_server_without_auth_before_tls_is_hinted_at() {
    let target = scripted(&[("EHLO", "250-scripted\r\n250 STARTTLS")]).await;
    let mut plan = with_login(target, Mechanism::Plain);
    plan.tls = Tls::None;
    let error = load::run(&plan).await.unwrap_err().to_string();
    assert!(error.contains("AUTH after it"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_an_error_where_trust_is_asked_for() {
    let target = scripted(&[]).await;
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = std::env::temp_dir().join(format!("procura-load-roots-{}.pem", std::process::id()));
    std::fs::write(&file, other.cert.pem()).unwrap();
    let mut plan = plan(target);
    plan.tls = Tls::StartTls { roots: Some(file.clone()), name: "localhost".to_owned(), resume: false };
    let error = load::run(&plan).await.unwrap_err();
    std::fs::remove_file(file).unwrap();
    assert!(matches!(error, LoadError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_closes_again_and_again_ends_the_run() {
    let target = scripted(&[("MAIL", "not smtp")]).await;
    let mut plan = plan(target);
    plan.stop = Stop::Count(1_000_000);
    let error = load::run(&plan).await.unwrap_err();
    assert!(matches!(error, LoadError::GaveUp { .. }), "{error}");
}

#[tokio::test]
async fn the_report_is_json() {
    let (target, _) = sink().await;
    let report = run(&plan(target)).await;
    let value: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(value["accepted"], 100);
}

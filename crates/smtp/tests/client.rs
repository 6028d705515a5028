//! The client side: replies, capabilities, command writers, transactions.

#![allow(clippy::unwrap_used)]

mod checks;

use checks::parse_all;
use message::Address;
use proptest::prelude::*;
use smtp::client::{
    Capabilities, ClientTransaction, ConnectionState, Envelope, Outcome, Protocol, ProtocolError, ReplyFault, Step,
    Unsendable, write,
};
use smtp::{
    AuthParam, BodyType, Command, MailParams, Notify, OriginalRecipient, RcptParams, Reply, ReturnContent,
    parse_command,
};

fn reply(text: &str) -> Reply {
    parse_all(format!("{text}\r\n").as_bytes()).unwrap().remove(0)
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn offers(lines: &str) -> Capabilities {
    Capabilities::parse(&Reply::new(250, None, format!("mx.example.com\n{lines}")))
}

fn envelope(recipients: &[&str]) -> Envelope {
    Envelope {
        sender: Some(address("a@x.com")),
        recipients: recipients.iter().map(|text| (address(text), RcptParams::NONE)).collect(),
        ..Envelope::default()
    }
}

fn begin(protocol: Protocol, capabilities: &str, recipients: &[&str]) -> ClientTransaction {
    ClientTransaction::new(protocol, &offers(capabilities), envelope(recipients)).unwrap()
}

/// Sends what is to be sent and answers with the replies, in turn, until none is left; gives what was sent.
fn drive(transaction: &mut ClientTransaction, replies: &[&str]) -> String {
    let mut sent = String::new();
    let mut replies = replies.iter();
    loop {
        match transaction.step() {
            Step::Send(bytes) => sent += std::str::from_utf8(&bytes).unwrap(),
            Step::Body => {
                sent += "(body)";
                transaction.body_sent();
            }
            Step::Octets => {
                sent += "(octets)";
                transaction.body_sent();
            }
            Step::Read => match replies.next() {
                Some(text) => transaction.reply(reply(text)).unwrap(),
                None => return sent,
            },
            Step::Done => return sent,
        }
    }
}

fn codes(outcomes: &[Outcome]) -> Vec<(char, u16)> {
    let code = |outcome: &Outcome| match outcome {
        Outcome::Delivered(reply) => ('+', reply.code),
        Outcome::Deferred(reply) => ('~', reply.code),
        Outcome::Failed(reply) => ('-', reply.code),
        Outcome::Interrupted { data_sent, .. } => ('?', u16::from(*data_sent)),
    };
    outcomes.iter().map(code).collect()
}

#[test]
fn replies_of_one_and_of_several_lines_are_read() {
    let replies = parse_all(b"250-mx\r\n250-SIZE 1\r\n250 HELP\r\n354 go on\r\n").unwrap();
    assert_eq!(replies, [Reply::new(250, None, "mx\nSIZE 1\nHELP"), Reply::new(354, None, "go on")]);
    assert_eq!(reply("550 5.1.1 no such user"), Reply::new(550, (5, 1, 1), "no such user"));
    assert_eq!(parse_all(b"250-2.1.0 a\r\n250 2.1.0 b\r\n").unwrap(), [Reply::new(250, (2, 1, 0), "a\nb")]);
}

#[test]
fn harmless_deviations_are_taken() {
    assert_eq!(parse_all(b"250\n").unwrap(), [Reply::new(250, None, "")]);
    assert_eq!(parse_all(b"250-\r\n250 \r\n").unwrap()[0].lines, ["", ""]);
    // A status code of another class, or something that only looks like one, is text.
    assert_eq!(reply("250 5.1.1 ok").lines, ["5.1.1 ok"]);
    assert_eq!(reply("220 1.2.3.4 ready").enhanced, None);
    assert_eq!(parse_all(b"250 caf\xe9\x07\r\n").unwrap()[0].lines, ["caf\u{fffd} "]);
}

#[test]
fn what_is_no_reply_is_a_fault() {
    for input in [&b"hello\r\n"[..], b"25\r\n", b"099 x\r\n", b"600 x\r\n", b"250x\r\n", b"\r\n"] {
        assert_eq!(parse_all(input), Err(ReplyFault::NoCode), "{input:?}");
    }
    assert_eq!(parse_all(b"250-a\r\n550 b\r\n"), Err(ReplyFault::MixedCodes));
    assert_eq!(parse_all(&[b'2'; 5000]), Err(ReplyFault::LineTooLong));
    assert_eq!(parse_all(&b"250-x\r\n".repeat(129)), Err(ReplyFault::TooManyLines));
}

#[test]
fn capabilities_are_those_after_the_greeting() {
    let capabilities = offers("PIPELINING\nsize 1000\nAUTH PLAIN login\nAUTH=LOGIN\nX-EXPS GSSAPI\n8bitmime");
    assert!(capabilities.pipelining && capabilities.eight_bit_mime && !capabilities.starttls);
    assert_eq!(capabilities.size, Some(1000));
    assert_eq!(capabilities.auth, ["PLAIN", "LOGIN"]);
    assert_eq!(capabilities.other, ["X-EXPS GSSAPI"]);
    let limits = offers("LIMITS RCPTMAX=20 mailmax=5 RCPTDOMAINMAX=0 FUTURE=1").limits;
    assert_eq!((limits.recipients, limits.transactions, limits.domains), (Some(20), Some(5), None));
    assert!(offers("REQUIRETLS").requiretls && !capabilities.requiretls);
    assert_eq!(offers("SIZE").size, Some(0));
    assert_eq!(Capabilities::parse(&Reply::new(250, None, "STARTTLS")), Capabilities::default());
}

#[test]
fn commands_are_written_as_our_own_server_reads_them() {
    let params = MailParams {
        size: Some(10),
        body: Some(BodyType::EightBitMime),
        smtputf8: true,
        auth: Some(AuthParam::Address(address("e=mc+2@x.com"))),
        ret: Some(ReturnContent::Headers),
        envid: Some("a=b +c".to_owned()),
        requiretls: true,
    };
    let mut out = Vec::new();
    write::mail(&mut out, Some(&address("\"a b\"@x.com")), &params);
    let line = out.strip_suffix(b"\r\n").unwrap();
    let expected = smtp::ReversePath::Address(address("\"a b\"@x.com"));
    assert_eq!(parse_command(line), Ok(Command::Mail { from: expected, params }));

    let notify = Some(Notify { success: true, failure: true, delay: false });
    let orcpt = Some(OriginalRecipient { kind: "rfc822".to_owned(), address: "b+c@x.com".to_owned() });
    let params = RcptParams { notify, orcpt };
    let mut out = Vec::new();
    write::rcpt(&mut out, &address("b@x.com"), &params);
    let line = out.strip_suffix(b"\r\n").unwrap();
    assert_eq!(parse_command(line), Ok(Command::Rcpt { to: smtp::ForwardPath::Address(address("b@x.com")), params }));
}

#[test]
fn credentials_are_written_as_plain_wants_them() {
    let mut out = Vec::new();
    write::auth_plain(&mut out, "", "alice", b"secret");
    assert_eq!(out, b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n");
}

#[test]
fn an_argument_cannot_bring_in_another_command() {
    let mut out = Vec::new();
    write::ehlo(&mut out, "x\r\nMAIL FROM:<>");
    assert_eq!(out, b"EHLO xMAIL FROM:<>\r\n");
}

#[test]
fn without_pipelining_each_command_waits_for_its_reply() {
    let mut transaction = begin(Protocol::Smtp, "", &["b@x.com"]);
    assert_eq!(transaction.step(), Step::Send(b"MAIL FROM:<a@x.com>\r\n".to_vec()));
    assert_eq!(transaction.step(), Step::Read);
    transaction.reply(reply("250 ok")).unwrap();
    assert_eq!(transaction.step(), Step::Send(b"RCPT TO:<b@x.com>\r\n".to_vec()));
    transaction.reply(reply("250 ok")).unwrap();
    assert_eq!(drive(&mut transaction, &["354 go", "250 2.6.0 taken"]), "DATA\r\n(body)");
    let (outcomes, state) = transaction.finish("");
    assert_eq!(outcomes, [Outcome::Delivered(reply("250 2.6.0 taken"))]);
    assert_eq!(state, ConnectionState::Ready);
}

#[test]
fn with_pipelining_the_envelope_goes_at_once() {
    let mut transaction = begin(Protocol::Smtp, "PIPELINING", &["b@x.com", "c@x.com"]);
    let expected = "MAIL FROM:<a@x.com>\r\nRCPT TO:<b@x.com>\r\nRCPT TO:<c@x.com>\r\nDATA\r\n";
    assert_eq!(transaction.step(), Step::Send(expected.as_bytes().to_vec()));
    assert_eq!(drive(&mut transaction, &["250 a", "250 b", "250 c", "354 d", "250 e"]), "(body)");
    assert_eq!(codes(&transaction.finish("").0), [('+', 250), ('+', 250)]);
}

#[test]
fn no_more_than_a_window_of_commands_is_sent_unanswered() {
    let recipients: Vec<String> = (0..250).map(|n| format!("r{n}@x.com")).collect();
    let mut transaction =
        begin(Protocol::Smtp, "PIPELINING", &recipients.iter().map(String::as_str).collect::<Vec<_>>());
    let Step::Send(first) = transaction.step() else { panic!("nothing sent") };
    assert_eq!(first.iter().filter(|byte| **byte == b'\n').count(), 100);
    let replies: Vec<&str> = std::iter::repeat_n("250 ok", 251).chain(["354 go", "250 ok"]).collect();
    assert!(drive(&mut transaction, &replies).ends_with("DATA\r\n(body)"));
    let (outcomes, state) = transaction.finish("");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered(_))) && outcomes.len() == 250);
    assert_eq!(state, ConnectionState::Ready);
}

#[test]
fn each_recipient_has_its_own_outcome() {
    let mut transaction = begin(Protocol::Smtp, "PIPELINING", &["b@x.com", "c@x.com", "d@x.com"]);
    drive(&mut transaction, &["250 a", "550 5.1.1 b", "451 c", "250 d", "354", "250 e"]);
    let (outcomes, state) = transaction.finish("");
    assert_eq!(codes(&outcomes), [('-', 550), ('~', 451), ('+', 250)]);
    assert_eq!(state, ConnectionState::Ready);
}

#[test]
fn a_refused_sender_is_everybodys_outcome() {
    let mut transaction = begin(Protocol::Smtp, "PIPELINING", &["b@x.com", "c@x.com"]);
    drive(&mut transaction, &["550 no", "503 b", "503 c", "503 d"]);
    let (outcomes, state) = transaction.finish("");
    assert_eq!((codes(&outcomes), state), (vec![('-', 550), ('-', 550)], ConnectionState::NeedsReset));
    let mut transaction = begin(Protocol::Smtp, "", &["b@x.com"]);
    assert_eq!(drive(&mut transaction, &["451 later"]), "MAIL FROM:<a@x.com>\r\n");
    assert_eq!(transaction.finish("").1, ConnectionState::Ready);
}

#[test]
fn no_data_is_sent_when_every_recipient_was_refused() {
    let mut transaction = begin(Protocol::Smtp, "", &["b@x.com"]);
    let sent = drive(&mut transaction, &["250 ok", "550 no"]);
    assert_eq!(sent, "MAIL FROM:<a@x.com>\r\nRCPT TO:<b@x.com>\r\n");
    assert_eq!(transaction.finish("").1, ConnectionState::NeedsReset);
}

#[test]
fn a_server_that_wants_data_for_nobody_gets_none() {
    let mut transaction = begin(Protocol::Smtp, "PIPELINING", &["b@x.com"]);
    let sent = drive(&mut transaction, &["250 ok", "550 no", "354 go on", "554 nobody"]);
    assert!(sent.ends_with("DATA\r\n.\r\n"), "{sent}");
    let (outcomes, state) = transaction.finish("");
    assert_eq!((codes(&outcomes), state), (vec![('-', 550)], ConnectionState::Ready));
}

#[test]
fn refused_data_is_the_outcome_of_those_accepted() {
    let mut transaction = begin(Protocol::Smtp, "PIPELINING", &["b@x.com", "c@x.com"]);
    drive(&mut transaction, &["250 ok", "550 no", "250 ok", "451 not now"]);
    let (outcomes, state) = transaction.finish("");
    assert_eq!((codes(&outcomes), state), (vec![('-', 550), ('~', 451)], ConnectionState::NeedsReset));
}

#[test]
fn too_many_recipients_in_the_old_way_is_temporary() {
    let outcome = |text| {
        let mut transaction = begin(Protocol::Smtp, "", &["b@x.com"]);
        drive(&mut transaction, &["250 ok", text]);
        codes(&transaction.finish("").0)[0].0
    };
    assert_eq!(outcome("552 too many recipients"), '~');
    assert_eq!(outcome("552 5.2.2 mailbox full"), '-');
}

#[test]
fn lmtp_answers_for_each_recipient_after_the_data() {
    let mut transaction = begin(Protocol::Lmtp, "PIPELINING", &["b@x.com", "c@x.com", "d@x.com"]);
    drive(&mut transaction, &["250 ok", "250 ok", "550 no", "250 ok", "354 go", "250 b", "452 d"]);
    let (outcomes, state) = transaction.finish("");
    assert_eq!((codes(&outcomes), state), (vec![('+', 250), ('-', 550), ('~', 452)], ConnectionState::Ready));
}

#[test]
fn a_broken_connection_leaves_the_others_interrupted() {
    let mut transaction = begin(Protocol::Lmtp, "PIPELINING", &["b@x.com", "c@x.com"]);
    drive(&mut transaction, &["250 ok", "250 ok", "250 ok", "354 go", "250 b"]);
    let (outcomes, state) = transaction.finish("connection reset");
    assert_eq!(state, ConnectionState::Broken);
    assert_eq!(codes(&outcomes), [('+', 250), ('?', 1)]);
    let mut transaction = begin(Protocol::Smtp, "", &["b@x.com"]);
    drive(&mut transaction, &["250 ok"]);
    let expected = Outcome::Interrupted { reason: "timeout".to_owned(), data_sent: false };
    assert_eq!(transaction.finish("timeout"), (vec![expected], ConnectionState::Broken));
}

#[test]
fn a_server_that_closes_defers_what_is_not_settled() {
    let mut transaction = begin(Protocol::Smtp, "", &["b@x.com", "c@x.com"]);
    drive(&mut transaction, &["250 ok", "550 no", "421 closing"]);
    let (outcomes, state) = transaction.finish("");
    assert_eq!((codes(&outcomes), state), (vec![('-', 550), ('~', 421)], ConnectionState::Broken));
}

#[test]
fn replies_out_of_place_break_the_connection() {
    let mut transaction = begin(Protocol::Smtp, "", &["b@x.com"]);
    assert!(matches!(transaction.reply(reply("250 ?")), Err(ProtocolError::Unexpected(_))));
    assert_eq!(transaction.finish("").1, ConnectionState::Broken);
    for (before, wrong) in [(&["250 a"][..], "354 b"), (&["250 a", "250 b"], "250 c"), (&[], "354 a")] {
        let mut transaction = begin(Protocol::Smtp, "", &["b@x.com"]);
        drive(&mut transaction, before);
        assert!(matches!(transaction.reply(reply(wrong)), Err(ProtocolError::WrongKind(_))), "{wrong}");
        assert_eq!(transaction.step(), Step::Done);
        assert_eq!(codes(&transaction.finish("").0), [('?', 0)]);
    }
}

#[test]
fn parameters_are_announced_where_they_are_offered() {
    let full = || Envelope {
        sender: None,
        size: Some(5),
        body: Some(BodyType::EightBitMime),
        ret: Some(ReturnContent::Full),
        envid: Some("x".to_owned()),
        recipients: vec![(address("b@x.com"), RcptParams { notify: Some(Notify::default()), orcpt: None })],
        ..Envelope::default()
    };
    let first = |capabilities: &str| {
        let mut transaction = ClientTransaction::new(Protocol::Smtp, &offers(capabilities), full()).unwrap();
        drive(&mut transaction, &["250 ok"])
    };
    assert_eq!(first(""), "MAIL FROM:<>\r\nRCPT TO:<b@x.com>\r\n");
    assert_eq!(
        first("SIZE\n8BITMIME\nDSN"),
        "MAIL FROM:<> SIZE=5 BODY=8BITMIME RET=FULL ENVID=x\r\nRCPT TO:<b@x.com> NOTIFY=NEVER\r\n"
    );
}

#[test]
fn what_the_server_cannot_take_is_not_begun() {
    let new =
        |capabilities: &str, envelope| ClientTransaction::new(Protocol::Smtp, &offers(capabilities), envelope).err();
    assert_eq!(new("", envelope(&[])), Some(Unsendable::NoRecipients));
    let utf8 = Envelope { smtputf8: true, ..envelope(&["b@x.com"]) };
    assert_eq!(new("", utf8.clone()), Some(Unsendable::NeedsSmtputf8));
    assert_eq!(new("SMTPUTF8", utf8), None);
    let large = Envelope { size: Some(11), ..envelope(&["b@x.com"]) };
    assert_eq!(new("SIZE 10", large.clone()), Some(Unsendable::TooLarge { size: 11, limit: 10 }));
    assert_eq!(new("SIZE 0", large), None);
}

fn binary(size: Option<u64>, recipients: &[&str]) -> Envelope {
    Envelope { body: Some(BodyType::BinaryMime), size, ..envelope(recipients) }
}

const TAKES_BINARY: &str = "PIPELINING\nCHUNKING\nBINARYMIME\n8BITMIME";

#[test]
fn a_binary_message_goes_as_one_chunk_when_somebody_is_there_to_get_it() {
    let (envelope, offered) = (binary(Some(7), &["b@x.com", "c@x.com"]), offers(TAKES_BINARY));
    let mut transaction = ClientTransaction::new(Protocol::Smtp, &offered, envelope).unwrap();
    let sent = drive(&mut transaction, &["250 a", "550 b", "250 c", "250 taken"]);
    let expected = "MAIL FROM:<a@x.com> BODY=BINARYMIME\r\nRCPT TO:<b@x.com>\r\nRCPT TO:<c@x.com>\r\n\
                    BDAT 7 LAST\r\n(octets)";
    assert_eq!(sent, expected);
    let (outcomes, state) = transaction.finish("");
    assert_eq!((codes(&outcomes), state), (vec![('-', 550), ('+', 250)], ConnectionState::Ready));
}

#[test]
fn a_binary_message_for_nobody_is_not_begun() {
    let mut transaction =
        ClientTransaction::new(Protocol::Smtp, &offers(TAKES_BINARY), binary(Some(7), &["b@x.com"])).unwrap();
    let sent = drive(&mut transaction, &["250 a", "550 b"]);
    assert!(!sent.contains("BDAT"), "{sent}");
    assert_eq!(transaction.finish("").1, ConnectionState::NeedsReset);
}

#[test]
fn after_a_chunk_that_was_refused_the_connection_is_reset() {
    let mut transaction =
        ClientTransaction::new(Protocol::Smtp, &offers(TAKES_BINARY), binary(Some(7), &["b@x.com"])).unwrap();
    drive(&mut transaction, &["250 a", "250 b", "554 no"]);
    let (outcomes, state) = transaction.finish("");
    assert_eq!((codes(&outcomes), state), (vec![('-', 554)], ConnectionState::NeedsReset));
}

#[test]
fn each_recipient_of_a_binary_message_has_its_own_reply_over_lmtp() {
    let envelope = binary(Some(7), &["b@x.com", "c@x.com"]);
    let mut transaction = ClientTransaction::new(Protocol::Lmtp, &offers(TAKES_BINARY), envelope).unwrap();
    drive(&mut transaction, &["250 a", "250 b", "250 c", "250 taken", "452 full"]);
    assert_eq!(codes(&transaction.finish("").0), [('+', 250), ('~', 452)]);
}

#[test]
fn a_binary_message_goes_to_no_server_that_does_not_take_it() {
    for (offered, size) in [("CHUNKING", Some(7)), ("BINARYMIME", Some(7)), (TAKES_BINARY, None)] {
        let refused = ClientTransaction::new(Protocol::Smtp, &offers(offered), binary(size, &["b@x.com"]));
        assert_eq!(refused.err(), Some(Unsendable::NeedsBinaryMime), "{offered}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replies_are_the_same_however_they_are_split(text in "([2-5][0-9]{2}[- ]?[a-z0-9. ]{0,9}\r?\n){0,5}", size in 1usize..6) {
        checks::replies_hold(text.as_bytes(), size);
    }

    #[test]
    fn whatever_a_server_answers_every_recipient_has_an_outcome(
        answers in prop::collection::vec(prop::sample::select(vec!["250 ok", "250 ok", "354 go", "451 no", "550 no", "421 bye"]), 0..12),
        pipelining: bool,
        lmtp: bool,
    ) {
        let protocol = if lmtp { Protocol::Lmtp } else { Protocol::Smtp };
        let mut transaction = begin(protocol, if pipelining { "PIPELINING" } else { "" }, &["b@x.com", "c@x.com"]);
        let mut answers = answers.iter();
        let mut body = false;
        for _ in 0..100 {
            match transaction.step() {
                Step::Send(bytes) => prop_assert!(!bytes.is_empty()),
                Step::Body | Step::Octets => {
                    prop_assert!(!body);
                    body = true;
                    transaction.body_sent();
                }
                Step::Read => match answers.next() {
                    Some(text) => if transaction.reply(reply(text)).is_err() {
                        prop_assert_eq!(transaction.step(), Step::Done);
                    },
                    None => break,
                },
                Step::Done => break,
            }
        }
        let (outcomes, _) = transaction.finish("gone");
        prop_assert_eq!(outcomes.len(), 2);
        if !body {
            prop_assert!(!outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered(_))));
        }
    }
}

fn with_exch50(capabilities: &str) -> ClientTransaction {
    let envelope = Envelope { exch50: Some(b"RSET\r\n".to_vec()), ..envelope(&["b@x.com", "c@x.com"]) };
    ClientTransaction::new(Protocol::Smtp, &offers(capabilities), envelope).unwrap()
}

#[test]
fn the_data_of_xexch50_goes_between_recipients_and_message() {
    let mut transaction = with_exch50("PIPELINING\nXEXCH50");
    let expected = "MAIL FROM:<a@x.com>\r\nRCPT TO:<b@x.com>\r\nRCPT TO:<c@x.com>\r\n";
    assert_eq!(drive(&mut transaction, &["250 a", "250 b"]), expected);
    assert_eq!(drive(&mut transaction, &["250 c"]), "XEXCH50 6 2\r\n");
    assert_eq!(drive(&mut transaction, &["354 send"]), "RSET\r\n");
    assert_eq!(drive(&mut transaction, &["250 taken", "354 go", "250 done"]), "DATA\r\n(body)");
    assert_eq!(codes(&transaction.finish("").0), [('+', 250), ('+', 250)]);
}

#[test]
fn a_message_is_whole_without_xexch50() {
    assert!(!drive(&mut with_exch50("PIPELINING"), &["250 a", "250 b", "250 c", "354 d"]).contains("XEXCH50"));
    let mut refused = with_exch50("XEXCH50");
    let sent = drive(&mut refused, &["250 a", "250 b", "250 c", "504 not for you", "354 go", "250 done"]);
    assert!(sent.ends_with("XEXCH50 6 2\r\nDATA\r\n(body)"), "{sent}");
    assert_eq!(codes(&refused.finish("").0), [('+', 250), ('+', 250)]);
}

#[test]
fn no_xexch50_is_sent_when_every_recipient_was_refused() {
    let mut transaction = with_exch50("PIPELINING\nXEXCH50");
    let sent = drive(&mut transaction, &["250 a", "550 b", "550 c"]);
    assert!(!sent.contains("XEXCH50"), "{sent}");
    assert_eq!(transaction.finish("").1, ConnectionState::NeedsReset);
}

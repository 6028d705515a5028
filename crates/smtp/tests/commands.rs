//! The grammar of commands.

#![allow(clippy::unwrap_used)]

use message::Address;
use smtp::{
    AuthParam, AuthResponse, BodyType, Command, ForwardPath, InitialResponse, MailParams, Notify, OriginalRecipient,
    PeerError, RcptParams, ReturnContent, ReversePath, Strictness, parse_auth_response, parse_command,
    parse_command_with,
};

fn parse(line: &str) -> Command {
    parse_command(line.as_bytes()).unwrap_or_else(|fault| panic!("{line}: {fault}"))
}

fn fault(line: &str) -> PeerError {
    parse_command(line.as_bytes()).expect_err(line)
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn from(path: &str) -> String {
    match parse(&format!("MAIL FROM:{path}")) {
        Command::Mail { from: ReversePath::Address(address), .. } => address.to_string(),
        Command::Mail { from: ReversePath::Null, .. } => "<>".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn mail_params(text: &str) -> MailParams {
    match parse(&format!("MAIL FROM:<a@x.com> {text}")) {
        Command::Mail { params, .. } => params,
        other => panic!("{other:?}"),
    }
}

fn rcpt_params(text: &str) -> RcptParams {
    match parse(&format!("RCPT TO:<a@x.com> {text}")) {
        Command::Rcpt { params, .. } => params,
        other => panic!("{other:?}"),
    }
}

#[test]
fn verbs_are_known_in_any_case() {
    assert_eq!(parse("ehlo client.example"), Command::Ehlo("client.example".to_owned()));
    assert_eq!(parse("HeLo [192.0.2.1]"), Command::Helo("[192.0.2.1]".to_owned()));
    assert_eq!(parse("LHLO x"), Command::Lhlo("x".to_owned()));
    for (line, command) in [
        ("DATA", Command::Data),
        ("data  ", Command::Data),
        ("RSET", Command::Rset),
        ("NOOP", Command::Noop),
        ("NOOP anything at all", Command::Noop),
        ("QUIT", Command::Quit),
        ("STARTTLS", Command::StartTls),
        ("x-anonymoustls", Command::XAnonymousTls),
        ("HELP MAIL", Command::Help),
        ("VRFY carla", Command::Vrfy("carla".to_owned())),
        ("EXPN staff", Command::Expn("staff".to_owned())),
        ("XEXCH50 2048 2", Command::XExch50 { size: 2048 }),
        ("BDAT 100", Command::Bdat { size: 100, last: false }),
        ("BDAT 0 last", Command::Bdat { size: 0, last: true }),
        ("turn", Command::Unknown("TURN".to_owned())),
        ("GET / HTTP/1.1", Command::Unknown("GET".to_owned())),
    ] {
        assert_eq!(parse(line), command, "{line}");
    }
}

#[test]
fn what_is_no_command_is_refused() {
    for (line, expected) in [
        ("", PeerError::NoVerb),
        (" MAIL FROM:<a@x.com>", PeerError::NoVerb),
        ("MAIL\tFROM:<a@x.com>", PeerError::NoVerb),
        ("EHLO", PeerError::HelloName),
        ("EHLO a b", PeerError::HelloName),
        ("EHLO é", PeerError::HelloName),
        ("DATA now", PeerError::ArgumentUnexpected),
        ("QUIT x", PeerError::ArgumentUnexpected),
        ("RSET x", PeerError::ArgumentUnexpected),
        ("STARTTLS x", PeerError::ArgumentUnexpected),
        ("VRFY", PeerError::ArgumentMissing),
        ("BDAT", PeerError::BdatSyntax),
        ("BDAT -1", PeerError::BdatSyntax),
        ("BDAT 1 FIRST", PeerError::BdatSyntax),
        ("BDAT 99999999999999999999", PeerError::BdatSyntax),
        ("XEXCH50 x 2", PeerError::ParameterValue),
        ("NOOP \u{7}", PeerError::Characters),
    ] {
        assert_eq!(fault(line), expected, "{line:?}");
    }
    assert_eq!(parse_command(b"NOOP \xff"), Err(PeerError::Characters));
}

#[test]
fn nul_cr_and_lf_are_refused_whoever_cut_the_line() {
    assert_eq!(parse_command(b"MAIL FROM:<a\0@x.com>"), Err(PeerError::Nul));
    assert_eq!(parse_command(b"E\rHLO x"), Err(PeerError::BareCr));
    assert_eq!(parse_command(b"EHLO x\nMAIL FROM:<>"), Err(PeerError::BareLf));
}

#[test]
fn a_reverse_path_is_an_address_or_null() {
    assert_eq!(from("<>"), "<>");
    assert_eq!(from("<carla@Example.com>"), "carla@Example.com");
    assert_eq!(from("<\"a\\\"b>\"@c>"), "\"a\\\"b>\"@c");
    assert_eq!(from("<\"a> SIZE=1\"@c>"), "\"a> SIZE=1\"@c");
    assert_eq!(from("<a@[IPv6:::1]>"), "a@[IPv6:::1]");
    assert_eq!(from("<root@localhost>"), "root@localhost");
}

#[test]
fn a_source_route_is_dropped() {
    assert_eq!(from("<@a,@b:c@d>"), "c@d");
    assert_eq!(from("<@a.example:c@d>"), "c@d");
    for path in ["<@a>", "<@a,b:c@d>", "<@:c@d>", "<@a,:c@d>", "<@[127.0.0.1]:c@d>", "<@a@b:c@d>"] {
        assert_eq!(fault(&format!("MAIL FROM:{path}")), PeerError::SourceRoute, "{path}");
    }
}

#[test]
fn a_path_that_is_none_is_refused() {
    for (line, expected) in [
        ("MAIL", PeerError::MailSyntax),
        ("MAIL <a@x.com>", PeerError::MailSyntax),
        ("MAIL FROM", PeerError::MailSyntax),
        ("MAIL FROM <a@x.com>", PeerError::MailSyntax),
        ("MAIL  FROM:<a@x.com>", PeerError::MailSyntax),
        ("RCPT FROM:<a@x.com>", PeerError::RcptSyntax),
        ("MAIL FROM: <a@x.com>", PeerError::SpaceAfterColon),
        ("RCPT TO:\t<a@x.com>", PeerError::SpaceAfterColon),
        ("MAIL FROM:", PeerError::PathBrackets),
        ("MAIL FROM:a@x.com", PeerError::PathBrackets),
        ("MAIL FROM:<a@x.com", PeerError::PathBrackets),
        ("MAIL FROM:<a@x.com>SIZE=1", PeerError::PathBrackets),
        ("MAIL FROM:<a@x.com>>", PeerError::PathBrackets),
        ("MAIL FROM:<\"a@x.com>", PeerError::PathBrackets),
        ("MAIL FROM:<root>", PeerError::SenderSyntax),
        ("MAIL FROM:< >", PeerError::SenderSyntax),
        ("MAIL FROM:<<a@x.com>>", PeerError::PathBrackets),
        ("MAIL FROM:<Carla carla@x.com>", PeerError::SenderSyntax),
        ("MAIL FROM:<postmaster>", PeerError::SenderSyntax),
        ("RCPT TO:<root>", PeerError::RecipientSyntax),
        ("RCPT TO:<>", PeerError::RecipientSyntax),
        ("RCPT TO:<a@x.com,b@x.com>", PeerError::RecipientSyntax),
    ] {
        assert_eq!(fault(line), expected, "{line}");
    }
}

#[test]
fn postmaster_needs_no_domain() {
    for line in ["RCPT TO:<postmaster>", "rcpt to:<PostMaster>"] {
        assert_eq!(parse(line), Command::Rcpt { to: ForwardPath::Postmaster, params: RcptParams::NONE });
    }
    let with_domain = Command::Rcpt { to: ForwardPath::Address(address("postmaster@x.com")), params: RcptParams::NONE };
    assert_eq!(parse("RCPT TO:<postmaster@x.com>"), with_domain);
}

#[test]
fn tolerance_takes_spaces_and_bare_paths() {
    let tolerant = |line: &str| parse_command_with(line.as_bytes(), Strictness { tolerant: true });
    let expected = parse("MAIL FROM:<a@x.com> SIZE=1");
    assert_eq!(tolerant("MAIL FROM: <a@x.com> SIZE=1"), Ok(expected.clone()));
    assert_eq!(tolerant("MAIL FROM:a@x.com SIZE=1"), Ok(expected));
    assert_eq!(tolerant("MAIL FROM:"), Err(PeerError::PathBrackets));
    assert_eq!(tolerant("MAIL FROM:a@x.com>"), Err(PeerError::PathBrackets));
}

#[test]
fn parameters_of_mail_are_read() {
    let params = mail_params("size=1000 BODY=8bitmime SMTPUTF8 AUTH=e+3Dmc2@example.com RET=hdrs ENVID=QQ+2B1");
    let expected = MailParams {
        size: Some(1000),
        body: Some(BodyType::EightBitMime),
        smtputf8: true,
        auth: Some(AuthParam::Address(address("e=mc2@example.com"))),
        ret: Some(ReturnContent::Headers),
        envid: Some("QQ+1".to_owned()),
        requiretls: false,
    };
    assert_eq!(params, expected);
    assert_eq!(mail_params("BODY=7BIT").body, Some(BodyType::SevenBit));
    assert_eq!(mail_params("AUTH=<>").auth, Some(AuthParam::Null));
    assert_eq!(mail_params("AUTH=+3C+3E").auth, Some(AuthParam::Null));
    assert_eq!(mail_params("RET=FULL").ret, Some(ReturnContent::Full));
}

#[test]
fn parameters_of_rcpt_are_read() {
    let params = rcpt_params("NOTIFY=success,DELAY ORCPT=rfc822;Bob+2Bx@far.example");
    assert_eq!(params.notify, Some(Notify { success: true, failure: false, delay: true }));
    let expected = OriginalRecipient { kind: "rfc822".to_owned(), address: "Bob+x@far.example".to_owned() };
    assert_eq!(params.orcpt, Some(expected));
    assert_eq!(rcpt_params("NOTIFY=NEVER").notify, Some(Notify::default()));
    let utf8 = rcpt_params("ORCPT=utf-8;b\\x{F8}b@far.example").orcpt.unwrap();
    assert_eq!(utf8.address, "bøb@far.example");
}

#[test]
fn a_parameter_given_twice_is_refused() {
    for params in
        ["SIZE=1 SIZE=2", "SMTPUTF8 SMTPUTF8", "AUTH=<> AUTH=<>", "BODY=7BIT BODY=8BITMIME", "RET=FULL ret=FULL"]
    {
        assert_eq!(fault(&format!("MAIL FROM:<a@x.com> {params}")), PeerError::ParameterDuplicate, "{params}");
    }
    assert_eq!(fault("RCPT TO:<a@x.com> NOTIFY=NEVER NOTIFY=NEVER"), PeerError::ParameterDuplicate);
}

#[test]
fn an_unknown_parameter_is_refused() {
    for params in ["FOO", "FOO=1", "NOTIFY=NEVER", "SI\u{e9}E=1", "=1", "SIZE=1  BODY=7BIT"] {
        assert_eq!(fault(&format!("MAIL FROM:<a@x.com> {params}")), PeerError::ParameterUnknown, "{params}");
    }
    assert_eq!(fault("RCPT TO:<a@x.com> SIZE=1"), PeerError::ParameterUnknown);
}

#[test]
fn a_parameter_value_that_is_not_valid_is_refused() {
    for params in [
        "SIZE",
        "SIZE=",
        "SIZE=-1",
        "SIZE=+1",
        "SIZE=1x",
        "SIZE=99999999999999999999",
        "SIZE=000000000000000000001",
        "BODY",
        "BODY=16BITMIME",
        "SMTPUTF8=1",
        "AUTH",
        "AUTH=ceo",
        "AUTH=a+3d@x.com",
        "AUTH=a+4@x.com",
        "RET=ALL",
        "ENVID=",
        "ENVID=a=b",
    ] {
        assert_eq!(fault(&format!("MAIL FROM:<a@x.com> {params}")), PeerError::ParameterValue, "{params}");
    }
    for params in ["NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=DELAY,DELAY", "ORCPT=x", "ORCPT=;x", "ORCPT=rfc822;"] {
        assert_eq!(fault(&format!("RCPT TO:<a@x.com> {params}")), PeerError::ParameterValue, "{params}");
    }
    assert_eq!(fault(&format!("MAIL FROM:<a@x.com> ENVID={}", "x".repeat(101))), PeerError::ParameterValue);
}

/// attacks.md row 13.
#[test]
fn encoded_nul_cr_and_lf_in_parameters_are_refused() {
    for code in ["+00", "+0D", "+0A", "+0D+0A", "+7F", "+80"] {
        for line in [
            format!("MAIL FROM:<a@x.com> ENVID=x{code}y"),
            format!("MAIL FROM:<a@x.com> AUTH=x{code}y@x.com"),
            format!("RCPT TO:<a@x.com> ORCPT=rfc822;x{code}y@x.com"),
        ] {
            assert_eq!(fault(&line), PeerError::ParameterValue, "{line}");
            assert_eq!(fault(&line).reply().code, 501);
        }
    }
    assert_eq!(fault("RCPT TO:<a@x.com> ORCPT=utf-8;a\\x{0D}b@x.com"), PeerError::ParameterValue);
}

#[test]
fn an_address_beyond_ascii_needs_smtputf8() {
    assert_eq!(fault("MAIL FROM:<jos\u{e9}@x.com>"), PeerError::Utf8Unannounced);
    assert!(parse_command("MAIL FROM:<jos\u{e9}@x.com> SMTPUTF8".as_bytes()).is_ok());
    assert!(parse_command("RCPT TO:<jos\u{e9}@x.com>".as_bytes()).is_ok(), "the transaction knows");
}

#[test]
fn auth_takes_a_mechanism_and_an_initial_response() {
    let command = parse("AUTH plain AGFsaWNlAHNlY3JldA==");
    let initial = Some(InitialResponse::new(b"\0alice\0secret".to_vec()));
    assert_eq!(command, Command::Auth { mechanism: "PLAIN".to_owned(), initial });
    assert!(!format!("{command:?}").contains("alice"), "{command:?}");
    assert_eq!(parse("AUTH LOGIN"), Command::Auth { mechanism: "LOGIN".to_owned(), initial: None });
    let empty = Some(InitialResponse::new(Vec::new()));
    assert_eq!(parse("AUTH EXTERNAL ="), Command::Auth { mechanism: "EXTERNAL".to_owned(), initial: empty.clone() });
    assert_eq!(parse("x-exps gssapi ="), Command::XExps { mechanism: "GSSAPI".to_owned(), initial: empty });
    assert_eq!(fault("AUTH"), PeerError::AuthSyntax);
    assert_eq!(fault("AUTH PLAIN a b"), PeerError::AuthSyntax);
    assert_eq!(fault("AUTH PLAIN !!!"), PeerError::Base64);
    assert_eq!(fault("AUTH PLAIN AGF"), PeerError::Base64);
}

#[test]
fn responses_are_decoded_and_a_star_gives_up() {
    assert_eq!(parse_auth_response(b"*"), Ok(AuthResponse::Cancel));
    assert_eq!(parse_auth_response(b"YQ=="), Ok(AuthResponse::Response(InitialResponse::new(b"a".to_vec()))));
    assert_eq!(parse_auth_response(b""), Ok(AuthResponse::Response(InitialResponse::new(Vec::new()))));
    assert_eq!(parse_auth_response(b"Y Q=="), Err(PeerError::Base64));
}

#[test]
fn every_fault_has_one_reply() {
    let reply = |fault: PeerError| fault.reply().to_string();
    assert_eq!(reply(PeerError::ParameterUnknown), "555 5.5.4 Parameter not recognized or not implemented");
    assert_eq!(reply(PeerError::ParameterDuplicate), "501 5.5.4 Parameter given more than once");
    assert_eq!(reply(PeerError::SenderSyntax), "501 5.1.7 Bad sender address syntax");
    assert_eq!(reply(PeerError::LineTooLong), "500 5.5.6 Line too long");
    assert_eq!(reply(PeerError::Utf8Unannounced), "553 5.6.7 SMTPUTF8 is needed for this address");
    assert!(PeerError::EndlessLine.is_fatal() && !PeerError::LineTooLong.is_fatal());
}

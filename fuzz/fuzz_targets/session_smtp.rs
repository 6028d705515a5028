#![no_main]

#[path = "../../crates/session/tests/checks/mod.rs"]
mod checks;
mod lines;
#[path = "../../crates/session/tests/authz/organization.rs"]
#[allow(dead_code)]
mod organization;
#[path = "../../crates/session/tests/authz/script.rs"]
#[allow(dead_code)]
mod script;

/// Lines of a client, and the events of `checks`.
const KNOWN: [&[u8]; 50] = [
    b"EHLO client.test\r\n",
    b"HELO client.test\r\n",
    b"STARTTLS\r\n",
    b"X-ANONYMOUSTLS\r\n",
    b"AUTH PLAIN AGJvYgBib2ItZGVtbw==\r\n",
    b"AUTH PLAIN AGNlbwBjZW8tZGVtbw==\r\n",
    b"AUTH LOGIN\r\n",
    b"Ym9i\r\n",
    b"Ym9iLWRlbW8=\r\n",
    b"AUTH XOAUTH2 dXNlcj1ib2IBYXV0aD1CZWFyZXIgYm9iAQE=\r\n",
    b"AUTH GSSAPI Ym9i\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj1ib2Iscj1hYmM=\r\n",
    b"*\r\n",
    b"MAIL FROM:<bob@example.com>\r\n",
    b"MAIL FROM:<ceo@example.com> SIZE=100 BODY=8BITMIME\r\n",
    b"MAIL FROM:<> RET=HDRS ENVID=a\r\n",
    b"MAIL FROM:<x@outside.test> SMTPUTF8 AUTH=<>\r\n",
    b"MAIL FROM:<bob@example.com> BODY=BINARYMIME\r\n",
    b"MAIL FROM:<bob@example.com> REQUIRETLS\r\n",
    b"RCPT TO:<alice@example.com>\r\n",
    b"RCPT TO:<ceo@example.com> NOTIFY=NEVER ORCPT=rfc822;a@b.c\r\n",
    b"RCPT TO:<x@outside.test>\r\n",
    b"RCPT TO:<postmaster>\r\n",
    b"DATA\r\n",
    b"BDAT 3 LAST\r\n",
    b"BDAT 27\r\nFrom: bob@example.com\r\n\r\na\r\n",
    b"BDAT 0 LAST\r\n",
    b"From: bob@example.com\r\n",
    b"From: ceo@example.com, bob@example.com\r\n",
    b"Sender: bob@example.com\r\n",
    b"Resent-From: bob@example.com\r\n",
    b"Received: from a by b\r\n",
    b"X-MS-Exchange-Organization-AuthAs: Internal\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"\r\n",
    b".\r\n",
    b"--b\r\n",
    b"XEXCH50 4 2\r\n",
    b"1234",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY bob\r\n",
    b"QUIT\r\n",
    b"\xF9",
    b"\xFA",
    b"\xFB",
    b"\xFC",
    b"\xF8",
    b"\xFD",
];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::session_holds(input);
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    lines::mutate(data, size, max_size, seed, 1, &KNOWN)
});

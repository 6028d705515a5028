//! Submission of mail by HTTP: the same decisions as over SMTP, exactly once, and nothing that a client sends does more than
//! it should.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use e2e::{Demo, Http, Issuer, Mechanism, Sink, Talk, free_port, procura, require};
use serde_json::{Value, json};

/// The demo with submission by HTTP, and an application with a token of `account`.
fn demo(configuration: &str, account: &str) -> (Demo, Http) {
    let port = free_port();
    let submission = format!("[submission]\nlisten = \"127.0.0.1:{port}\"\nplain = true\n{configuration}");
    let demo = Demo::start_with(&submission);
    let token = token(&demo, account, &[]);
    (demo, Http { port, token })
}

fn token(demo: &Demo, account: &str, more: &[&str]) -> String {
    let mut arguments = vec!["token", "new", account, "--name", "test", "--format", "json"];
    arguments.extend(more);
    let made: Value = serde_json::from_str(&demo.procura(&arguments).ok()).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

fn plain(subject: &str) -> Value {
    json!({ "from": "alice@example.com", "to": "bob@example.com", "subject": subject, "text": "hello\n" })
}

#[test]
fn a_message_is_delivered_with_what_the_document_says() {
    let (demo, http) = demo("", "alice");
    let message = json!({
        "from": { "name": "Alice Ångström", "address": "alice@example.com" },
        "to": ["Bob <bob@example.com>"], "bcc": "dave@example.com",
        "subject": "over HTTP", "text": "text\n.\nmore", "html": "<p>text</p>",
        "headers": { "X-Order": "4711" },
        "attachments": [{ "filename": "a.txt", "content_type": "text/plain", "content": "aGVsbG8=" }],
    });
    let accepted = http.send(&message).expect(202);
    let id = accepted["id"].as_str().unwrap();
    let done = http.wait_for(id, "delivered");
    assert_eq!(done["recipients"].as_array().unwrap().len(), 2, "{done}");
    let found = demo.delivered_now("over HTTP");
    assert_eq!(found.len(), 2);
    let text = &found[0].text;
    for words in ["with HTTP", "X-Order: 4711", "multipart/mixed", "a.txt", "To: \"Bob\" <bob@example.com>"] {
        assert!(text.contains(words), "{words} not in {text}");
    }
    assert!(found.iter().all(|message| !message.values("To").join("").contains("dave")));
    assert_eq!(found[0].values("X-MS-Exchange-Organization-AuthAs"), ["Internal"]);
}

#[test]
fn a_message_as_it_is_goes_where_its_header_says_and_keeps_blind_copies_blind() {
    let (demo, http) = demo("", "alice");
    let message = b"From: Alice <alice@example.com>\nTo: bob@example.com\nBcc: dave@example.com,\n erin@example.com\n\
        Subject: as it is\n\n.\n..\nQUIT\n";
    let accepted = http.send_raw("", message).expect(202);
    let addresses: Vec<&str> =
        accepted["recipients"].as_array().unwrap().iter().map(|to| to["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, ["bob@example.com", "dave@example.com", "erin@example.com"]);
    http.wait_for(accepted["id"].as_str().unwrap(), "delivered");
    for message in demo.delivered_now("as it is") {
        assert!(!message.text.contains("erin@example.com") || message.values("Delivered-To") == ["erin@example.com"]);
        assert!(message.text.ends_with("\n\n.\n..\nQUIT\n"), "{}", message.text);
    }
}

#[test]
fn a_forged_sender_is_refused_as_over_smtp_and_explained() {
    if !require(&["python3"]) {
        return;
    }
    let (demo, http) = demo("", "bob");
    let refused = http.send(&json!({ "from": "ceo@example.com", "to": "alice@example.com", "text": "pay" }));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let problem = refused.expect(403);
    assert_eq!(problem["type"], "urn:procura:problem:sender");
    assert_eq!(problem["smtp"], json!({ "code": 550, "enhanced": "5.7.1" }));
    let explained = demo.procura(&["explain", problem["decision"].as_str().unwrap()]).ok();
    assert!(explained.contains("ceo") && explained.contains("bob"), "{explained}");
    // The envelope is his own, the header is not.
    let header =
        http.send_raw("?from=bob@example.com&to=alice@example.com", b"From: ceo@example.com\n\npay\n").expect(403);
    assert_eq!(header["type"], "urn:procura:problem:from");
    let mut talk = Talk::connect(demo.client_port);
    talk.log_on("bob", "bob-demo", None, Mechanism::Plain);
    let smtp = talk.send("ceo@example.com", &["alice@example.com"], "From: ceo@example.com\n\npay\n");
    let begin = |text: &str| text.split('[').next().unwrap().trim().to_owned();
    assert_eq!(begin(&smtp), format!("550 5.7.1 {}", begin(problem["detail"].as_str().unwrap())));
}

#[test]
fn a_message_on_behalf_is_stamped_as_over_smtp() {
    let (demo, http) = demo("", "erin");
    demo.procura(&["send-on-behalf", "add", "ceo", "erin"]).ok();
    let message = json!({ "from": "ceo@example.com", "to": "alice@example.com", "subject": "on behalf", "text": "x" });
    http.send(&message).expect(202);
    let delivered = demo.delivered("on behalf");
    assert!(delivered.value("Sender").unwrap().contains("erin@example.com"), "{}", delivered.text);
}

#[test]
fn a_token_that_does_not_count_is_refused_whatever_it_is() {
    let (demo, http) = demo("", "alice");
    let with = |token: &str| Http { token: token.to_owned(), ..http.clone() }.send(&plain("no")).status;
    assert_eq!(with(""), 401);
    assert_eq!(with("procura_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 401);
    assert_eq!(with(&http.token.to_uppercase()), 401);
    let short = token_named(&demo, "short", &["--until", "1s"]);
    std::iter::repeat_with(|| with(&short)).find(|status| *status == 401).unwrap();
    demo.procura(&["user", "set", "alice", "--disable"]).ok();
    assert_eq!(with(&http.token), 401);
    demo.procura(&["user", "set", "alice", "--enable"]).ok();
    assert_eq!(with(&http.token), 202);
    demo.procura(&["token", "revoke", "alice", "test"]).ok();
    assert_eq!(with(&http.token), 401);
    let listed = demo.procura(&["token", "list", "alice"]).ok();
    assert!(listed.contains("short") && !listed.contains("test"), "{listed}");
    // The secret is nowhere on the disk.
    let secret = short.strip_prefix("procura_").unwrap();
    for file in ["directory.db", "directory.db-wal"] {
        let octets = fs::read(demo.data().join(file)).unwrap_or_default();
        assert!(!octets.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
    }
}

fn token_named(demo: &Demo, name: &str, more: &[&str]) -> String {
    let mut arguments = vec!["token", "new", "alice", "--name", name, "--format", "json"];
    arguments.extend(more);
    let made: Value = serde_json::from_str(&demo.procura(&arguments).ok()).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

#[test]
fn who_guesses_tokens_is_not_told_when_one_is_right() {
    let (_demo, http) = demo("[authentication]\nsource_failures = 3\nfailure_seconds = 3600\n", "alice");
    let wrong = Http { token: "wrong".to_owned(), ..http.clone() };
    let statuses: Vec<u16> = (0..4).map(|_| wrong.send(&plain("no")).status).collect();
    assert_eq!(statuses, [401, 401, 401, 429]);
    let right = http.send(&plain("no"));
    assert_eq!(right.status, 429);
    assert!(right.header("retry-after").is_some(), "{right:?}");
}

#[test]
fn the_same_key_gives_the_same_answer_over_a_crash_and_no_second_message() {
    let (mut demo, http) = demo("", "alice");
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "order 4711")];
    let body = plain("exactly once").to_string();
    let send = |body: &str| http.request("POST", "/v1/messages", &headers, body.as_bytes());
    let first = send(&body);
    assert_eq!(first.header("idempotency-replayed"), None);
    let accepted = first.expect(202);
    demo.kill();
    demo.start_again();
    let again = send(&body);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect(202), accepted);
    assert_eq!(again.header("location"), first.header("location"));
    let other = send(&plain("another").to_string()).expect(422);
    assert_eq!(other["type"], "urn:procura:problem:key-reused");
    // The key of somebody else is another one.
    let bob = Http { token: token(&demo, "bob", &[]), ..http.clone() };
    let mut his = plain("of bob");
    his["from"] = "bob@example.com".into();
    bob.request("POST", "/v1/messages", &headers, his.to_string().as_bytes()).expect(202);
    http.wait_for(accepted["id"].as_str().unwrap(), "delivered");
    assert_eq!(demo.delivered_now("exactly once").len(), 1);
    // What was refused is not remembered.
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "tried twice")];
    let mut refused = plain("at first refused");
    refused["from"] = "dave@example.com".into();
    let refused = refused.to_string();
    http.request("POST", "/v1/messages", &headers, refused.as_bytes()).expect(403);
    demo.procura(&["permission", "add", "dave", "--user", "alice", "--right", "Send As"]).ok();
    http.request("POST", "/v1/messages", &headers, refused.as_bytes()).expect(202);
}

#[test]
fn requests_with_one_key_at_a_time_give_one_message() {
    let (demo, http) = demo("", "alice");
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "at once")];
    let body = plain("at once").to_string();
    let statuses: Vec<(u16, Option<String>)> = std::thread::scope(|scope| {
        let one = || {
            let answer = http.request("POST", "/v1/messages", &headers, body.as_bytes());
            (answer.status, answer.json()["id"].as_str().map(str::to_owned))
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|(status, _)| [202, 409].contains(status)), "{statuses:?}");
    let mut ids: Vec<&String> = statuses.iter().filter_map(|(_, id)| id.as_ref()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{statuses:?}");
    http.wait_for(ids[0], "delivered");
    assert_eq!(demo.delivered_now("at once").len(), 1);
}

#[test]
fn nobody_sees_the_messages_of_others() {
    let (demo, http) = demo("", "alice");
    let accepted = http.send(&plain("mine")).expect(202);
    let id = accepted["id"].as_str().unwrap();
    let bob = Http { token: token(&demo, "bob", &[]), ..http.clone() };
    assert_eq!(bob.state(id).status, 404);
    for odd in ["01", "..%2F..", "01M80ZBZ7Y9BANWYQTB293F20Z", "%27%20OR%201=1--"] {
        assert_eq!(http.state(odd).status, 404, "{odd}");
    }
    assert_eq!(Http { token: String::new(), ..http.clone() }.state(id).status, 401);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_all_there() {
    let (demo, http) = demo("", "alice");
    demo.procura(&["connector", "receive", "set", "Client", "--max-message-size", "1M"]).ok();
    let head = b"From: alice@example.com\nTo: bob@example.com\nSubject: large\n\n";
    let large = [head.as_slice(), &b"0123456789abcdef\n".repeat(100_000)].concat();
    let refused = http.send_raw("", &large).expect(413);
    assert_eq!(refused["smtp"]["enhanced"], "5.3.4");
    let content = "QUJD".repeat(400_000);
    let mut message = plain("large");
    message["attachments"] = json!([{ "filename": "a", "content": content }]);
    assert_eq!(http.send(&message).status, 413);
    // What nobody announced is counted as it comes.
    if require(&["curl"]) {
        let file = demo.scratch().join("large.eml");
        fs::write(&file, &large).unwrap();
        let output = Command::new("curl")
            .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"])
            .args(["--header", "Transfer-Encoding: chunked", "--header", "Content-Type: message/rfc822"])
            .args(["--header", &format!("Authorization: Bearer {}", http.token)])
            .args(["--data-binary", &format!("@{}", file.display())])
            .arg(format!("http://127.0.0.1:{}/v1/messages", http.port))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "413");
    }
    let fits = [head.as_slice(), &b"0123456789abcdef\n".repeat(50_000)].concat();
    http.send_raw("", &fits).expect(202);
}

#[test]
fn what_cannot_be_read_is_said_to_be_so() {
    let (_demo, http) = demo("", "alice");
    let json = |body: &str| {
        let headers = [("Content-Type", "application/json")];
        http.request("POST", "/v1/messages", &headers, body.as_bytes())
    };
    assert_eq!(json("{").status, 400);
    assert_eq!(json("[]").status, 400);
    assert_eq!(json(&"[".repeat(100_000)).status, 400);
    let injected = r#"{"from":"alice@example.com","to":"bob@example.com","subject":"a\r\nBcc: dave@example.com"}"#;
    let problem = json(injected).expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "/subject");
    let post = |headers: &[(&str, &str)], query: &str| {
        http.request("POST", &format!("/v1/messages{query}"), headers, b"From: a@b\n\n").status
    };
    assert_eq!(post(&[], ""), 415);
    assert_eq!(post(&[("Content-Type", "text/plain")], ""), 415);
    assert_eq!(post(&[("Content-Type", "message/rfc822"), ("Content-Encoding", "gzip")], ""), 415);
    assert_eq!(post(&[("Content-Type", "message/rfc822")], "?form=x"), 400);
    assert_eq!(post(&[("Content-Type", "message/rfc822"), ("Idempotency-Key", "")], ""), 400);
    assert_eq!(post(&[("Content-Type", "message/rfc822")], "?from=a%0d%0aRCPT"), 422);
    assert_eq!(post(&[("Content-Type", "message/rfc822")], ""), 422);
    // Line ends of two kinds, and a dot that would end the data for somebody else.
    for body in ["\r\n\n.\n", "\n\r\n.\r\nMAIL FROM:<ceo@example.com>\r\n", "a\rb\r\n"] {
        let message = format!("From: alice@example.com\r\nTo: bob@example.com\r\n\r\n{body}");
        assert_eq!(http.send_raw("", message.as_bytes()).status, 422, "{body:?}");
    }
    assert_eq!(http.request("DELETE", "/v1/messages", &[], b"").status, 405);
    assert_eq!(http.request("GET", "/metrics", &[], b"").status, 404);
}

#[test]
fn a_recipient_that_is_refused_keeps_the_message_from_all_unless_asked_otherwise() {
    let (demo, http) = demo("", "alice");
    let mut message = plain("in part");
    message["to"] = json!(["bob@example.com", "nobody@example.com"]);
    let refused = http.send(&message).expect(422);
    assert_eq!(refused["recipients"][0]["address"], "nobody@example.com");
    assert!(demo.delivered_now("in part").is_empty());
    message["partial"] = true.into();
    let accepted = http.send(&message).expect(202);
    let states: Vec<&str> =
        accepted["recipients"].as_array().unwrap().iter().map(|to| to["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["queued", "refused"]);
    demo.delivered("in part");
}

#[test]
fn an_account_sends_no_more_in_a_minute_than_it_may() {
    let (_demo, http) = demo("per_minute = 2\n", "alice");
    let statuses: Vec<u16> = (0..3).map(|number| http.send(&plain(&format!("rate {number}"))).status).collect();
    assert_eq!(statuses, [202, 202, 429]);
}

#[test]
fn a_mailbox_of_somebody_else_needs_full_access() {
    let (demo, http) = demo("", "frank");
    let raw = b"From: frank@example.com\nTo: bob@example.com\nSubject: logged on\n\nx\n";
    let refused = http.send_raw("?mailbox=sales@example.com", raw).expect(403);
    demo.procura(&["mailbox-permission", "add", "sales", "--user", "frank"]).ok();
    http.send_raw("?mailbox=sales@example.com", raw).expect(202);
    // Who has no such right does not learn whether there is such a mailbox.
    assert_eq!(http.send_raw("?mailbox=nobody", raw).expect(403), refused);
}

#[test]
fn a_message_that_waits_for_a_right_says_so_and_goes_when_it_is_there() {
    let sink = Sink::start();
    let (demo, http) = demo(&format!("[delivery]\nsmart_host = \"127.0.0.1:{}\"\n", sink.port), "besadmin");
    demo.procura(&["service-account", "pause", "enable", "besadmin"]).ok();
    let message = json!({ "from": "erin@example.com", "to": "archive@partner.test", "subject": "waits", "text": "x" });
    let accepted = http.send(&message).expect(202);
    assert_eq!(accepted["state"], "paused");
    assert_eq!(accepted["paused"]["user"], "EXAMPLE\\erin");
    let id = accepted["id"].as_str().unwrap();
    let state = http.state(id).expect(200);
    assert_eq!((&state["state"], &state["recipients"][0]["state"]), (&json!("paused"), &json!("paused")));
    assert_eq!(state["paused"]["reason"], "Exchange Not Accessible");
    demo.procura(&["explain", state["paused"]["decision"].as_str().unwrap()]).ok();
    assert!(sink.subjects().is_empty());
    demo.procura(&["permission", "add", "erin", "--user", "besadmin", "--right", "Send As"]).ok();
    http.wait_for(id, "delivered");
    assert_eq!(sink.subjects(), ["waits"]);
    // Given up by a person, it says that.
    let message = json!({ "from": "gina@example.com", "to": "archive@partner.test", "subject": "never", "text": "x" });
    let accepted = http.send(&message).expect(202);
    demo.procura(&["pause", "expire", "--id", accepted["id"].as_str().unwrap(), "--remove"]).ok();
    http.wait_for(accepted["id"].as_str().unwrap(), "removed");
}

#[test]
fn mail_of_an_external_account_that_was_paused_is_released_by_itself() {
    if !require(&["node"]) {
        return;
    }
    let issuer = Issuer::start();
    let configuration = format!("{}claim = \"sid\"\nas = \"sid\"\n", issuer.configuration());
    let (demo, http) = demo(&configuration, "alice");
    let external = "S-1-5-21-7-8-9-1106";
    demo.procura(&["service-account", "pause", "enable", "besadmin"]).ok();
    demo.procura(&["mailbox", "link", "besadmin", external, "--disable"]).ok();
    let http = Http { token: issuer.token("", json!({ "sid": external })), ..http };
    let message = json!({ "from": "erin@example.com", "to": "bob@example.com", "subject": "external", "text": "x" });
    let accepted = http.send(&message).expect(202);
    assert_eq!(accepted["state"], "paused", "{accepted}");
    let listed = demo.procura(&["pause", "list", "--format", "json"]).out;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_ne!(listed["rows"][0]["cause"], "account-disabled", "{listed}");
    demo.procura(&["permission", "add", "erin", "--user", external, "--right", "Send As"]).ok();
    http.wait_for(accepted["id"].as_str().unwrap(), "delivered");
    demo.delivered("external");
}

#[test]
fn a_group_is_called_by_its_own_address_and_not_by_its_members() {
    let (demo, http) = demo("", "alice");
    demo.procura(&["group", "add", "Desk", "--address", "desk@example.com", "--member", "bob", "--member", "dave"])
        .ok();
    let mut message = plain("to a group");
    message["to"] = "desk@example.com".into();
    let accepted = http.send(&message).expect(202);
    let done = http.wait_for(accepted["id"].as_str().unwrap(), "delivered");
    let addresses: Vec<&Value> = done["recipients"].as_array().unwrap().iter().map(|to| &to["address"]).collect();
    assert!(addresses.iter().all(|address| **address == "desk@example.com"), "{done}");
    assert_eq!(demo.delivered_now("to a group").len(), 2);
}

#[test]
fn tls_is_spoken_with_the_certificate_of_the_server() {
    if !require(&["curl"]) {
        return;
    }
    let port = free_port();
    let demo = Demo::start_with(&format!("[submission]\nlisten = \"127.0.0.1:{port}\"\n"));
    let token = token(&demo, "alice", &[]);
    let certificate = demo.data().join("certificate.pem");
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--cacert", certificate.to_str().unwrap()])
        .args(["--header", &format!("Authorization: Bearer {token}"), "--header", "Content-Type: application/json"])
        .args(["--data", &plain("over TLS").to_string(), &format!("https://localhost:{port}/v1/messages")])
        .output()
        .unwrap();
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.contains("queued"), "{answer}{}", String::from_utf8_lossy(&output.stderr));
    let text = demo.delivered("over TLS").text;
    assert!(text.contains("TLS1.3"), "{text}");
    // Plain HTTP is not spoken there.
    assert!(Http { port, token }.try_request("GET", "/v1/openapi.json", &[], b"").is_err());
}

#[test]
fn tokens_are_not_shown_to_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("procura.toml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        Command::new(procura()).args(["config", "check", file.to_str().unwrap()]).output().unwrap().status.success()
    };
    let plain = "[submission]\nlisten = \"0.0.0.0:8026\"\nplain = true\n";
    assert!(!check(plain));
    assert!(check(&format!("{plain}proxies = [\"10.0.0.5\"]\n")));
    assert!(check("[submission]\nlisten = \"0.0.0.0:8443\"\n"));
}

#[test]
fn behind_a_proxy_the_client_is_whom_the_proxy_names_last() {
    let (demo, http) = demo("proxies = [\"127.0.0.1\"]\n", "alice");
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Forwarded-For", "203.0.113.9, 192.0.2.7"),
        ("X-Forwarded-For", "192.0.2.8"),
    ];
    http.request("POST", "/v1/messages", &headers, plain("proxied").to_string().as_bytes()).expect(202);
    let text = demo.delivered("proxied").text;
    assert!(text.contains("[192.0.2.8]") && !text.contains("203.0.113.9"), "{text}");
    // Nobody else may connect.
    let (_demo, other) = self::demo("proxies = [\"192.0.2.1\"]\n", "alice");
    assert!(other.try_request("GET", "/v1/openapi.json", &[], b"").is_err());
}

#[test]
fn an_unknown_connector_is_told_as_such() {
    let (_demo, http) = demo("connector = \"Applications\"\n", "alice");
    assert_eq!(http.send(&plain("no")).status, 503);
}

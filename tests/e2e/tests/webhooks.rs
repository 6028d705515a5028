//! Webhooks: what became of mail is told, signed, in spite of crashes and of receivers that are away.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use e2e::{Demo, Hook, Http, Mechanism, Peer, Post, Sink, Talk, free_port, require};
use serde_json::{Value, json};

fn demo(configuration: &str, account: &str) -> (Demo, Http) {
    let port = free_port();
    let submission = format!("[submission]\nlisten = \"127.0.0.1:{port}\"\nplain = true\n{configuration}");
    let demo = Demo::start_with(&submission);
    let made = demo.procura(&["token", "new", account, "--name", "test", "--format", "json"]).ok();
    let made: Value = serde_json::from_str(&made).unwrap();
    (demo, Http { port, token: made["token"].as_str().unwrap().to_owned() })
}

fn add(demo: &Demo, account: &str, url: &str, events: &[&str]) -> Value {
    let mut arguments = vec!["webhook", "add", account, url, "--format", "json"];
    arguments.extend(events.iter().flat_map(|event| ["--event", event]));
    serde_json::from_str(&demo.procura(&arguments).ok()).unwrap()
}

fn kinds(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.body["type"].as_str().unwrap()).collect()
}

#[test]
fn what_became_of_a_paused_message_is_told_step_by_step() {
    let sink = Sink::start();
    let (demo, http) = demo(&format!("[delivery]\nsmart_host = \"127.0.0.1:{}\"\n", sink.port), "besadmin");
    let hook = Hook::start(0);
    add(&demo, "besadmin", &hook.url, &[]);
    demo.procura(&["service-account", "pause", "enable", "besadmin"]).ok();
    let message = json!({ "from": "erin@example.com", "to": "archive@partner.test", "subject": "waits", "text": "x" });
    let accepted = http.send(&message).expect(202);
    let posts = hook.wait_for(1);
    assert_eq!(kinds(&posts), ["message.paused"]);
    let data = &posts[0].body["data"];
    assert_eq!((&data["id"], &data["paused"]["user"]), (&accepted["id"], &json!("EXAMPLE\\erin")));
    assert_eq!(data["paused"]["decision"], accepted["paused"]["decision"]);
    demo.procura(&["permission", "add", "erin", "--user", "besadmin", "--right", "Send As"]).ok();
    let posts = hook.wait_for(3);
    assert_eq!(kinds(&posts), ["message.paused", "message.released", "message.delivered"]);
    assert!(posts.iter().all(|post| post.body["data"]["id"] == accepted["id"]), "{posts:?}");
    assert_eq!(posts[2].body["data"]["recipients"], json!([{ "address": "archive@partner.test" }]));
}

#[test]
fn mail_that_came_by_smtp_is_told_of_as_well() {
    if !require(&["python3"]) {
        return;
    }
    let (demo, _) = demo("", "alice");
    let hook = Hook::start(0);
    add(&demo, "alice", &hook.url, &["message.delivered"]);
    for (who, subject) in [("alice", "told"), ("bob", "not told")] {
        let mut talk = Talk::connect(demo.client_port);
        talk.log_on(who, &format!("{who}-demo"), None, Mechanism::Plain);
        let from = format!("{who}@example.com");
        let reply = talk.send(&from, &["dave@example.com"], &format!("From: {from}\nSubject: {subject}\n\nx\n"));
        assert!(reply.starts_with("250"), "{reply}");
        demo.delivered(subject);
    }
    let posts = hook.wait_for(1);
    assert_eq!(posts[0].body["data"]["from"], "alice@example.com");
    assert_eq!(hook.posts().len(), 1);
}

#[test]
fn what_failed_is_told_with_the_reason() {
    let sink = Sink::refusing(|_| Some("550 5.7.1 not here"));
    let (demo, http) = demo(&format!("[delivery]\nsmart_host = \"127.0.0.1:{}\"\n", sink.port), "alice");
    let hook = Hook::start(0);
    add(&demo, "alice", &hook.url, &[]);
    let message = json!({ "from": "alice@example.com", "to": "x@partner.test", "subject": "fails", "text": "x" });
    let accepted = http.send(&message).expect(202);
    let posts = hook.wait_for(1);
    assert_eq!(kinds(&posts), ["message.failed"]);
    let recipient = &posts[0].body["data"]["recipients"][0];
    assert_eq!(recipient["status"], "5.7.1");
    assert!(recipient["reason"].as_str().unwrap().contains("not here"), "{recipient}");
    let state = http.wait_for(accepted["id"].as_str().unwrap(), "failed");
    assert!(state["recipients"][0]["reason"].as_str().unwrap().contains("not here"), "{state}");
}

#[test]
fn an_event_outlives_a_crash_and_a_receiver_that_is_away() {
    let (mut demo, http) = demo("", "alice");
    let port = free_port();
    let away = format!("http://127.0.0.1:{port}/hook");
    add(&demo, "alice", &away, &[]);
    let message = json!({ "from": "alice@example.com", "to": "bob@example.com", "subject": "later", "text": "x" });
    let accepted = http.send(&message).expect(202);
    demo.delivered("later");
    http.wait_for(accepted["id"].as_str().unwrap(), "delivered");
    demo.kill();
    demo.start_again();
    let listed: Value = serde_json::from_str(&demo.procura(&["webhook", "list", "--format", "json"]).ok()).unwrap();
    assert_eq!(listed["rows"][0]["waiting"], 1, "{listed}");
    // Refused once more, then taken: with the same id.
    let hook = Hook::start_at(port, 1);
    let posts = hook.wait_for(1);
    assert_eq!(posts[0].body["data"]["id"], accepted["id"]);
    let all = hook.posts();
    assert!(all.len() >= 2 && all.iter().all(|post| post.id() == posts[0].id()), "{all:?}");
}

#[test]
fn one_receiver_that_is_away_keeps_no_other_waiting() {
    let (demo, http) = demo("", "alice");
    let hook = Hook::start(0);
    add(&demo, "alice", &format!("http://127.0.0.1:{}/away", free_port()), &[]);
    add(&demo, "alice", &hook.url, &[]);
    let message = json!({ "from": "alice@example.com", "to": "bob@example.com", "subject": "both", "text": "x" });
    http.send(&message).expect(202);
    hook.wait_for(1);
}

#[test]
fn the_operator_is_told_once_for_each_cause() {
    if !require(&["python3"]) {
        return;
    }
    let (demo, _) = demo("", "alice");
    let hook = Hook::start(0);
    add(&demo, "besadmin", &hook.url, &["account.paused", "account.set-aside"]);
    demo.procura(&["service-account", "pause", "enable", "besadmin"]).ok();
    let mut talk = Talk::connect(demo.client_port);
    talk.log_on("besadmin", "besadmin-demo", None, Mechanism::Plain);
    for user in ["erin", "gina", "frank", "erin"] {
        let from = format!("{user}@example.com");
        let reply = talk.send(&from, &["bob@example.com"], &format!("From: {from}\nSubject: x\n\nx\n"));
        assert!(reply.starts_with("250"), "{reply}");
    }
    let posts = hook.wait_for(1);
    let data = &posts[0].body["data"];
    assert_eq!(posts[0].body["type"], "account.paused");
    assert!(data["command"].as_str().unwrap().starts_with("procura permission add"), "{data}");
    assert_eq!((&data["users"], &data["messages"]), (&json!(3), &json!(4)), "{data}");
    assert_eq!(hook.posts().len(), 1);
}

#[test]
fn a_redirection_is_not_followed_and_a_test_says_what_was_answered() {
    if !require(&["python3"]) {
        return;
    }
    let (demo, _) = demo("", "alice");
    let hook = Hook::start(0);
    let redirecting = "import http.server, sys\n\
        class R(http.server.BaseHTTPRequestHandler):\n\
        \x20   def do_POST(self):\n\
        \x20       self.send_response(307); self.send_header('Location', sys.argv[1]); self.end_headers()\n\
        server = http.server.HTTPServer(('127.0.0.1', 0), R)\n\
        print(server.server_port, flush=True)\n\
        server.serve_forever()\n";
    let mut child =
        Command::new("python3").args(["-c", redirecting, &hook.url]).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let _redirecting = Peer::from(child);
    let made = add(&demo, "alice", &format!("http://127.0.0.1:{}/", port.trim()), &[]);
    let tested = demo.procura(&["webhook", "test", made["id"].as_str().unwrap()]);
    assert!(tested.code != 0 && tested.err.contains("307"), "{}", tested.all());
    let made = add(&demo, "alice", &hook.url, &[]);
    let tested = demo.procura(&["webhook", "test", made["id"].as_str().unwrap()]).ok();
    assert!(tested.contains("204"), "{tested}");
    assert_eq!(kinds(&hook.posts()), ["webhook.test"]);
}

#[test]
fn only_administrators_say_where_and_not_in_the_clear() {
    let (demo, _) = demo("", "alice");
    for url in
        ["http://app.example.com/x", "ftp://x", "https://", "https://user@x.test/", "http://127.0.0.1.evil.test/", "x"]
    {
        let refused = demo.procura(&["webhook", "add", "alice", url]);
        assert!(refused.code != 0, "{url}: {}", refused.out);
    }
    let unknown = demo.procura(&["webhook", "add", "alice", "https://x.test/", "--event", "message.read"]);
    assert!(unknown.err.contains("message.delivered"), "{}", unknown.err);
    let made = add(&demo, "alice", "https://x.test/", &[]);
    let listed = demo.procura(&["webhook", "list"]).ok();
    assert!(listed.contains("https://x.test/") && !listed.contains(made["secret"].as_str().unwrap()), "{listed}");
    demo.procura(&["webhook", "remove", made["id"].as_str().unwrap()]).ok();
    assert!(!demo.procura(&["webhook", "list"]).ok().contains("x.test"));
}

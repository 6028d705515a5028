//! The story of S1 (Good KB 17540): a service account with Full Mailbox Access sends for a thousand users under the legacy
//! policy; the policy is switched, and all of them pause. Nothing is lost, and nothing bounces; what is granted makes
//! mail flow again by itself, in order, each message once; and whoever is not reached by a grant is told why.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::thread;

use e2e::{Demo, Mechanism, Sink, Talk, procura, require, wait_for};
use serde_json::Value;

/// Users: in a unit that inherits, in one that does not, in a child domain, and administrators.
const MOBILE: usize = 700;
const HOSTED: usize = 200;
const EMEA: usize = 80;
const ADMINISTRATORS: usize = 20;
const ALL: usize = MOBILE + HOSTED + EMEA + ADMINISTRATORS;

fn name(user: usize) -> String {
    format!("u{user:04}")
}

/// Where a user stands.
fn place(user: usize) -> &'static str {
    match user {
        user if user < MOBILE => "OU=Mobile",
        user if user < MOBILE + HOSTED => "OU=Hosted",
        user if user < MOBILE + HOSTED + EMEA => "OU=Berlin,DC=emea,DC=example,DC=com",
        _ => "OU=Mobile",
    }
}

/// The demo with the users of the story, its mail for others going to a sink.
fn organization(sink: &Sink) -> Demo {
    let mut demo = Demo::start_with(&format!("[delivery]\nsmart_host = \"127.0.0.1:{}\"\n", sink.port));
    let descriptor = |sddl| demo.procura_with(&["sd", "convert", "--from", "sddl", "--to", "base64"], sddl).ok();
    let child = format!(
        "dn: DC=emea,DC=example,DC=com\nobjectClass: top\nobjectClass: domain\nobjectClass: domainDNS\n\
         objectSid: S-1-5-21-4-5-6\nnETBIOSName: EMEA\nnTSecurityDescriptor:: {}\n\
         dn: OU=Berlin,DC=emea,DC=example,DC=com\nobjectClass: top\nobjectClass: organizationalUnit\n\
         nTSecurityDescriptor:: {}\n",
        descriptor("O:BAG:BAD:AI(A;CI;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)"),
        descriptor("O:BAG:BAD:AI")
    );
    let file = demo.scratch().join("child.ldif");
    fs::write(&file, child).unwrap();
    demo.procura(&["import", file.to_str().unwrap()]).ok();
    let mut text = String::from("[[ou]]\nname = \"Mobile\"\n\n[[ou]]\nname = \"Hosted\"\nprotected = true\n\n");
    for user in 0..ALL {
        let (name, ou) = (name(user), place(user));
        writeln!(
            text,
            "[[user]]\nname = \"{name}\"\nou = \"{ou}\"\naddresses = [\"{name}@example.com\"]\nmailbox = true\n"
        )
        .unwrap();
    }
    let file = demo.scratch().join("users.toml");
    fs::write(&file, text).unwrap();
    demo.procura(&["apply", file.to_str().unwrap()]).ok();
    let administrators: Vec<String> = (ALL - ADMINISTRATORS..ALL).map(name).collect();
    let mut arguments = vec!["group", "member", "add", "Domain Admins"];
    arguments.extend(administrators.iter().map(String::as_str));
    demo.procura(&arguments).ok();
    service_account(&demo);
    // The task that protects administrators runs when the server starts.
    assert_eq!(demo.stop(), 0);
    demo.start_again();
    demo
}

/// `gateway`, who may open every mailbox.
fn service_account(demo: &Demo) {
    demo.procura_with(&["user", "add", "gateway", "--password-stdin"], "gate-demo\n").ok();
    demo.procura(&["permission", "add", "Mailbox Database", "--user", "gateway", "--right", "Receive As"]).ok();
}

fn log_on(demo: &Demo) -> Talk {
    let mut talk = Talk::connect(demo.client_port);
    let reply = talk.log_on("gateway", "gate-demo", None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}");
    talk
}

/// Sends a message as a user; the reply.
#[track_caller]
fn send(talk: &mut Talk, user: &str, subject: &str) -> String {
    let from = format!("{user}@example.com");
    talk.send(&from, &["archive@partner.test"], &format!("From: {from}\nSubject: {subject}\n\nhello\n"))
}

/// Everybody sends one message; all are accepted.
fn everybody_sends(demo: &Demo, round: usize) {
    thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                let mut talk = log_on(demo);
                for user in (0..ALL).filter(|user| user % 4 == part) {
                    let reply = send(&mut talk, &name(user), &format!("{} {round}", name(user)));
                    assert!(reply.starts_with("250"), "{}: {reply}", name(user));
                }
            });
        }
    });
}

/// `procura pause list`, as rows.
fn paused(demo: &Demo) -> Vec<Value> {
    let listed = demo.procura(&["pause", "list", "gateway", "--format", "json"]);
    let document: Value = serde_json::from_str(&listed.out).unwrap_or_else(|_| panic!("{}", listed.all()));
    document["rows"].as_array().unwrap().clone()
}

fn by_cause(rows: &[Value]) -> BTreeMap<String, usize> {
    let mut causes = BTreeMap::new();
    for row in rows {
        *causes.entry(row["cause"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    causes
}

/// Runs the commands that rows say would mend them, as a person would who copies them into a shell.
fn mend(demo: &Demo, rows: &[Value]) -> usize {
    let mut commands: Vec<&str> = rows.iter().map(|row| row["command"].as_str().unwrap()).collect();
    commands.sort_unstable();
    commands.dedup();
    let path = format!("{}:{}", procura().parent().unwrap().display(), std::env::var("PATH").unwrap());
    for command in &commands {
        let run = Command::new("sh").args(["-c", command]).env("PATH", &path).env("PROCURA_DATA", demo.data()).output();
        let output = run.unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    commands.len()
}

/// Each message came once, and those of each user in order.
fn once_and_in_order(subjects: &[String], rounds: usize) {
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    for subject in subjects {
        let (user, round) = subject.split_once(' ').unwrap_or_else(|| panic!("{subject:?}"));
        let expected = next.entry(user).or_default();
        assert_eq!(round, expected.to_string(), "{user}");
        *expected += 1;
    }
    assert_eq!(next.len(), ALL);
    assert!(next.values().all(|sent| *sent == rounds), "{next:?}");
}

#[test]
fn a_thousand_users_pause_and_flow_again() {
    if !require(&["python3"]) {
        return;
    }
    let sink = Sink::start();
    let mut demo = organization(&sink);
    demo.procura(&["database", "set", "Mailbox Database", "--legacy-send-as", "true"]).ok();
    let enable = ["service-account", "pause", "enable", "gateway", "--notify", "alice@example.com"];
    demo.procura(&enable).ok();

    // Under the legacy policy, Full Mailbox Access is enough.
    everybody_sends(&demo, 0);
    sink.wait_for(ALL);
    assert!(paused(&demo).is_empty());

    // The policy is switched: everybody pauses, and nothing bounces.
    demo.procura(&["database", "set", "Mailbox Database", "--legacy-send-as", "false"]).ok();
    everybody_sends(&demo, 1);
    everybody_sends(&demo, 2);
    let rows = paused(&demo);
    assert_eq!(rows.len(), ALL);
    assert!(rows.iter().all(|row| row["messages"] == 2 && row["reason"] == "Exchange Not Accessible"));
    let causes = by_cause(&rows);
    let expected = [("admin-sd-holder", ADMINISTRATORS), ("inheritance-blocked", HOSTED), ("no-entry", MOBILE + EMEA)];
    assert_eq!(causes, expected.map(|(cause, users)| (cause.to_owned(), users)).into());
    let event = "Failed to submit mail message for user u0000. (HRESULT:-2147024891) Pausing user u0000. (Security error - \
                 Cannot access the users mailbox.)";
    demo.server().wait_for_output(event);
    // One notice for each cause: two domains, the unit, the administrators.
    wait_for("the notices", || {
        demo.delivered_now("Mail of EXAMPLE\\gateway is paused: Exchange Not Accessible").len() >= 4
    });
    assert_eq!(sink.subjects().len(), ALL);

    // A crash changes nothing.
    demo.kill();
    demo.start_again();
    assert_eq!(by_cause(&paused(&demo)), causes);

    // A grant on the domain reaches those who inherit from it, and nobody else.
    let grant =
        ["permission", "add", "DC=example,DC=com", "--user", "gateway", "--right", "Send As", "--inherit-to", "user"];
    demo.procura(&grant).ok();
    sink.wait_for(ALL + 2 * MOBILE);
    wait_for("the end of the release", || paused(&demo).len() == ALL - MOBILE);
    let rows = paused(&demo);
    let expected = [("admin-sd-holder", ADMINISTRATORS), ("inheritance-blocked", HOSTED), ("other-domain", EMEA)];
    assert_eq!(by_cause(&rows), expected.map(|(cause, users)| (cause.to_owned(), users)).into());
    let says = |user: usize, words: &[&str]| {
        let found = demo.procura(&["pause", "show", "gateway", "--user", &name(user)]).out;
        assert!(words.iter().all(|word| found.contains(word)), "{words:?} not in: {found}");
    };
    says(MOBILE, &["inheritance is blocked at OU=Hosted", "the grant on DC=example,DC=com does not reach it"]);
    says(MOBILE + HOSTED, &["granted in example.com, which does not reach emea.example.com"]);
    says(ALL - 1, &["protected by AdminSDHolder", "will not last"]);

    // The commands that it says would mend it do.
    assert_eq!(mend(&demo, &rows), 3);
    sink.wait_for(ALL + 2 * (ALL - ADMINISTRATORS));
    // The administrators get the descriptor of the template when the task runs, as it does when the server starts.
    assert_eq!(demo.stop(), 0);
    demo.start_again();
    let subjects = sink.wait_for(3 * ALL);
    wait_for("the end of the release", || paused(&demo).is_empty());
    once_and_in_order(&subjects, 3);

    // What comes now is not held.
    everybody_sends(&demo, 3);
    once_and_in_order(&sink.wait_for(4 * ALL), 4);
    let notices = demo.delivered_now("Mail of EXAMPLE\\gateway is paused: Exchange Not Accessible").len();
    assert!((4..=5).contains(&notices), "{notices}");
}

/// A small organization: `dora`, and a service account that may not send for her.
fn small(sink: &Sink) -> Demo {
    let demo = Demo::start_with(&format!("[delivery]\nsmart_host = \"127.0.0.1:{}\"\n", sink.port));
    demo.procura(&["user", "add", "dora", "--address", "dora@example.com", "--mailbox"]).ok();
    service_account(&demo);
    demo.procura(&["service-account", "pause", "enable", "gateway", "--notify", "alice@example.com"]).ok();
    demo
}

#[test]
fn what_no_grant_would_mend_is_refused() {
    if !require(&["python3"]) {
        return;
    }
    let demo = small(&Sink::start());
    demo.procura(&["permission", "add", "dora", "--user", "gateway", "--right", "Send As", "--deny"]).ok();
    let mut talk = log_on(&demo);
    let refused = send(&mut talk, "dora", "denied");
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    let foreign = "From: someone@elsewhere.test\nSubject: foreign\n\nhello\n";
    let refused = talk.send("someone@elsewhere.test", &["archive@partner.test"], foreign);
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    let refused = send(&mut talk, "nobody-at-all", "nobody");
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    demo.procura(&["user", "set", "gateway", "--disable"]).ok();
    let ended = send(&mut talk, "dora", "disabled");
    assert!(ended.starts_with("421"), "{ended}");
    assert!(paused(&demo).is_empty());
}

#[test]
fn a_service_account_that_is_not_set_up_is_refused() {
    if !require(&["python3"]) {
        return;
    }
    let demo = small(&Sink::start());
    demo.procura(&["service-account", "pause", "disable", "gateway"]).ok();
    let refused = send(&mut log_on(&demo), "dora", "not set up");
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    let set = demo.procura(&["undo", &version_of(&demo, "gateway is refused")]);
    set.ok();
    let paused = send(&mut log_on(&demo), "dora", "set up again");
    assert!(paused.starts_with("250"), "{paused}");
}

/// The version of the change with these words in its comment.
fn version_of(demo: &Demo, words: &str) -> String {
    let history = demo.procura(&["history", "--format", "json"]).ok();
    let history: Value = serde_json::from_str(&history).unwrap();
    let rows = history["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["comment"].as_str().unwrap().contains(words));
    row.unwrap_or_else(|| panic!("{history}"))["version"].to_string()
}

#[test]
fn a_user_out_of_scope_is_refused() {
    if !require(&["python3"]) {
        return;
    }
    let demo = small(&Sink::start());
    demo.procura(&["ou", "add", "Mobile"]).ok();
    demo.procura(&["service-account", "pause", "enable", "gateway", "--scope", "OU=Mobile"]).ok();
    let mut talk = log_on(&demo);
    let refused = send(&mut talk, "dora", "out of scope");
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    demo.procura(&["move", "dora", "--to", "OU=Mobile"]).ok();
    let accepted = send(&mut talk, "dora", "in scope");
    assert!(accepted.starts_with("250"), "{accepted}");
}

#[test]
fn beyond_its_limit_the_sender_is_asked_to_wait() {
    if !require(&["python3"]) {
        return;
    }
    let sink = Sink::start();
    let demo = small(&sink);
    demo.procura(&["service-account", "pause", "enable", "gateway", "--max-messages", "2"]).ok();
    let mut talk = log_on(&demo);
    for number in 0..2 {
        let reply = send(&mut talk, "dora", &format!("dora {number}"));
        assert!(reply.starts_with("250"), "{reply}");
    }
    let full = send(&mut talk, "dora", "dora 2");
    assert!(full.starts_with("452 4.2.2"), "{full}");
    demo.procura(&["permission", "add", "dora", "--user", "gateway", "--right", "Send As"]).ok();
    assert_eq!(sink.wait_for(2), ["dora 0", "dora 1"]);
}

#[test]
fn a_released_message_is_stamped_and_recorded_by_the_right_that_let_it_go() {
    if !require(&["python3"]) {
        return;
    }
    let demo = small(&Sink::start());
    let from = "dora@example.com";
    let mut talk = log_on(&demo);
    demo.procura(&["user", "set", "gateway", "--add-address", "gateway@example.com"]).ok();
    let message = format!("From: {from}\nSubject: by delegation\nX-MS-Exchange-Organization-AuthAs: Forged\n\nhello\n");
    let reply = talk.send(from, &["alice@example.com"], &message);
    assert!(reply.starts_with("250"), "{reply}");
    demo.procura(&["send-on-behalf", "add", "dora", "gateway"]).ok();
    let message = demo.delivered("by delegation");
    assert!(message.value("Sender").unwrap().contains("gateway@example.com"), "{}", message.text);
    assert_eq!(message.values("X-MS-Exchange-Organization-AuthAs"), ["Internal"]);
    let id = reply.split(' ').find(|word| word.len() == 26).unwrap();
    wait_for("the audit record", || audit(&demo, id, "sent-on-behalf").is_some());
    let record = audit(&demo, id, "sent-on-behalf").unwrap();
    assert_eq!(record["held"]["user"], "EXAMPLE\\dora");
    assert_eq!(record["held"]["missing"]["right"], "Send-As");
}

/// The record of a message in the audit, by its kind.
fn audit(demo: &Demo, queue_id: &str, kind: &str) -> Option<Value> {
    let database = demo.data().join("audit.db");
    let script = "import json, sqlite3, sys\n\
                  rows = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True).execute('SELECT * FROM decision')\n\
                  names = [column[0] for column in rows.description]\n\
                  found = [dict(zip(names, row)) for row in rows]\n\
                  print(json.dumps([row for row in found if row.get('kind') == sys.argv[2]], default=str))";
    let output = Command::new("python3").args(["-c", script, database.to_str().unwrap(), kind]).output().unwrap();
    let rows: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let records = rows.as_array().unwrap().iter().filter_map(|row| {
        let record: Value = serde_json::from_str(row["json"].as_str()?).ok()?;
        (record["queue_id"] == queue_id).then_some(record)
    });
    records.into_iter().next()
}

#[test]
fn nothing_overtakes_a_released_message_that_the_destination_puts_off() {
    if !require(&["python3"]) {
        return;
    }
    // The destination puts the first message off, twice.
    let refusals = std::sync::atomic::AtomicUsize::new(2);
    let sink = Sink::refusing(move |subject| {
        let again = |left: usize| left.checked_sub(1);
        let order = std::sync::atomic::Ordering::SeqCst;
        (subject == "dora 0" && refusals.fetch_update(order, order, again).is_ok()).then_some("451 4.7.1 later")
    });
    let demo = small(&sink);
    let mut talk = log_on(&demo);
    for number in 0..4 {
        assert!(send(&mut talk, "dora", &format!("dora {number}")).starts_with("250"));
    }
    let to_another = "From: dora@example.com\nSubject: to another\n\nhello\n";
    assert!(talk.send("dora@example.com", &["other@partner.test"], to_another).starts_with("250"));
    demo.procura(&["permission", "add", "dora", "--user", "gateway", "--right", "Send As"]).ok();
    // Another recipient does not wait for the first one's.
    assert_eq!(sink.wait_for(1), ["to another"]);
    let first = |demo: &Demo| {
        let listed = demo.procura(&["queue", "list", "--format", "json"]).ok();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        listed["rows"][0]["id"].as_str().map(str::to_owned)
    };
    // The first comes again when it is asked to, instead of in a minute.
    wait_for("the rest", || {
        if let Some(id) = first(&demo) {
            demo.procura(&["queue", "retry", &id]);
        }
        sink.subjects().len() == 5
    });
    assert_eq!(sink.subjects()[1..], ["dora 0", "dora 1", "dora 2", "dora 3"]);
}

#[test]
fn the_operator_hears_of_a_cause_once_although_the_server_dies_before_it_tells() {
    if !require(&["python3"]) {
        return;
    }
    let mut demo = small(&Sink::start());
    assert!(send(&mut log_on(&demo), "dora", "dora 0").starts_with("250"));
    // At once: what is to be told is gathered first.
    demo.kill();
    demo.start_again();
    let notice = "Mail of EXAMPLE\\gateway is paused: Exchange Not Accessible";
    demo.delivered(notice);
    demo.kill();
    demo.start_again();
    // It decides about what waits when it starts, and again now.
    assert!(send(&mut log_on(&demo), "dora", "dora 1").starts_with("250"));
    demo.procura(&["permission", "add", "dora", "--user", "gateway", "--right", "Send As"]).ok();
    wait_for("the release", || paused(&demo).is_empty());
    assert_eq!(demo.delivered_now(notice).len(), 1);
}

#[test]
fn what_is_too_old_needs_a_person() {
    if !require(&["python3"]) {
        return;
    }
    let sink = Sink::start();
    let demo = small(&sink);
    let enable = ["service-account", "pause", "enable", "gateway", "--max-age", "1s", "--notify", "alice@example.com"];
    demo.procura(&enable).ok();
    let mut talk = log_on(&demo);
    assert!(send(&mut talk, "dora", "dora 0").starts_with("250"));
    demo.delivered("Mail of EXAMPLE\\gateway needs a decision");
    let rows = paused(&demo);
    assert_eq!(rows[0]["state"], "set-aside", "{rows:?}");
    // The right alone does not let it go any more.
    demo.procura(&["permission", "add", "dora", "--user", "gateway", "--right", "Send As"]).ok();
    let dry = demo.procura(&["pause", "release", "gateway", "--set-aside", "--dry-run"]).ok();
    assert!(dry.contains("1 message(s) would be released"), "{dry}");
    assert!(sink.subjects().is_empty());
    demo.procura(&["pause", "release", "gateway", "--set-aside"]).ok();
    assert_eq!(sink.wait_for(1), ["dora 0"]);
}

/// A server that died when it had set a message aside, before it told of that; none where something is missing here.
#[track_caller]
fn killed_before_it_tells() -> Option<Demo> {
    if !require(&["python3"]) {
        return None;
    }
    let mut demo = small(&Sink::start());
    let enable = ["service-account", "pause", "enable", "gateway", "--max-age", "1s", "--notify", "alice@example.com"];
    demo.procura(&enable).ok();
    assert!(send(&mut log_on(&demo), "dora", "dora 0").starts_with("250"));
    // At once: what is to be told is gathered first.
    demo.server().wait_for_output("a paused message needs a person");
    wait_for("a hold", || paused(&demo)[0]["state"] == "set-aside");
    demo.kill();
    Some(demo)
}

#[test]
fn the_operator_hears_once_of_what_needs_a_person_although_the_server_dies_before_it_tells() {
    let Some(mut demo) = killed_before_it_tells() else { return };
    demo.start_again();
    let notice = "Mail of EXAMPLE\\gateway needs a decision";
    demo.delivered(notice);
    demo.stop();
    demo.start_again();
    // Another one is told of by itself: the first is not in it again.
    assert!(send(&mut log_on(&demo), "dora", "dora 1").starts_with("250"));
    wait_for("the second", || demo.delivered_now(notice).len() == 2);
    assert!(demo.delivered_now(notice).iter().all(|notice| notice.text.contains("1 message(s)")));
}

#[test]
fn the_operator_hears_of_what_needs_a_person_when_there_is_space_again() {
    let Some(mut demo) = killed_before_it_tells() else { return };
    let configuration = demo.data().join("procura.toml");
    fs::write(&configuration, "[storage]\nmin_free_mib = 1000000000\n").unwrap();
    demo.start_again();
    demo.server().wait_for_output("cannot be queued");
    demo.stop();
    fs::remove_file(&configuration).unwrap();
    demo.start_again();
    demo.delivered("Mail of EXAMPLE\\gateway needs a decision");
}

#[test]
fn people_release_return_and_remove() {
    if !require(&["python3"]) {
        return;
    }
    let sink = Sink::start();
    let demo = small(&sink);
    let mut talk = log_on(&demo);
    let queued = |reply: String| reply.split(' ').find(|word| word.len() == 26).unwrap().to_owned();
    let ids: Vec<String> = (0..3).map(|number| queued(send(&mut talk, "dora", &format!("dora {number}")))).collect();
    let release = demo.procura(&["pause", "release", "gateway"]);
    assert!(release.code == 1 && release.out.contains("0 message(s) released, 3 still held"), "{}", release.all());
    let removed = demo.procura(&["queue", "remove", &ids[0], "--yes"]);
    assert!(removed.code != 0 && removed.all().contains("procura pause expire"), "{}", removed.all());
    demo.procura(&["pause", "expire", "--id", &ids[0], "--remove"]).ok();
    demo.procura(&["pause", "expire", "--id", &ids[1], "--return"]).ok();
    wait_for("the report to dora", || {
        demo.mailboxes().iter().any(|message| {
            message.text.contains("You do not have the permission to send the message on behalf of the specified user")
        })
    });
    demo.procura(&["pause", "release", "gateway", "--user", "dora", "--override"]).ok();
    assert_eq!(sink.wait_for(1), ["dora 2"]);
    assert!(paused(&demo).is_empty());
    assert_eq!(audit(&demo, &ids[2], "overridden").unwrap()["held"]["by"], "BUILTIN\\Administrators");
    assert!(audit(&demo, &ids[0], "given-up").is_some() && audit(&demo, &ids[1], "given-up").is_some());
}

#[test]
fn test_send_says_what_happens_at_each_step() {
    if !require(&["python3"]) {
        return;
    }
    let sink = Sink::start();
    let demo = small(&sink);
    let server = format!("127.0.0.1:{}", demo.client_port);
    let arguments = |from| {
        let to = "archive@partner.test";
        ["test-send", "--as", "gateway", "--from", from, "--to", to, "--server", &server, "--password-stdin"]
    };
    let paused = demo.procura_with(&arguments("dora@example.com"), "gate-demo\n");
    assert_eq!(paused.code, 1, "{}", paused.all());
    for word in ["> AUTH PLAIN *", "< 235", "PAUSED", "Pausing user dora", "permission add"] {
        assert!(paused.out.contains(word), "{word} not in: {}", paused.out);
    }
    assert!(!paused.out.contains("gate-demo"));
    demo.procura(&["permission", "add", "dora", "--user", "gateway", "--right", "Send As"]).ok();
    sink.wait_for(1);
    let sent = demo.procura_with(&arguments("dora@example.com"), "gate-demo\n");
    assert!(sent.code == 0 && sent.out.contains("on its way"), "{}", sent.all());
    let all = demo.procura(&["test-send", "--as", "gateway", "--all-users"]);
    assert!(all.code == 1 && all.out.contains("EXAMPLE\\gateway can send as 1 of"), "{}", all.all());
    assert!(!all.out.contains("EXAMPLE\\dora") && all.out.contains("this mends it"), "{}", all.out);
    let watched = demo.procura(&["service-account", "watch", "gateway", "--once"]).out;
    assert!(watched.lines().any(|line| line.contains("dora") && line.contains("active")), "{watched}");
}

#[test]
fn the_guide_is_a_walk_that_works() {
    if !require(&["python3"]) {
        return;
    }
    let demo = Demo::start();
    let guide = include_str!("../../../docs/src/services.md");
    let mut talk = Talk::connect(demo.client_port);
    let reply = talk.log_on("besadmin", "besadmin-demo", None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}");
    let mut ran = 0;
    for line in guide.lines() {
        // Mail comes where the guide says what becomes of it.
        if line == "## When a right is missing" {
            let message = "From: ceo@example.com\nSubject: from the guide\n\nhello\n";
            let reply = talk.send("ceo@example.com", &["alice@example.com"], message);
            assert!(reply.starts_with("250"), "{reply}");
        }
        let Some(command) = line.strip_prefix("$ procura ") else { continue };
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        let server = format!("127.0.0.1:{}", demo.client_port);
        if arguments[0] == "test-send" && !arguments.contains(&"--all-users") {
            arguments.extend(["--server", &server, "--password-stdin"]);
        }
        let finished = demo.procura_with(&arguments, "besadmin-demo\n");
        // 1: there is something that a person should look at.
        assert!((0..=1).contains(&finished.code) && finished.err.is_empty(), "{command}\n{}", finished.all());
        match command {
            "pause list" => assert!(finished.out.contains("ceo") && finished.code == 1, "{}", finished.all()),
            "service-account grant besadmin" => {
                demo.delivered("from the guide");
            }
            command if command.starts_with("test-send --as besadmin --from") => {
                assert!(finished.code == 0, "{}", finished.all());
            }
            _ => {}
        }
        ran += 1;
    }
    assert!(ran >= 12, "{ran} commands");
}

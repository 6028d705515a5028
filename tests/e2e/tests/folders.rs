//! Pickup, replay and drop folders of a real server: whose files they are, what is decided, and what is left behind.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use e2e::{Demo, Server, procura_with_fail_points, require};

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of the test's own that nobody else may write.
fn folder(demo: &Demo, name: &str) -> PathBuf {
    let path = demo.scratch().join(name);
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    path
}

/// A demo with a pickup folder for whoever is named.
fn pickup(who: &str) -> (Demo, PathBuf) {
    let demo = Demo::start();
    let path = folder(&demo, "pickup");
    connector(&demo, &["--pickup", path.to_str().unwrap(), "--submit-as", who]);
    (demo, path)
}

/// A demo with a replay folder for whoever is named.
fn replay(who: &str) -> (Demo, PathBuf) {
    let demo = Demo::start();
    let path = folder(&demo, "replay");
    connector(&demo, &["--replay", path.to_str().unwrap(), "--submit-as", who]);
    (demo, path)
}

fn connector(demo: &Demo, arguments: &[&str]) {
    demo.procura(&[&["connector", "receive", "new", "Files"], arguments].concat()).ok();
}

/// Puts a file into a folder, as its writers are to do it.
fn put(folder: &Path, name: &str, text: &str) {
    let hidden = folder.join(format!(".{name}"));
    fs::write(&hidden, text).unwrap();
    fs::rename(hidden, folder.join(name)).unwrap();
}

/// Waits for what a folder is to come to.
#[track_caller]
fn wait_for<T>(what: &str, folder: &Path, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(found) = found() {
            return found;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} did not come; there are {:?}", names(folder));
}

/// Waits until nothing is left in a folder.
#[track_caller]
fn wait_until_empty(folder: &Path) {
    wait_for("an empty folder", folder, || names(folder).is_empty().then_some(()));
}

/// Waits for a file that was set aside; its reason.
#[track_caller]
fn reason(folder: &Path, name: &str) -> String {
    let path = folder.join(format!("{name}.reason"));
    wait_for(name, folder, || fs::read_to_string(&path).ok().filter(|text| text.contains("rename it")))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn message(from: &str, to: &str, subject: &str) -> String {
    format!("From: {from}\nTo: {to}\nSubject: {subject}\n\nHello.\n.\nlast\n")
}

#[test]
fn a_file_is_sent_for_the_account_of_the_folder() {
    let (demo, folder) = pickup("alice");
    let text = "Received: from nowhere\nResent-From: alice@example.com\n".to_owned()
        + &message("alice@example.com", "bob@example.com", "picked up")
            .replace("Subject", "Bcc: dave@example.com\nSubject");
    put(&folder, "one.eml", &text);
    let found = demo.delivered("picked up");
    wait_until_empty(&folder);
    assert!(found.text.ends_with("\n\nHello.\n.\nlast\n"), "{}", found.text);
    let received = found.values("Received");
    assert!(
        received.len() == 1 && received[0].starts_with("from Pickup") && received[0].contains("with local"),
        "{received:?}"
    );
    assert_eq!(found.values("Bcc"), Vec::<&str>::new());
    assert_eq!(found.values("Resent-From"), Vec::<&str>::new());
    assert_eq!(found.value("X-MS-Exchange-Organization-AuthAs"), Some("Internal"));
    assert!(found.value("Date").is_some() && found.value("Message-ID").is_some(), "{}", found.text);
    assert_eq!(demo.delivered_now("picked up").len(), 2, "dave got it too");
    let traced = demo.procura(&["trace", "--from", "alice@example.com"]).ok();
    assert!(traced.contains("by connector Files") && traced.contains("as EXAMPLE\\alice"), "{traced}");
}

#[test]
fn what_is_refused_is_set_aside_with_the_reason_and_reported() {
    let (demo, folder) = pickup("bob");
    put(&folder, "forged.eml", &message("ceo@example.com", "alice@example.com", "forged"));
    let reason = reason(&folder, "forged");
    assert!(reason.contains("550 5.7.1 Client does not have permissions to send as this sender"), "{reason}");
    let decision = reason.lines().find_map(|line| line.strip_prefix("Decision:")).unwrap();
    let decision = decision.split_whitespace().next().unwrap();
    let explained = demo.procura(&["explain", decision]).ok();
    assert!(explained.contains("EXAMPLE\\bob") && explained.contains("from pickup"), "{explained}");
    assert_eq!(names(&folder), ["forged.bad", "forged.reason"]);
    let report = wait_for("a report", &folder, || {
        demo.mailboxes().into_iter().find(|message| message.text.contains("multipart/report"))
    });
    assert_eq!(report.value("To"), Some("<bob@example.com>"));
    assert!(report.text.contains("alice@example.com") && report.text.contains("5.7.1"), "{}", report.text);
    let metrics = demo.procura(&["trace", "--to", "alice@example.com"]);
    assert!(!metrics.out.contains("forged"), "{}", metrics.out);
}

#[test]
fn a_file_that_was_mended_is_tried_again() {
    let (demo, folder) = pickup("bob");
    put(&folder, "forged.eml", &message("ceo@example.com", "alice@example.com", "mended"));
    reason(&folder, "forged");
    demo.procura(&["permission", "add", "ceo@example.com", "--user", "bob", "--right", "Send As"]).ok();
    fs::rename(folder.join("forged.bad"), folder.join("forged.eml")).unwrap();
    demo.delivered("mended");
}

#[test]
fn of_several_recipients_those_get_it_who_may() {
    let (demo, folder) = pickup("alice");
    put(&folder, "two.eml", &message("alice@example.com", "bob@example.com, nobody@example.com", "two"));
    demo.delivered("two");
    wait_until_empty(&folder);
    let report = wait_for("a report", &folder, || {
        demo.mailboxes().into_iter().find(|message| message.text.contains("multipart/report"))
    });
    assert!(
        report.text.contains("nobody@example.com") && !report.text.contains("rfc822; bob@example.com"),
        "{}",
        report.text
    );
}

#[test]
fn nobody_is_who_sends_where_no_account_is_assigned() {
    let demo = Demo::start();
    let folder = folder(&demo, "pickup");
    connector(&demo, &["--pickup", folder.to_str().unwrap()]);
    put(&folder, "own.eml", &message("alice@example.com", "bob@example.com", "own"));
    let reason = reason(&folder, "own");
    assert!(reason.contains("550 5.7.1"), "{reason}");
    put(&folder, "outside.eml", &message("sue@outside.test", "bob@example.com", "from outside"));
    let found = demo.delivered("from outside");
    assert_eq!(found.value("X-MS-Exchange-Organization-AuthAs"), Some("Anonymous"));
}

#[test]
fn a_file_is_its_owners_where_the_folder_says_so() {
    let uid = rustix::process::geteuid().as_raw();
    let demo = Demo::start_with(&format!("[local]\naccounts = {{ {uid} = \"alice\" }}\n"));
    let folder = folder(&demo, "pickup");
    connector(&demo, &["--pickup", folder.to_str().unwrap(), "--submit-as", "owner"]);
    put(&folder, "own.eml", &message("alice@example.com", "bob@example.com", "of alice"));
    demo.delivered("of alice");
    put(&folder, "other.eml", &message("bob@example.com", "alice@example.com", "not of bob"));
    assert!(reason(&folder, "other").contains("550 5.7.1"));
    let open = folder.join(".open.eml");
    fs::write(&open, message("alice@example.com", "bob@example.com", "of anybody")).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    fs::rename(&open, folder.join("open.eml")).unwrap();
    assert!(reason(&folder, "open").contains("others than its owner may write the file"));
}

#[test]
fn a_user_without_an_account_sends_nothing() {
    let demo = Demo::start();
    let folder = folder(&demo, "pickup");
    connector(&demo, &["--pickup", folder.to_str().unwrap(), "--submit-as", "owner"]);
    put(&folder, "x.eml", &message("alice@example.com", "bob@example.com", "x"));
    assert!(reason(&folder, "x").contains("has no account under [local] accounts"));
}

#[test]
fn an_account_of_a_user_counts_after_a_reload() {
    let uid = rustix::process::geteuid().as_raw();
    let demo = Demo::start_with("[log]\nlevel = \"info\"\n");
    let folder = folder(&demo, "pickup");
    connector(&demo, &["--pickup", folder.to_str().unwrap(), "--submit-as", "owner"]);
    put(&folder, "early.eml", &message("alice@example.com", "bob@example.com", "too early"));
    assert!(reason(&folder, "early").contains("has no account under [local] accounts"));
    let configuration = format!("[log]\nlevel = \"info\"\n[local]\naccounts = {{ {uid} = \"alice\" }}\n");
    fs::write(demo.data().join("procura.toml"), configuration).unwrap();
    let said = demo.procura(&["reload"]).ok();
    assert!(said.contains("local.accounts was changed: it counts now"), "{said}");
    fs::rename(folder.join("early.bad"), folder.join("early.eml")).unwrap();
    demo.delivered("too early");
}

#[test]
fn a_folder_that_everybody_may_write_is_out_of_service() {
    let (mut demo, folder) = pickup("alice");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    put(&folder, "x.eml", &message("alice@example.com", "bob@example.com", "waited"));
    demo.server().wait_for_output("everybody on this machine may write into the folder");
    assert_eq!(names(&folder), ["x.eml"]);
    let shown = |demo: &Demo| demo.procura(&["connector", "receive", "get", "Files"]).ok();
    assert!(shown(&demo).contains("it is out of service: everybody on this machine may write"), "{}", shown(&demo));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
    demo.delivered("waited");
    assert!(!shown(&demo).contains("out of service"), "{}", shown(&demo));
}

#[test]
fn links_pipes_and_folders_are_set_aside_unread() {
    let (demo, folder) = pickup("alice");
    let secret = demo.scratch().join("secret");
    fs::write(&secret, message("alice@example.com", "bob@example.com", "secret")).unwrap();
    symlink(&secret, folder.join("link.eml")).unwrap();
    assert!(reason(&folder, "link").contains("symbolic link"));
    fs::create_dir(folder.join("folder.eml")).unwrap();
    assert!(reason(&folder, "folder").contains("it is a folder"));
    assert!(Command::new("mkfifo").arg(folder.join("pipe.eml")).status().unwrap().success());
    assert!(reason(&folder, "pipe").contains("it is a pipe"));
    put(&folder, "after.eml", &message("alice@example.com", "bob@example.com", "after"));
    demo.delivered("after");
    assert!(demo.delivered_now("secret").is_empty());
}

#[test]
fn what_is_no_message_is_set_aside() {
    let (_demo, folder) = pickup("alice");
    put(&folder, "text.eml", "This is no message.\n");
    assert!(reason(&folder, "text").contains("header field"));
    put(&folder, "nobody.eml", "From: alice@example.com\nSubject: x\n\nHello\n");
    assert!(reason(&folder, "nobody").contains("who is to get it"));
    put(&folder, "two.eml", "From: alice@example.com\nFrom: bob@example.com\nTo: bob@example.com\n\nHello\n");
    assert!(reason(&folder, "two").contains("From"));
    let long = format!("From: alice@example.com\nTo: bob@example.com\nX-Long: {}\n\nHello\n", "x".repeat(70_000));
    put(&folder, "long.eml", &long);
    assert!(reason(&folder, "long").contains("the header is larger than 65536 bytes"));
    let many: Vec<String> = (0..101).map(|number| format!("user{number}@example.com")).collect();
    put(&folder, "many.eml", &message("alice@example.com", &many.join(",\n "), "many"));
    assert!(reason(&folder, "many").contains("101 recipients, and the connector takes 100"));
}

const ENVELOPE: &str = "X-Sender: <alice@example.com>\r\nX-Receiver: <bob@example.com>\r\nX-CreatedBy: MSExchange15\r\n\
    X-HeloDomain: mail.example.com\r\nX-EndOfInjectedXHeaders: 7\r\n";

fn replayed(subject: &str) -> String {
    format!(
        "{ENVELOPE}Received: from a by b\r\nX-MS-Exchange-Organization-SCL: -1\r\n\
         X-MS-Exchange-Organization-AuthAs: Internal\r\nX-MS-Exchange-Forest-RulesExecuted: x\r\n\
         From: alice@example.com\r\nTo: somebody.else@example.net\r\nSubject: {subject}\r\n\r\nHello.\r\n"
    )
}

#[test]
fn organization_headers_of_a_replayed_file_need_the_right_whoever_is_said_to_have_made_it() {
    let (demo, folder) = replay("alice");
    put(&folder, "one.eml", &replayed("without the right"));
    let found = demo.delivered("without the right");
    assert_eq!(found.values("X-MS-Exchange-Organization-SCL"), Vec::<&str>::new());
    assert_eq!(found.values("X-MS-Exchange-Forest-RulesExecuted"), Vec::<&str>::new());
    assert_eq!(found.values("X-CreatedBy"), Vec::<&str>::new());
    assert_eq!(found.values("X-Receiver"), Vec::<&str>::new());
    // F §3.11: routing headers stay, whoever replays.
    assert!(found.values("Received").contains(&"from a by b"), "{}", found.text);
    assert_eq!(found.value("To"), Some("somebody.else@example.net"));

    demo.procura(&["permission", "add", "Files", "--user", "alice", "--right", "Accept Organization Headers"]).ok();
    put(&folder, "two.eml", &replayed("with the right"));
    let found = demo.delivered("with the right");
    assert_eq!(found.value("X-MS-Exchange-Organization-SCL"), Some("-1"));
    assert_eq!(found.values("X-MS-Exchange-Forest-RulesExecuted"), Vec::<&str>::new());
    // Who sent it is our own word, as ever.
    assert_eq!(found.value("X-MS-Exchange-Organization-AuthAs"), Some("Internal"));
    assert_eq!(found.value("X-MS-Exchange-Organization-AuthMechanism"), Some("01"));
}

#[test]
fn a_replayed_envelope_is_decided_about_as_any_other() {
    let (_demo, folder) = replay("bob");
    put(&folder, "x.eml", &replayed("not of bob"));
    assert!(reason(&folder, "x").contains("550 5.7.1 Client does not have permissions to send as this sender"));
    put(&folder, "y.eml", "From: bob@example.com\nTo: alice@example.com\n\nHello\n");
    assert!(reason(&folder, "y").contains("X-Sender"));
}

#[test]
fn what_a_stranger_replays_has_no_headers_of_the_organization() {
    let (demo, folder) = replay("anonymous");
    put(&folder, "x.eml", &replayed("strange").replace("alice@example.com", "sue@outside.test"));
    let found = demo.delivered("strange");
    assert_eq!(found.values("X-MS-Exchange-Organization-SCL"), Vec::<&str>::new());
    assert_eq!(found.value("X-MS-Exchange-Organization-AuthAs"), Some("Anonymous"));
}

#[test]
fn a_message_is_left_in_a_drop_folder_with_its_envelope_and_without_headers_of_the_organization() {
    let (demo, folder) = replay("alice");
    let drop = self::folder(&demo, "drop");
    let new = ["connector", "send", "new", "Fax", "--address-space", "fax.example.net", "--drop"];
    demo.procura(&[&new[..], &[drop.to_str().unwrap()]].concat()).ok();
    for right in ["Accept Organization Headers", "ms-Exch-SMTP-Accept-Any-Recipient"] {
        demo.procura(&["permission", "add", "Files", "--user", "alice", "--right", right]).ok();
    }
    let envelope = "X-Sender: <alice@example.com> RET=HDRS ENVID=Q+2B1\r\n\
        X-Receiver: <one@fax.example.net> NOTIFY=NEVER\r\nX-Receiver: <two@fax.example.net>\r\n";
    let text = replayed("fax").replace(ENVELOPE, envelope).replace("From:", "X-Receiver: <eve@evil.test>\r\nFrom:");
    put(&folder, "x.eml", &text);
    let name = wait_for("a file", &drop, || names(&drop).into_iter().find(|name| name.ends_with(".eml")));
    let found = fs::read_to_string(drop.join(&name)).unwrap();
    let (head, body) = found.split_once("\r\n\r\n").unwrap();
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(
        lines[..4],
        [
            "X-Sender: <alice@example.com> RET=HDRS ENVID=Q+2B1",
            "X-Receiver: <one@fax.example.net> NOTIFY=NEVER",
            "X-Receiver: <two@fax.example.net>",
            "X-CreatedBy: Procura",
        ]
    );
    assert!(lines[4].starts_with("X-EndOfInjectedXHeaders: "), "{head}");
    assert_eq!(body, "Hello.\r\n");
    assert!(!head.contains("X-MS-Exchange-") && !head.contains("eve@evil.test"), "{head}");
    // A connector of usage Custom grants nothing to nobody.
    assert!(!head.contains("Received:"), "{head}");
    assert_eq!(names(&drop), [name]);
    let traced = demo.procura(&["trace", "--to", "one@fax.example.net"]).ok();
    assert!(traced.contains("delivered"), "{traced}");
}

#[test]
fn a_drop_folder_is_told_what_its_rights_allow() {
    let demo = Demo::start();
    let (pickup, drop) = (folder(&demo, "pickup"), folder(&demo, "drop"));
    connector(&demo, &["--pickup", pickup.to_str().unwrap(), "--submit-as", "alice"]);
    let new =
        ["connector", "send", "new", "Fax", "--usage", "internet", "--address-space", "fax.example.net", "--drop"];
    demo.procura(&[&new[..], &[drop.to_str().unwrap()]].concat()).ok();
    let tested = demo.procura(&["connector", "test", "Fax"]).ok();
    assert!(tested.contains("anonymous") && tested.contains("kept"), "{tested}");
    put(&pickup, "x.eml", &message("alice@example.com", "one@fax.example.net", "fax"));
    let name = wait_for("a file", &drop, || names(&drop).into_iter().find(|name| name.ends_with(".eml")));
    let found = fs::read_to_string(drop.join(name)).unwrap();
    assert!(found.contains("\r\nReceived: from Pickup"), "{found}");
    assert!(!found.contains("X-MS-Exchange-Organization"), "{found}");
}

#[test]
fn what_a_drop_folder_cannot_take_waits_for_it() {
    let demo = Demo::start();
    let (pickup, drop) = (folder(&demo, "pickup"), demo.scratch().join("drop"));
    connector(&demo, &["--pickup", pickup.to_str().unwrap(), "--submit-as", "alice"]);
    let new =
        ["connector", "send", "new", "Fax", "--address-space", "fax.example.net", "--drop", drop.to_str().unwrap()];
    demo.procura(&new).ok();
    put(&pickup, "x.eml", &message("alice@example.com", "one@fax.example.net", "fax"));
    let waits = wait_for("a reason", &pickup, || {
        let shown = demo.procura(&["queue", "list"]).out;
        shown.contains("cannot be written").then_some(shown)
    });
    assert!(waits.contains("one@fax.example.net") || waits.contains("Fax") || waits.contains("connector"), "{waits}");
    folder(&demo, "drop");
    demo.procura(&["queue", "retry"]).ok();
    wait_for("a file", &drop, || names(&drop).into_iter().find(|name| name.ends_with(".eml")));
}

#[test]
fn what_would_happen_to_a_file_can_be_asked_before() {
    let (demo, _folder) = pickup("bob");
    let allowed =
        demo.procura(&["connector", "test", "Files", "--from", "bob@example.com", "--to", "alice@example.com"]);
    assert!(allowed.out.starts_with("accepted: EXAMPLE\\bob"), "{}", allowed.all());
    let refused =
        demo.procura(&["connector", "test", "Files", "--from", "ceo@example.com", "--to", "alice@example.com"]);
    assert!(refused.code == 1 && refused.out.contains("refused"), "{}", refused.all());
}

#[test]
fn a_folder_is_a_connector_that_permissions_can_be_given_on() {
    let (mut demo, folder) = pickup("alice");
    let shown = demo.procura(&["connector", "receive", "get", "Files"]).ok();
    assert!(shown.contains(folder.to_str().unwrap()) && shown.contains("EXAMPLE\\alice"), "{shown}");
    assert!(shown.contains("ExchangeUsers"), "{shown}");
    demo.procura(&["permission", "add", "Files", "--user", "alice", "--right", "ms-Exch-SMTP-Submit", "--deny"]).ok();
    put(&folder, "x.eml", &message("alice@example.com", "bob@example.com", "denied for a while"));
    // It waits for the right, and is not refused.
    demo.server().wait_for_output("may not submit on its connector");
    demo.procura(&["permission", "remove", "Files", "--user", "alice", "--right", "ms-Exch-SMTP-Submit", "--deny"])
        .ok();
    demo.delivered("denied for a while");
}

/// As Samba does for its clients: whoever opens the file is put off until the lease is given back.
#[test]
fn a_file_with_a_lease_is_sent_when_the_lease_is_given_back() {
    if !require(&["python3"]) {
        return;
    }
    let (mut demo, folder) = pickup("alice");
    put(&folder, ".hidden", &message("alice@example.com", "bob@example.com", "leased"));
    let lease = "import fcntl, os, signal, sys\n\
        asked = []\n\
        signal.signal(signal.SIGIO, lambda *_: asked.append(1))\n\
        leased = os.open(sys.argv[1], os.O_RDWR)\n\
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
        os.rename(sys.argv[1], sys.argv[2])\n\
        while not asked: signal.pause()\n\
        print('asked', flush=True)\n\
        sys.stdin.read()\n";
    let (from, to) = (folder.join(".hidden"), folder.join("leased.eml"));
    let mut command = Command::new("python3");
    command.args(["-c", lease]).args([&from, &to]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = command.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "asked\n");
    demo.server().wait_for_output("a file is locked; trying again");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    demo.delivered("leased");
    wait_until_empty(&folder);
}

/// Starts the server with a file in its folder and lets it die at a point; false where there is none with fail points.
#[track_caller]
fn die_at(demo: &mut Demo, point: &str) -> bool {
    let Some(binary) = procura_with_fail_points() else { return false };
    let mut command = Command::new(binary);
    command.args(demo.arguments()).env("PROCURA_FAILPOINT", point);
    let mut server = Server::spawn(command);
    e2e::wait_for(&format!("the death at {point}"), || server.has_ended());
    true
}

/// Reports in all mailboxes, once what is there is read.
fn reports(demo: &Demo) -> usize {
    demo.mailboxes().iter().filter(|message| message.text.contains("multipart/report")).count()
}

/// From taking a file to its removal, and each step of the queue between them.
#[test]
fn a_file_that_was_taken_when_the_server_died_is_sent_once_and_reported_once() {
    for point in [
        "folder.before_sync",
        "folder.after_take",
        "body.after_sync",
        "schedule.before_commit",
        "schedule.after_commit",
        "accept.after_acknowledge",
        "folder.after_accept",
        "folder.after_remove",
    ] {
        let (mut demo, folder) = pickup("alice");
        demo.stop();
        put(&folder, "x.eml", &message("alice@example.com", "bob@example.com, nobody@example.com", point));
        if !die_at(&mut demo, point) {
            return;
        }
        demo.start_again();
        demo.delivered(point);
        wait_until_empty(&folder);
        wait_for("a report", &folder, || (reports(&demo) > 0).then_some(()));
        wait_until_nothing_is_queued(&demo, &folder);
        assert_eq!((demo.delivered_now(point).len(), reports(&demo)), (1, 1), "{point}");
    }
}

/// What was refused and reported is not sent, though it could be now: its account was told that it was not.
#[test]
fn a_file_that_was_refused_when_the_server_died_is_reported_once_and_stays_refused() {
    for point in ["schedule.before_commit", "schedule.after_commit", "folder.after_report", "folder.after_set_aside"] {
        let (mut demo, folder) = pickup("bob");
        demo.stop();
        put(&folder, "x.eml", &message("ceo@example.com", "alice@example.com", point));
        if !die_at(&mut demo, point) {
            return;
        }
        // Here the account was told for certain.
        if point.starts_with("folder.") {
            demo.procura(&["permission", "add", "ceo@example.com", "--user", "bob", "--right", "Send As"]).ok();
        }
        demo.start_again();
        let reason = reason(&folder, "x");
        assert!(reason.contains("550 5.7.1") && reason.contains("Decision:"), "{point}: {reason}");
        wait_for("a report", &folder, || (reports(&demo) > 0).then_some(()));
        wait_until_nothing_is_queued(&demo, &folder);
        assert_eq!((demo.delivered_now(point).len(), reports(&demo)), (0, 1), "{point}");
        assert_eq!(names(&folder), ["x.bad", "x.reason"], "{point}");
    }
}

/// A loss of power may leave a file under any name that it had, with another inode and other times.
#[test]
fn a_file_that_comes_back_as_it_was_taken_is_known_by_its_name_alone() {
    let (mut demo, folder) = pickup("alice");
    demo.stop();
    let text = message("alice@example.com", "bob@example.com", "came back");
    put(&folder, "x.eml", &text);
    if !die_at(&mut demo, "folder.after_accept") {
        return;
    }
    let taken = names(&folder).remove(0);
    fs::remove_file(folder.join(&taken)).unwrap();
    put(&folder, &taken, &text);
    // The same text under another name is another message.
    put(&folder, "y.eml", &text);
    demo.start_again();
    wait_until_empty(&folder);
    wait_until_nothing_is_queued(&demo, &folder);
    assert_eq!(demo.delivered_now("came back").len(), 2);
}

/// What the names of taken files end with: the first octets of the connector's GUID.
fn tag(demo: &Demo) -> String {
    let shown = demo.procura(&["connector", "receive", "get", "Files", "--format", "json"]).ok();
    let guid = shown.split_once("\"guid\":").unwrap().1.trim_start_matches([' ', '"']);
    [6, 4, 2, 0].map(|at| &guid[at..at + 2]).concat()
}

/// Locked by a backup, or by somebody who looks at it.
#[test]
fn a_taken_file_that_is_locked_when_the_server_starts_is_sent_when_it_is_free() {
    let (mut demo, folder) = pickup("alice");
    let taken = format!("x.01M8228N4W2JST6Q6SG9FHTPNC.{}.tmp", tag(&demo));
    demo.stop();
    put(&folder, &taken, &message("alice@example.com", "bob@example.com", "locked"));
    let locked = fs::File::open(folder.join(&taken)).unwrap();
    locked.lock().unwrap();
    demo.start_again();
    demo.server().wait_for_output("a file is locked; trying again");
    // What comes after it does not wait for it.
    put(&folder, "y.eml", &message("alice@example.com", "bob@example.com", "not locked"));
    demo.delivered("not locked");
    assert!(demo.delivered_now("locked").is_empty());
    drop(locked);
    demo.delivered("locked");
    wait_until_empty(&folder);
}

#[test]
fn what_could_not_be_set_aside_is_set_aside_when_it_can_be() {
    let (mut demo, folder) = pickup("bob");
    let bad = |number| folder.join(if number == 0 { "x.bad".into() } else { format!("x.{number}.bad") });
    (0..1000).for_each(|number| fs::write(bad(number), "somebody's").unwrap());
    put(&folder, "x.eml", &message("ceo@example.com", "alice@example.com", "refused"));
    demo.server().wait_for_output("cannot be set aside");
    fs::remove_file(bad(0)).unwrap();
    assert!(reason(&folder, "x").contains("550 5.7.1"));
    wait_until_nothing_is_queued(&demo, &folder);
    wait_for("a report", &folder, || (reports(&demo) > 0).then_some(()));
    assert_eq!(reports(&demo), 1);
}

#[track_caller]
fn wait_until_nothing_is_queued(demo: &Demo, folder: &Path) {
    wait_for("an empty queue", folder, || {
        let listed = demo.procura(&["queue", "list", "--format", "json"]).ok();
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        listed["rows"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
}

#[test]
fn a_file_whose_leaving_was_interrupted_is_left_once() {
    for point in ["drop.before_rename", "drop.after_rename"] {
        let (mut demo, pickup) = pickup("alice");
        let drop = folder(&demo, "drop");
        let new = ["connector", "send", "new", "Fax", "--address-space", "fax.example.net", "--drop"];
        demo.procura(&[&new[..], &[drop.to_str().unwrap()]].concat()).ok();
        demo.stop();
        put(&pickup, "x.eml", &message("alice@example.com", "one@fax.example.net", point));
        if !die_at(&mut demo, point) {
            return;
        }
        demo.start_again();
        wait_for("a whole file", &drop, || {
            (names(&drop).len() == 1 && !names(&drop)[0].starts_with('.')).then_some(())
        });
        // The outcome is durable: nothing more can come. Not by `trace`, whose records of the last moment a crash may take.
        wait_until_nothing_is_queued(&demo, &drop);
        assert_eq!(names(&drop).len(), 1, "{point}: {:?}", names(&drop));
    }
}

#[test]
fn more_files_than_a_minute_may_have_wait_for_the_next() {
    let (demo, folder) = pickup("alice");
    let set = ["connector", "receive", "set", "Files"];
    demo.procura(&[&set[..], &["--files-per-minute", "1", "--enabled", "false"]].concat()).ok();
    put(&folder, "1.eml", &message("alice@example.com", "bob@example.com", "first"));
    put(&folder, "2.eml", &message("alice@example.com", "bob@example.com", "second"));
    demo.procura(&[&set[..], &["--enabled", "true"]].concat()).ok();
    demo.delivered("first");
    wait_for("one file", &folder, || (names(&folder) == ["2.eml"]).then_some(()));
    assert!(demo.delivered_now("second").is_empty());
    // A change counts at once, also while the folder rests.
    demo.procura(&[&set[..], &["--files-per-minute", "0"]].concat()).ok();
    demo.delivered("second");
}

/// Landlock: what the directory names when the server starts is reached, and nothing else outside of its data.
#[test]
fn in_the_sandbox_folders_are_reached_that_are_named_when_the_server_starts() {
    let mut demo = Demo::start_with("[node]\nsandbox = true\n");
    if demo.server().output().contains("this kernel has no landlock") {
        assert!(std::env::var_os("CI").is_none(), "there is no landlock");
        return;
    }
    // Not below /tmp, which is always allowed.
    let binaries = std::env::current_exe().unwrap();
    let place = tempfile::tempdir_in(binaries.parent().unwrap()).unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o750)).unwrap();
    connector(&demo, &["--pickup", place.path().to_str().unwrap(), "--submit-as", "alice"]);
    put(place.path(), "x.eml", &message("alice@example.com", "bob@example.com", "in the sandbox"));
    demo.server().wait_for_output("reaches only folders that connectors named when it started");
    let shown = demo.procura(&["connector", "receive", "get", "Files"]).ok();
    assert!(shown.contains("it is out of service") && shown.contains("restart it"), "{shown}");
    demo.stop();
    demo.start_again();
    demo.delivered("in the sandbox");
}

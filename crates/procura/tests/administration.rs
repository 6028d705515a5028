//! Commands reach a running server or do it themselves, as the right user, and leave nothing of root's behind.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;

use common::{Demo, Server, command, finish, on};

/// Both for a server that runs and for one that does not.
fn running_and_stopped(test: impl Fn(&Demo)) {
    let mut demo = Demo::start();
    test(&demo);
    let mut stopped = Demo::start();
    stopped.stop();
    test(&stopped);
    assert_eq!(demo.stop(), 0);
}

#[test]
fn a_user_is_added_changed_and_removed() {
    running_and_stopped(|demo| {
        demo.run(&["user", "add", "zoe", "--display-name", "Zoe Zander", "--ou", "OU=Staff", "--mailbox"]).ok();
        demo.run(&["user", "set", "zoe", "--add-address", "zz@example.com", "--disable"]).ok();
        let users = demo.run(&["--format", "json", "user", "list"]).json();
        let zoe = users["rows"].as_array().unwrap().iter().find(|row| row["name"] == "EXAMPLE\\zoe").unwrap().clone();
        assert_eq!(zoe["dn"], "CN=Zoe Zander,OU=Staff,DC=example,DC=com");
        assert_eq!(zoe["addresses"], serde_json::json!(["zoe@example.com", "zz@example.com"]));
        assert_eq!((&zoe["enabled"], &zoe["mailbox"]), (&false.into(), &true.into()));
        demo.run(&["user", "remove", "zoe"]).ok();
        assert!(!demo.run(&["user", "list"]).ok().contains("zoe"));
    });
}

#[test]
fn a_group_has_members_through_nested_groups() {
    running_and_stopped(|demo| {
        demo.run(&["group", "add", "Writers", "--member", "bob"]).ok();
        demo.run(&["group", "member", "add", "Sales Seniors", "Writers"]).ok();
        let members = demo.run(&["group", "member", "list", "Sales Seniors", "--recursive"]).ok();
        assert!(members.contains("EXAMPLE\\bob") && members.contains("EXAMPLE\\Writers"), "{members}");
        demo.run(&["group", "member", "remove", "Sales Seniors", "Writers"]).ok();
        assert!(!demo.run(&["group", "member", "list", "Sales Seniors", "--recursive"]).ok().contains("bob"));
    });
}

#[test]
fn a_grant_counts_and_is_listed_until_it_is_taken_away() {
    running_and_stopped(|demo| {
        let check = || demo.run(&["check", "--as", "bob", "--from", "ceo@example.com"]).code;
        assert_eq!(check(), 1);
        demo.run(&["permission", "add", "ceo", "--user", "bob", "--right", "Send As"]).ok();
        assert_eq!(check(), 0);
        let listed = demo.run(&["permission", "get", "ceo", "--user", "bob"]).ok();
        assert!(listed.contains("allow  EXAMPLE\\bob  Send-As"), "{listed}");
        demo.run(&["permission", "remove", "ceo", "--user", "bob", "--right", "Send As"]).ok();
        assert_eq!(check(), 1);
    });
}

#[test]
fn the_command_that_a_refusal_proposes_mends_it() {
    let demo = Demo::start();
    let refused = demo.run(&["--format", "json", "check", "--as", "bob", "--from", "ceo@example.com"]);
    let record: serde_json::Value = serde_json::from_str(&refused.out).unwrap();
    let proposed = record["missing"]["command"].as_str().unwrap().to_owned();
    let run = proposed.replacen("procura", "\"$0\" --data \"$1\"", 1);
    let shell = std::process::Command::new("sh")
        .args(["-c", &run, env!("CARGO_BIN_EXE_procura")])
        .arg(demo.data())
        .output()
        .unwrap();
    assert!(shell.status.success(), "{proposed}: {}", String::from_utf8_lossy(&shell.stderr));
    demo.run(&["check", "--as", "bob", "--from", "ceo@example.com"]).ok();
}

#[test]
fn the_command_that_is_proposed_against_a_denial_mends_it() {
    let demo = Demo::start();
    let send_as = ["--user", "bob", "--right", "Send As", "--deny"];
    for more in [&["OU=Staff", "--inherit-to", "user"][..], &["ceo"], &["ceo", "--inheritance", "all"]] {
        let deny = [&["permission", "add"], &send_as[..], more].concat();
        demo.run(&deny).ok();
        let grant = ["permission", "add", "OU=Staff", "--user", "bob", "--right", "Send As", "--inherit-to", "user"];
        demo.run(&grant).ok();
        let check = ["check", "--as", "bob", "--from", "ceo@example.com"];
        let refused = demo.run(&check);
        let proposed = refused.out.lines().find_map(|line| line.split_once("  procura ")).unwrap().1.to_owned();
        if proposed == "sd edit 'CN=Carla Owens,OU=Staff,DC=example,DC=com'" {
            // By hand: the line goes.
            let editor = "sed -i /deny.EXAMPLE.bob/d";
            finish(command().env("EDITOR", editor).arg("--data").arg(demo.data()).args(["sd", "edit", "ceo"]), "").ok();
        } else {
            let script = format!("\"$0\" --data \"$1\" {proposed}");
            let mut shell = std::process::Command::new("sh");
            finish(shell.args(["-c", &script, env!("CARGO_BIN_EXE_procura")]).arg(demo.data()), "").ok();
        }
        assert_eq!(demo.run(&check).code, 0, "{more:?}: {proposed}");
    }
}

#[test]
fn an_entry_of_another_reach_is_named_with_its_options() {
    let demo = Demo::start();
    let options = ["--user", "bob", "--right", "Send As"];
    let run = |what: &str, more: &[&str]| demo.run(&[&["permission", what, "OU=Staff"], &options[..], more].concat());
    run("add", &["--inherit-to", "user"]).ok();
    run("remove", &[]).fails(2, &["no such entry", "add --inherit-to user"]);
    run("remove", &["--inherit-to", "user"]).ok();
    run("remove", &["--inherit-to", "user"]).fails(2, &["no such entry", "procura permission get"]);
}

#[test]
fn a_grant_below_a_container_names_what_it_does_not_reach() {
    let demo = Demo::start();
    let said = demo
        .run(&["permission", "add", "OU=Plant", "--user", "bob", "--right", "Send As", "--inherit-to", "user"])
        .ok();
    assert!(said.contains("OU=Protected,OU=Plant"), "{said}");
    assert_eq!(demo.run(&["check", "--as", "bob", "--from", "scanner1@example.com"]).code, 0);
    assert_eq!(demo.run(&["check", "--as", "bob", "--from", "press1@example.com"]).code, 1);
}

#[test]
fn a_grant_on_a_protected_account_warns() {
    let demo = Demo::start();
    let said = demo.run(&["permission", "add", "admin", "--user", "bob", "--right", "Send As"]).ok();
    assert!(said.contains("AdminSDHolder"), "{said}");
}

#[test]
fn domains_are_added_changed_and_removed() {
    running_and_stopped(|demo| {
        demo.run(&["domain", "add", "example.org", "--alias-of", "example.com"]).ok();
        let check = |from: &str| demo.run(&["check", "--as", "bob", "--from", from]).code;
        assert_eq!(check("bob@example.org"), 0);
        demo.run(&["domain", "set", "example.org", "--alias-of", ""]).ok();
        assert_eq!(check("bob@example.org"), 1);
        demo.run(&["domain", "remove", "example.org"]).ok();
        assert!(!demo.run(&["domain", "list"]).ok().contains("example.org"));
    });
}

#[test]
fn mailboxes_and_delegates_are_listed() {
    let demo = Demo::start();
    assert!(demo.run(&["mailbox", "list"]).ok().contains("EXAMPLE\\besadmin"));
    let delegates = demo.run(&["send-on-behalf", "get", "ceo"]).ok();
    assert!(delegates.contains("EXAMPLE\\alice") && delegates.contains("EXAMPLE\\dave"), "{delegates}");
    let rights = demo.run(&["mailbox-permission", "get", "ceo"]).ok();
    assert!(rights.contains("EXAMPLE\\erin") && rights.contains("full-access"), "{rights}");
}

#[test]
fn the_status_says_whether_a_server_runs() {
    let mut demo = Demo::start();
    let status = demo.run(&["--format", "json", "status"]).json();
    assert_eq!((&status["running"], &status["mailboxes"]), (&true.into(), &13.into()));
    demo.stop();
    assert_eq!(demo.run(&["--format", "json", "status"]).json()["running"], false);
}

#[test]
fn an_import_is_tried_out_without_changing_anything() {
    let demo = Demo::start();
    let text = "dn: CN=Zoe,CN=Users,DC=example,DC=com\nobjectClass: user\nsAMAccountName: zoe\nmail: zoe@example.com\n";
    let (ldif, map) = (demo.file("zoe.ldif", text), demo.file("map.toml", "proxyAddresses = \"mail\"\n"));
    let (ldif, map) = (ldif.to_str().unwrap(), map.to_str().unwrap());
    demo.run(&["import", ldif, "--map", map, "--dry-run"]).ok();
    assert!(!demo.run(&["user", "list"]).ok().contains("zoe"));
    assert!(demo.run(&["import", ldif, "--map", map]).ok().contains("1 added"));
    assert!(demo.run(&["user", "list"]).ok().contains("zoe@example.com"));
    assert!(demo.run(&["import", ldif, "--map", map]).ok().contains("0 added"), "importing twice adds nothing");
}

#[test]
fn nothing_in_the_data_directory_is_readable_by_others() {
    let demo = Demo::start();
    demo.run(&["user", "add", "zoe"]).ok();
    each_below(&demo.data(), &mut |path, meta| {
        let mode = meta.permissions().mode() & 0o777;
        let public = path.extension().is_some_and(|extension| extension == "pem");
        assert!(mode & 0o077 == 0 || public, "{}: {mode:o}", path.display());
    });
}

#[test]
fn root_leaves_no_files_of_its_own_in_somebodys_directory() {
    let Some(owner) = other_user() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(owner), Some(owner)).unwrap();
    finish(command().arg("init").arg(&data), "").ok();
    on(&data, &["user", "add", "zoe", "--mailbox"], "").ok();
    each_below(&data, &mut |path, meta| assert_eq!(meta.uid(), owner, "{}", path.display()));
}

#[test]
fn a_user_who_is_not_listed_may_not_administer() {
    let Some(stranger) = other_user() else { return };
    let (folder, server) = shared_server("");
    let socketed = finish(as_user(stranger, &folder.path().join("procura.toml")).args(["user", "add", "mallory"]), "");
    socketed.fails(2, &["may not administer", "[admin] accounts"]);
    server.stop();
}

#[test]
fn a_listed_user_may_do_what_the_account_may_do() {
    let Some(stranger) = other_user() else { return };
    let (folder, server) = shared_server(&format!("accounts = {{ {stranger} = \"EXAMPLE\\\\helper\" }}\n"));
    let config = folder.path().join("procura.toml");
    let data = folder.path().join("data");
    on(&data, &["ou", "add", "Staff"], "").ok();
    on(&data, &["user", "add", "helper"], "").ok();
    let add = |name: &str| finish(as_user(stranger, &config).args(["user", "add", name, "--ou", "OU=Staff"]), "");
    add("mallory").fails(2, &["EXAMPLE\\helper may not create an object below", "OU=Staff"]);
    on(&data, &["permission", "add", "OU=Staff", "--user", "helper", "--right", "create-child"], "").ok();
    add("nick").ok();
    server.stop();
}

/// A server on an organization of its own, whose socket and configuration everybody can reach.
fn shared_server(admin: &str) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    finish(command().args(["init", "--domain", "example.com"]).arg(&data), "").ok();
    let (config, socket) = (folder.path().join("procura.toml"), folder.path().join("admin.sock"));
    let text = format!(
        "[node]\nhostname = \"elsewhere.example.com\"\ndata = \"{}\"\n[admin]\nsocket = \"{}\"\n{admin}",
        data.display(),
        socket.display()
    );
    fs::write(&config, &text).unwrap();
    // The same for those who name the data directory; and no ports below 1024 that the machine may use.
    fs::write(data.join("procura.toml"), &text).unwrap();
    let listed = on(&data, &["--format", "json", "connector", "receive", "get"], "").json();
    for connector in listed["rows"].as_array().unwrap() {
        let (name, port) = (connector["name"].as_str().unwrap(), common::free().to_string());
        on(&data, &["connector", "receive", "set", name, "--bindings", &port], "").ok();
    }
    let server = Server::start(command().args(["serve", "--config"]).arg(&config));
    (folder, server)
}

/// A command of another user. It runs a copy beside the configuration: a checkout below a home directory can be closed to
/// everybody else.
fn as_user(uid: u32, config: &Path) -> std::process::Command {
    let original = command();
    let copy = config.with_file_name("procura");
    if !copy.exists() {
        fs::copy(original.get_program(), &copy).unwrap();
    }
    let mut command = std::process::Command::new(copy);
    for (name, value) in original.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir("/").uid(uid).gid(uid).arg("--config").arg(config);
    command
}

/// A user that is not this one; none where this is not root, who alone can become another.
fn other_user() -> Option<u32> {
    if rustix::process::geteuid().is_root() {
        return Some(65534);
    }
    eprintln!("skipped: only root can become another user");
    None
}

fn each_below(folder: &Path, check: &mut dyn FnMut(&Path, &fs::Metadata)) {
    let meta = fs::symlink_metadata(folder).unwrap();
    check(folder, &meta);
    if meta.is_dir() {
        for entry in fs::read_dir(folder).unwrap() {
            each_below(&entry.unwrap().path(), check);
        }
    }
}

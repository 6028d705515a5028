//! Wrong input gets an answer that says what is wrong, where, and what to do; nothing is lost.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::net::TcpListener;

use common::{Demo, command, finish, on, procura};

#[test]
fn a_syntax_error_in_the_configuration_is_shown_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("procura.toml");
    fs::write(&file, "[log]\nlevel = \"info\"\n\n[delivery]\nexpire_hours = = 3\n").unwrap();
    procura(&["serve", "--config", file.to_str().unwrap()]).fails(2, &["procura.toml:5", "help"]);
    procura(&["config", "check", file.to_str().unwrap()]).fails(2, &["procura.toml:5", "help"]);
}

#[test]
fn a_misspelt_key_is_shown_with_its_line_and_the_key_that_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("procura.toml");
    fs::write(&file, "[log]\nlevel = \"info\"\nlevle = \"debug\"\n").unwrap();
    procura(&["serve", "--config", file.to_str().unwrap()])
        .fails(2, &["procura.toml:3", "levle", "did you mean `level`"]);
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let finished = procura(&["serve", "--config", "/nonexistent/procura.toml"]);
    finished.fails(2, &["/nonexistent/procura.toml", "help"]);
    assert_eq!(finished.err.matches("No such file").count(), 1, "{}", finished.err);
}

#[test]
fn a_section_that_stands_twice_is_shown_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("procura.toml");
    fs::write(&file, "[http]\n\n[http]\nlisten = \"127.0.0.1:8025\"\n").unwrap();
    let file = file.to_str().unwrap();
    procura(&["config", "check", file]).fails(2, &["procura.toml:3", "write the keys under the one"]);
}

#[test]
fn who_is_told_of_alarms_and_has_no_address_is_shown_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("procura.toml");
    fs::write(&file, "[alarms]\nnotify = [\"bob@example.com\", \"bob\"]\n").unwrap();
    procura(&["config", "check", file.to_str().unwrap()]).fails(2, &["procura.toml:2", "`bob` is no mail address"]);
}

#[test]
fn a_level_of_the_log_that_is_none_is_shown_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("procura.toml");
    fs::write(&file, "[log]\nlevel = \"loud===\"\n").unwrap();
    procura(&["config", "check", file.to_str().unwrap()]).fails(2, &["procura.toml:2", "loud===", "write \"info\""]);
}

#[test]
fn a_user_of_the_mapping_that_the_machine_does_not_know_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("procura.toml");
    fs::write(&file, "[admin]\naccounts = { nobody-is-called-that = \"EXAMPLE\\\\bob\" }\n").unwrap();
    procura(&["config", "check", file.to_str().unwrap()]).fails(2, &["nobody-is-called-that", "/etc/passwd"]);
}

#[test]
fn a_user_of_the_mapping_who_is_gone_keeps_nobody_from_working() {
    let mut demo = Demo::start();
    demo.stop();
    let gone = "accounts = { nobody-is-called-that = \"EXAMPLE\\\\bob\" }\n";
    fs::write(demo.data().join("procura.toml"), format!("[admin]\n{gone}[local]\nsocket = \"s\"\n{gone}")).unwrap();
    demo.run(&["user", "list"]).ok();
    demo.start_again();
    demo.run(&["user", "list"]).ok();
    assert_eq!(demo.stop(), 0);
}

#[test]
fn listen_flags_without_the_demo_are_refused() {
    procura(&["serve", "--client-listen", "127.0.0.1:2587"]).fails(2, &["--demo"]);
}

#[test]
fn a_data_directory_that_is_not_there_is_named() {
    procura(&["--data", "/nonexistent/data", "user", "list"]).fails(2, &["/nonexistent/data", "procura init"]);
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letters.txt"), "dear").unwrap();
    on(folder.path(), &["serve", "--demo"], "").fails(2, &["is not empty", "--data"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_second_server_on_the_same_data_is_refused_with_the_first_ones_pid() {
    let demo = Demo::start();
    let pid = demo.server.as_ref().unwrap().pid().to_string();
    finish(&mut demo.command(), "").fails(2, &[demo.data().to_str().unwrap(), "in use", &pid]);
}

#[test]
fn a_port_in_use_is_named() {
    let mut demo = Demo::start();
    demo.stop();
    let taken = TcpListener::bind(demo.internet).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    finish(&mut demo.command(), "").fails(2, &["Internet", &port, "in use", "help"]);
}

#[test]
fn a_corrupt_directory_is_refused_and_left_as_it_is() {
    let mut demo = Demo::start();
    demo.stop();
    let database = demo.data().join("directory.db");
    let mut bytes = fs::read(&database).unwrap();
    bytes.iter_mut().take(200).for_each(|byte| *byte ^= 0x5a);
    fs::write(&database, &bytes).unwrap();
    finish(&mut demo.command(), "").fails(2, &["directory.db"]);
    assert_eq!(fs::read(&database).unwrap(), bytes, "the file was changed");
}

#[test]
fn malformed_ldif_is_refused_with_file_and_line_and_changes_nothing() {
    let demo = Demo::start();
    let text = "dn: CN=zoe,CN=Users,DC=example,DC=com\nobjectClass: user\ncn: zoe\nthis is no attribute\n";
    let file = demo.file("wrong.ldif", text);
    demo.run(&["import", file.to_str().unwrap()]).fails(2, &["wrong.ldif", "line 4"]);
    assert!(!demo.run(&["user", "list"]).ok().contains("zoe"));
}

#[test]
fn an_attribute_map_that_is_no_toml_is_refused_with_its_line() {
    let demo = Demo::start();
    let (ldif, map) = (demo.file("empty.ldif", ""), demo.file("map.toml", "mail = \"mail\"\nproxyAddresses mail\n"));
    demo.run(&["import", ldif.to_str().unwrap(), "--map", map.to_str().unwrap()]).fails(2, &["map.toml:2"]);
}

#[test]
fn an_unknown_account_is_named() {
    let demo = Demo::start();
    demo.run_with(&["password", "set", "nobody", "--stdin"], "x\n").fails(2, &["nobody"]);
    demo.run(&["user", "set", "nobody", "--disable"]).fails(2, &["nobody"]);
    demo.run(&["check", "--as", "nobody", "--from", "ceo@example.com"]).fails(2, &["nobody"]);
}

#[test]
fn an_empty_password_is_refused() {
    let demo = Demo::start();
    demo.run_with(&["password", "set", "bob", "--stdin"], "\n").fails(2, &["password is empty"]);
}

#[test]
fn a_wrong_password_is_answered_with_535() {
    let demo = Demo::start();
    let client = demo.client.to_string();
    let bench = |password: &str| {
        let fixed = ["--senders", "bob@example.com", "--recipient", "alice@example.com", "--messages", "1"];
        let mut all = vec!["bench", "smtp", &client, "--tls", "--accounts", "bob", "--password", password];
        all.extend(fixed);
        let finished = procura(&all);
        format!("{}{}", finished.out, finished.err)
    };
    assert!(bench("wrong").contains("535 5.7.3 Authentication unsuccessful"), "{}", bench("wrong"));
    assert!(bench("bob-demo").contains("accepted    1 of 1"), "{}", bench("bob-demo"));
}

#[test]
fn an_unknown_right_is_named_with_those_that_are_known() {
    let demo = Demo::start();
    let said = demo.run(&["permission", "add", "ceo", "--user", "bob", "--right", "Sned As"]);
    said.fails(2, &["Sned As", "Send As"]);
}

#[test]
fn a_taken_address_is_refused_with_its_holder() {
    let demo = Demo::start();
    demo.run(&["user", "add", "zoe", "--address", "bob@example.com"]).fails(2, &["bob@example.com"]);
    assert!(!demo.run(&["user", "list"]).ok().contains("zoe"));
}

#[test]
fn the_demo_does_not_touch_an_organization_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("own");
    finish(command().args(["init", "--domain", "example.net"]).arg(&data), "").ok();
    on(&data, &["serve", "--demo"], "").fails(2, &["not the demo"]);
}

#[test]
fn init_does_not_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("own");
    finish(command().arg("init").arg(&data), "").ok();
    finish(command().arg("init").arg(&data), "").fails(2, &["already"]);
}

#[test]
fn an_empty_directory_is_refused_by_name_and_left_as_it_is() {
    let (_folder, data) = common::organization(&[]);
    let database = data.join("directory.db");
    let _ = fs::remove_file(data.join("directory.db-wal"));
    fs::write(&database, "").unwrap();
    let data = data.to_str().unwrap();
    for command in [&["status"][..], &["user", "list"], &["serve"]] {
        let arguments: Vec<&str> = ["--data", data].iter().chain(command).copied().collect();
        procura(&arguments).fails(2, &["directory.db is empty", "procura --data DIR restore FILE"]);
        assert_eq!(fs::metadata(&database).unwrap().len(), 0, "{command:?}");
    }
}

#[test]
fn a_directory_that_is_missing_where_a_server_was_at_work_is_refused_by_name_and_not_begun() {
    let (_folder, data) = common::organization(&[]);
    for name in ["directory.db", "directory.db-wal", "directory.db-shm"] {
        let _ = fs::remove_file(data.join(name));
    }
    fs::create_dir(data.join("queue")).unwrap();
    for command in ["status", "serve"] {
        procura(&["--data", data.to_str().unwrap(), command]).fails(2, &["directory.db is missing", "procura init"]);
        assert!(!data.join("directory.db").exists(), "{command}");
    }
}

#[test]
fn the_status_of_a_data_directory_without_an_organization_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let said = on(folder.path(), &["status"], "").ok();
    assert!(said.contains("problem     there is no organization"), "{said}");
}

#[test]
fn an_init_that_was_interrupted_is_repeated() {
    for state in ["no directory", "an empty file", "tables and nothing in them"] {
        let (_folder, data) = common::organization(&[]);
        let configuration = fs::read_to_string(data.join("procura.toml")).unwrap();
        for name in ["directory.db", "directory.db-wal", "directory.db-shm"] {
            let _ = fs::remove_file(data.join(name));
        }
        let database = data.join("directory.db");
        match state {
            "an empty file" => fs::write(&database, "").unwrap(),
            "tables and nothing in them" => drop(store::DirectoryStore::open(&database).unwrap()),
            _ => {}
        }
        procura(&["init", data.to_str().unwrap(), "--domain", "example.com"]).ok();
        assert_eq!(fs::read_to_string(data.join("procura.toml")).unwrap(), configuration, "{state}");
        let status = on(&data, &["status", "--format", "json"], "").json();
        assert_eq!(status["connectors"].as_array().unwrap().len(), 2, "{state}: {status}");
        assert!(status["connectors"].to_string().contains("Default MAIL"), "{state}: {status}");
    }
}

#[test]
fn an_init_of_a_domain_that_failed_is_repeated_and_leaves_organizations_alone() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "a password").unwrap();
    let init = |data: &std::path::Path| {
        let (data, password) = (data.to_str().unwrap(), password.to_str().unwrap());
        let of_nobody = ["--ldap", "ldaps://127.0.0.1:1", "--ldap-account", "svc", "--ldap-password-file", password];
        procura(&[&["init", data][..], &of_nobody].concat())
    };
    let begun = folder.path().join("begun");
    drop(admin::DataDirectory::open(&begun, admin::Absent::Create).unwrap());
    drop(store::DirectoryStore::open(&begun.join("directory.db")).unwrap());
    init(&begun).fails(2, &["127.0.0.1", "nothing was created"]);
    let (_folder, own) = common::organization(&[]);
    init(&own).fails(2, &["holds an organization already"]);
    fs::remove_file(own.join("procura.toml")).unwrap();
    fs::create_dir(own.join("queue")).unwrap();
    init(&own).fails(2, &["holds an organization already"]);
}

#[test]
fn init_makes_nothing_new_where_an_organization_was_at_work() {
    let (_folder, data) = common::organization(&[]);
    fs::write(data.join("directory.db"), "").unwrap();
    fs::create_dir(data.join("queue")).unwrap();
    procura(&["init", data.to_str().unwrap()]).fails(2, &["holds an organization already"]);
    assert_eq!(fs::metadata(data.join("directory.db")).unwrap().len(), 0);
}

#[test]
fn init_leaves_an_organization_that_never_ran_alone() {
    let (_folder, data) = common::organization(&["zoe"]);
    fs::remove_file(data.join("procura.toml")).unwrap();
    procura(&["init", data.to_str().unwrap()]).fails(2, &["holds an organization already"]);
    assert!(!data.join("procura.toml").exists());
    on(&data, &["user", "list"], "").ok().find("zoe").unwrap();
}

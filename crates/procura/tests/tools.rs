//! The tools by their commands: files, formats, exit codes.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{Demo, Finished, command, finish};

/// A demo whose server has stopped, and a directory for files.
struct Site {
    demo: Demo,
    folder: tempfile::TempDir,
}

impl Site {
    #[track_caller]
    fn new() -> Site {
        let mut demo = Demo::start();
        demo.stop();
        Site { demo, folder: tempfile::tempdir().unwrap() }
    }

    /// Runs a command in the directory.
    fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = command();
        command.current_dir(self.folder.path()).arg("--data").arg(self.demo.data()).args(arguments);
        finish(&mut command, "")
    }

    /// Files whose names begin so.
    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(prefix);
        let mut files: Vec<_> = entries.filter(named).collect();
        files.sort();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a command printed, as a file.
    #[track_caller]
    fn save(&self, name: &str, arguments: &[&str]) -> String {
        std::fs::write(self.path(name), self.run(arguments).ok()).unwrap();
        name.to_owned()
    }

    fn check(&self, who: &str, from: &str) -> i32 {
        self.run(&["check", "--as", who, "--from", from]).code
    }
}

/// UTF-16LE with a byte order mark, as text.
fn unicode(path: &Path) -> String {
    let octets = std::fs::read(path).unwrap();
    assert_eq!(octets[..2], [0xFF, 0xFE], "byte order mark");
    String::from_utf16(&octets[2..].chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect::<Vec<_>>())
        .unwrap()
}

#[test]
fn json_rows_say_who_on_whom_what_whether_and_why() {
    let site = Site::new();
    let answer = site.run(&["--format", "json", "who-can", "send-as", "ceo@example.com"]).json();
    let rows = answer["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["trustee"] == "EXAMPLE\\goodadmin").unwrap();
    assert_eq!(row["target"], "ceo@example.com");
    assert_eq!((&row["right"], &row["effective"], &row["via"]), (&"send-as".into(), &true.into(), &"ace".into()));
    assert_eq!(row["inherited_from"], "OU=Staff,DC=example,DC=com");
}

#[test]
fn json_lines_are_one_row_each() {
    let site = Site::new();
    let out = site.run(&["what-can", "send-as", "goodadmin", "--format", "jsonl"]).ok();
    let rows: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() > 5 && rows.iter().all(|row| row["trustee"] == "EXAMPLE\\goodadmin"), "{out}");
}

#[test]
fn csv_has_the_same_columns_for_every_row() {
    let site = Site::new();
    let out = site.run(&["who-can", "all", "ceo", "--format", "csv"]).ok();
    assert!(out.starts_with("trustee,trustee_sid,target,target_dn,right,deny,effective,via,"), "{out}");
    assert!(out.lines().any(|line| line.starts_with("EXAMPLE\\alice,S-1-5-21-") && line.contains("send-on-behalf")));
}

#[test]
fn a_name_that_begins_like_a_formula_is_text_in_csv() {
    let site = Site::new();
    site.run(&["user", "add", "mallory", "--display-name", "=cmd|' /C calc'!A0", "--address", "m@example.com"]).ok();
    let out = site.run(&["user", "list", "--format", "csv"]).ok();
    assert!(out.contains(",'=cmd|' /C calc'!A0,"), "{out}");
}

#[test]
fn an_unknown_name_ends_with_2_and_an_ambiguous_one_lists_the_candidates() {
    let site = Site::new();
    site.run(&["who-can", "send-as", "nobody"]).fails(2, &["nobody"]);
    for (name, ou) in [("twin1", "OU=Staff"), ("twin2", "OU=Plant")] {
        site.run(&["user", "add", name, "--display-name", "Twin", "--ou", ou]).ok();
    }
    site.run(&["who-can", "send-as", "Twin"]).fails(2, &["CN=Twin,OU=Staff", "CN=Twin,OU=Plant"]);
}

#[test]
fn an_export_of_the_separation_audit_is_a_file_of_tabs_and_triple_quotes() {
    let site = Site::new();
    let said = site.run(&["audit", "separation", "export"]).ok();
    let [file] = &site.files("Send_As_Export_")[..] else { panic!("{said}") };
    let name = file.file_stem().unwrap().to_str().unwrap().trim_start_matches("Send_As_Export_").to_owned();
    let parts: Vec<&str> = name.split('_').collect();
    assert!(parts.len() == 3 && parts[1].len() == 2 && parts[2].len() == 2, "{name}");
    assert!(!parts[0].starts_with('0') || parts[0] == "0", "hours without a zero before: {name}");
    let text = unicode(file);
    let line = text.lines().find(|line| line.contains("EXAMPLE\\erin")).unwrap();
    let begins = "\"\"\"Carla Owens\"\"\"\t\"\"\"EXAMPLE\\erin\"\"\"\t\"\"\"Erin Ellis\"\"\"\t\"\"\"Has Delegates\"\"\"\t\"\"\"Enabled\"\"\"\t";
    assert!(line.starts_with(begins), "{line}");
    assert!(text.ends_with("\r\n"));
    assert_eq!(site.files("Send_As_Errors_"), Vec::<PathBuf>::new());
}

#[test]
fn a_reviewed_export_is_imported_undone_and_imported_again() {
    let site = Site::new();
    site.run(&["audit", "separation", "export"]).ok();
    let file = site.files("Send_As_Export_").remove(0);
    let text = unicode(&file);
    let erin: String =
        text.lines().filter(|line| line.contains("EXAMPLE\\erin")).map(|line| format!("{line}\r\n")).collect();
    // As Find.exe writes it: a header line, and no longer Unicode.
    std::fs::write(site.path("erin.txt"), format!("\r\n---------- {}\r\n{erin}", file.display())).unwrap();
    let said = site.run(&["audit", "separation", "import", "erin.txt"]);
    assert!(said.err.contains("Find.exe"), "{}", said.err);
    let said = said.ok();
    assert!(said.contains("granted 1 times"), "{said}");
    assert_eq!((site.check("erin", "ceo@example.com"), site.check("besadmin", "ceo@example.com")), (0, 1));
    let undo = said.split('`').nth(1).unwrap().to_owned();
    site.run(&undo.split(' ').skip(1).collect::<Vec<_>>()).ok();
    assert_eq!(site.check("erin", "ceo@example.com"), 1);
    assert!(site.run(&["audit", "separation", "import", "erin.txt"]).ok().contains("granted 1 times"));
    assert!(site.run(&["audit", "separation", "import", "erin.txt"]).ok().contains("granted 0 times"));
}

#[test]
fn what_a_run_could_not_do_goes_to_an_error_file_with_the_stamp_of_the_export() {
    let site = Site::new();
    site.run(&["audit", "separation", "export"]).ok();
    let file = site.files("Send_As_Export_").remove(0);
    let done = site.run(&["audit", "separation", "import", file.to_str().unwrap()]);
    assert_eq!(done.code, 1, "something was left undone: {}", done.err);
    let [errors] = &site.files("Send_As_Errors_")[..] else { panic!("{}", done.err) };
    let stamp = |path: &Path| path.file_stem().unwrap().to_str().unwrap()[15..].to_owned();
    assert_eq!(stamp(errors), stamp(&file));
    let text = unicode(errors);
    assert!(text.contains("\"\"\"Admin\"\"\"") && text.contains("AdminSDHolder"), "{text}");
}

#[test]
fn a_tried_run_leaves_no_files_and_no_changes() {
    let site = Site::new();
    let tried = site.run(&["audit", "separation", "set-all", "--dry-run"]);
    assert!(tried.out.contains("nothing was changed") && tried.out.contains("EXAMPLE\\erin"), "{}", tried.out);
    assert_eq!(site.files("Send_As_"), Vec::<PathBuf>::new());
    assert_eq!(site.check("erin", "ceo@example.com"), 1);
}

#[test]
fn rows_of_the_separation_audit_go_to_standard_output_as_csv() {
    let site = Site::new();
    let out = site.run(&["audit", "separation", "export", "--format", "csv"]).ok();
    assert!(out.starts_with("owner,account,account_name,has_delegates,enabled,owner_dn,"), "{out}");
    assert_eq!(site.files("Send_As_"), Vec::<PathBuf>::new());
}

#[test]
fn exports_of_any_format_compare_and_differences_end_with_1() {
    let site = Site::new();
    let before = site.save("before.csv", &["audit", "export", "--format", "csv"]);
    let same = site.save("same.jsonl", &["audit", "export", "--format", "jsonl"]);
    assert!(site.run(&["audit", "diff", &before, &same]).ok().contains("nothing differs"));
    site.run(&["permission", "add", "ceo", "--user", "bob", "--right", "Send As"]).ok();
    let after = site.save("after.json", &["audit", "export", "--format", "json"]);
    let differs = site.run(&["audit", "diff", &before, &after, "--format", "jsonl"]);
    assert_eq!(differs.code, 1, "{}", differs.err);
    let rows: Vec<serde_json::Value> = differs.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 1, "{}", differs.out);
    assert_eq!((&rows[0]["change"], &rows[0]["trustee"]), (&"added".into(), &"EXAMPLE\\bob".into()));
}

#[test]
fn a_file_that_is_no_export_is_named() {
    let site = Site::new();
    std::fs::write(site.path("x.csv"), "a,b\r\n1,2\r\n").unwrap();
    let file = site.path("x.csv");
    site.run(&["audit", "diff", file.to_str().unwrap(), "x.csv"]).fails(2, &["x.csv", "does not name the columns"]);
}

#[test]
fn the_report_for_browsers_is_one_file_that_fetches_nothing() {
    let site = Site::new();
    site.run(&["audit", "export", "--html", "report.html"]).ok();
    let text = std::fs::read_to_string(site.path("report.html")).unwrap();
    assert!(text.contains("ceo@example.com") && text.contains("EXAMPLE\\goodadmin"));
    assert!(text.contains("default-src 'none'"));
    for elsewhere in ["http:", "https:", "src=\"", "@import", "url("] {
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn the_report_for_browsers_goes_to_standard_output_as_well() {
    let site = Site::new();
    let text = site.run(&["audit", "export", "--html", "-"]).ok();
    assert!(text.starts_with("<!doctype html>") && text.trim_end().ends_with("</html>"), "{text}");
    assert!(!site.path("-").exists());
}

#[test]
fn a_command_is_tried_out_on_a_copy() {
    let site = Site::new();
    let grant = ["simulate", "--", "permission", "add", "ceo", "--user", "bob", "--right", "Send As"];
    let said = site.run(&grant).ok();
    assert!(said.contains("gains  EXAMPLE\\bob  send-as  ceo@example.com"), "{said}");
    assert_eq!(site.check("bob", "ceo@example.com"), 1);
    let answer = site.run(&[&["--format", "json"], &grant[..]].concat()).json();
    assert_eq!(answer["gained"][0]["trustee"], "EXAMPLE\\bob");
}

#[test]
fn a_command_that_cannot_be_tried_out_ends_with_2() {
    let site = Site::new();
    site.run(&["simulate", "--", "status"]).ok();
    site.run(&["simulate", "--", "init"]).fails(2, &["cannot be tried out"]);
    site.run(&["simulate", "--", "permission", "grant"]).fails(2, &["unrecognized subcommand"]);
}

#[test]
fn any_change_is_only_shown_with_dry_run() {
    let site = Site::new();
    for change in [
        &["user", "add", "zed", "--mailbox"][..],
        &["user", "remove", "bob"],
        &["group", "member", "add", "Sales Seniors", "bob"],
        &["mailbox-permission", "add", "ceo", "--user", "bob"],
        &["send-on-behalf", "add", "ceo", "bob"],
        &["domain", "add", "example.org"],
        &["database", "set", "Mailbox Database", "--legacy-send-as", "true"],
        &["service-account", "grant", "goodadmin"],
    ] {
        let before = site.run(&["status", "--format", "json"]).json()["directory_version"].clone();
        let said = site.run(&[change, &["--dry-run"]].concat()).ok();
        assert!(said.contains("nothing was changed"), "{change:?}: {said}");
        assert_eq!(site.run(&["status", "--format", "json"]).json()["directory_version"], before, "{change:?}");
    }
}

#[test]
fn a_change_is_in_the_history_and_undone_by_its_version() {
    let site = Site::new();
    site.run(&["permission", "add", "ceo", "--user", "bob", "--right", "Send As", "--comment", "for the move"]).ok();
    let answer = site.run(&["history", "--object", "ceo", "--since", "1h", "--format", "json"]).json();
    let row = &answer["rows"][0];
    assert_eq!((&row["comment"], &row["author"]), (&"for the move".into(), &"BUILTIN\\Administrators".into()));
    let version = row["version"].to_string();
    site.run(&["undo", &version, "--dry-run"]).ok();
    assert_eq!(site.check("bob", "ceo@example.com"), 0);
    site.run(&["undo", &version]).ok();
    assert_eq!(site.check("bob", "ceo@example.com"), 1);
    site.run(&["undo", &version]).fails(2, &["cannot be undone"]);
}

#[test]
fn the_history_in_a_spreadsheet_has_times_that_people_read() {
    let site = Site::new();
    let before = jiff::Timestamp::now();
    site.run(&["permission", "add", "ceo", "--user", "bob", "--right", "Send As"]).ok();
    let csv = site.run(&["history", "--object", "ceo", "--since", "1h", "--format", "csv"]).ok();
    let line = csv.lines().nth(1).unwrap();
    let time: jiff::Timestamp = line.split(',').nth(1).unwrap().parse().unwrap();
    assert!(time.as_millisecond() >= before.as_millisecond(), "{line}");
}

#[test]
fn a_time_that_is_none_is_explained() {
    let site = Site::new();
    site.run(&["history", "--since", "yesterday"]).fails(2, &["`yesterday` is no time", "7d"]);
}

#[test]
fn a_service_account_that_is_not_fit_ends_with_1_and_a_mended_one_with_0() {
    let site = Site::new();
    let check = ["service-account", "check", "goodadmin", "--user", "press1@example.com"];
    let found = site.run(&[&["--format", "json"], &check[..]].concat());
    assert_eq!(found.code, 1, "{}", found.err);
    let answer: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(answer["rows"][0]["reason"], "inheritance-blocked");
    let command = answer["rows"][0]["command"].as_str().unwrap().replacen("procura", "\"$0\" --data \"$1\"", 1);
    let shell = std::process::Command::new("sh")
        .args(["-c", &command, env!("CARGO_BIN_EXE_procura")])
        .arg(site.demo.data())
        .output()
        .unwrap();
    assert!(shell.status.success(), "{command}: {}", String::from_utf8_lossy(&shell.stderr));
    site.run(&check).ok();
}

#[test]
fn a_running_server_answers_the_same() {
    let demo = Demo::start();
    let out = demo.run(&["who-can", "send-as", "ceo", "--expand", "--format", "jsonl"]).ok();
    assert!(out.contains("EXAMPLE\\\\goodadmin"), "{out}");
    assert!(demo.run(&["user", "remove", "bob", "--dry-run"]).ok().contains("nothing was changed"));
    assert_eq!(demo.run(&["check", "--as", "bob", "--from", "bob@example.com"]).code, 0);
}

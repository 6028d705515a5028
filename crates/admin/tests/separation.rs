//! The separation audit (S0: "Finding accounts that have the Full Mailbox Access permission without the Send As
//! permission"), and service accounts (S0, S1).

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response};
use common::{HELPER, ROOT, Site, delegate, full_access, grant, moved, send_as, take, undo};

fn export(site: &Site) -> Vec<op::SeparationRow> {
    export_with(site, op::SeparationExport::default())
}

fn export_with(site: &Site, search: op::SeparationExport) -> Vec<op::SeparationRow> {
    match site.ask(R::SeparationExport(search)) {
        Response::Separation(page) => page.rows,
        other => panic!("{other:?}"),
    }
}

fn pairs(rows: &[op::SeparationRow]) -> Vec<(&str, &str)> {
    rows.iter().map(|row| (row.owner.as_str(), row.account.as_str())).collect()
}

fn lines(rows: &[op::SeparationRow]) -> Vec<op::ImportLine> {
    let line = |(row, number): (&op::SeparationRow, u32)| op::ImportLine {
        line: number,
        owner: row.owner.clone(),
        owner_dn: row.owner_dn.clone(),
        account: row.account.clone(),
        account_sid: row.account_sid.clone(),
    };
    rows.iter().zip(1..).map(line).collect()
}

fn import(site: &Site, lines: Vec<op::ImportLine>) -> op::SeparationApplied {
    applied(site.ask(R::SeparationImport(op::SeparationImport { lines, last: true, ..Default::default() })))
}

fn applied(response: Response) -> op::SeparationApplied {
    match response {
        Response::SeparationApplied(applied) => applied,
        other => panic!("{other:?}"),
    }
}

fn set_all(site: &Site, include_delegates: bool) -> op::SeparationApplied {
    applied(site.ask(R::SeparationSetAll(op::SeparationSetAll { include_delegates, ..Default::default() })))
}

#[test]
fn full_mailbox_access_does_not_include_send_as() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    assert!(!site.may_send_as("max", "zoe"));
    assert_eq!(pairs(&export(&site)), [("zoe", "EXAMPLE\\max")]);
}

#[test]
fn ordinary_delegates_are_not_in_the_export() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    assert_eq!(export(&site), []);
}

#[test]
fn a_super_delegate_is_marked_as_the_owners_delegate() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    site.ask(full_access("zoe", "max"));
    site.ask(full_access("zoe", "helper"));
    let rows = export(&site);
    let marks: Vec<_> = rows.iter().map(|row| (row.account.as_str(), row.has_delegates, row.is_delegate)).collect();
    assert_eq!(marks, [("EXAMPLE\\max", true, true), ("EXAMPLE\\helper", true, false)]);
}

#[test]
fn receive_as_on_a_database_is_full_mailbox_access_to_its_mailboxes() {
    let site = Site::new();
    site.ask(grant("Mailbox Database", "max", "Receive As", false, None));
    let rows = export(&site);
    assert!(pairs(&rows).contains(&("zoe", "EXAMPLE\\max")), "{rows:?}");
    assert!(rows[0].access_from.starts_with("CN=Mailbox Database"), "{rows:?}");
}

#[test]
fn send_as_on_a_database_gives_no_send_as_for_its_users() {
    let site = Site::new();
    site.ask(grant("Mailbox Database", "max", "Send As", false, None));
    assert!(!site.may_send_as("max", "zoe"));
}

#[test]
fn inherited_send_as_makes_an_account_invisible_unless_asked_for() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    site.ask(grant("OU=Staff", "max", "Send As", false, Some("user")));
    assert_eq!(export(&site), []);
    let rows = export_with(&site, op::SeparationExport { inherited: true, ..Default::default() });
    assert_eq!(pairs(&rows), [("zoe", "EXAMPLE\\max")]);
    assert_eq!(rows[0].missing, "inherited only, from OU=Staff,DC=example,DC=com");
}

#[test]
fn inherited_send_as_is_made_explicit_and_survives_a_move() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    site.ask(grant("OU=Staff", "max", "Send As", false, Some("user")));
    let rows = export_with(&site, op::SeparationExport { inherited: true, ..Default::default() });
    assert_eq!(import(&site, lines(&rows)).granted, 1);
    site.ask(moved("zoe", "OU=Plant"));
    assert!(site.may_send_as("max", "zoe"));
}

#[test]
fn send_as_by_inheritance_is_lost_by_objects_that_are_moved() {
    let site = Site::new();
    site.ask(grant("OU=Staff", "max", "Send As", false, Some("user")));
    assert!(site.may_send_as("max", "zoe"));
    site.ask(moved("zoe", "OU=Plant"));
    assert!(!site.may_send_as("max", "zoe"));
}

#[test]
fn the_reviewed_lines_of_an_export_are_granted_and_no_others() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    site.ask(full_access("zoe", "helper"));
    let mut reviewed = lines(&export(&site));
    reviewed.retain(|line| line.account == "EXAMPLE\\max");
    assert_eq!(import(&site, reviewed).granted, 1);
    assert!(site.may_send_as("max", "zoe") && !site.may_send_as("helper", "zoe"));
}

#[test]
fn importing_an_export_again_changes_nothing() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    let reviewed = lines(&export(&site));
    import(&site, reviewed.clone());
    let before = (site.version(), site.records());
    let again = import(&site, reviewed);
    assert_eq!((again.granted, again.unchanged, again.errors.len(), again.version), (0, 1, 0, None));
    assert_eq!((site.version(), site.records()), before);
}

#[test]
fn an_import_is_one_change_and_undone_as_one() {
    let site = Site::new();
    for mailbox in ["zoe", "max"] {
        site.ask(full_access(mailbox, "helper"));
    }
    let before = site.records();
    let version = site.version();
    let applied = import(&site, lines(&export(&site)));
    assert_eq!((applied.granted, applied.version), (2, Some(version + 1)));
    site.ask(undo(version + 1));
    assert_eq!(site.records(), before);
}

#[test]
fn a_file_in_pieces_is_one_change() {
    let site = Site::new();
    for mailbox in ["zoe", "max"] {
        site.ask(full_access(mailbox, "helper"));
    }
    let (version, reviewed) = (site.version(), lines(&export(&site)));
    let first = op::SeparationImport { lines: reviewed[..1].to_vec(), ..Default::default() };
    let run = applied(site.ask(R::SeparationImport(first))).run;
    let rest = op::SeparationImport { run, lines: reviewed[1..].to_vec(), last: true, ..Default::default() };
    assert_eq!(applied(site.ask(R::SeparationImport(rest))).granted, 2);
    assert_eq!(site.version(), version + 1);
}

#[test]
fn one_run_at_a_time_on_a_domain() {
    let site = Site::new();
    let open = op::SeparationImport { lines: Vec::new(), ..Default::default() };
    site.ask(R::SeparationImport(open));
    let (kind, said) = site.fault(ROOT, R::SeparationExport(op::SeparationExport::default()));
    assert_eq!(kind, FaultKind::Conflict);
    assert!(said.contains("under way on DC=example,DC=com"), "{said}");
}

#[test]
fn set_all_leaves_super_delegates_alone() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    site.ask(full_access("zoe", "max"));
    site.ask(full_access("zoe", "helper"));
    let applied = set_all(&site, false);
    assert_eq!((applied.granted, applied.delegates_skipped), (1, 1));
    assert!(site.may_send_as("helper", "zoe") && !site.may_send_as("max", "zoe"));
}

#[test]
fn set_all_includes_super_delegates_when_asked() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    site.ask(full_access("zoe", "max"));
    set_all(&site, true);
    assert!(site.may_send_as("max", "zoe"));
}

#[test]
fn a_grant_on_a_protected_owner_is_an_error_of_the_run() {
    let site = Site::new();
    site.administrator("zoe");
    site.ask(full_access("zoe", "max"));
    let applied = set_all(&site, false);
    assert_eq!(applied.granted, 0);
    assert!(applied.errors[0].reason.contains("AdminSDHolder"), "{applied:?}");
}

#[test]
fn a_denial_is_an_error_of_the_run() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    site.ask(grant("zoe", "max", "Send As", true, None));
    let applied = set_all(&site, false);
    assert_eq!(applied.granted, 0);
    assert!(applied.errors[0].reason.contains("denied"), "{applied:?}");
}

#[test]
fn missing_rights_of_whoever_runs_it_are_errors_of_the_run() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    let lines = lines(&export(&site));
    let request = R::SeparationImport(op::SeparationImport { lines, last: true, ..Default::default() });
    let response = site.service.call(HELPER, "", request).unwrap();
    let applied = applied(response);
    assert_eq!(applied.granted, 0);
    assert!(applied.errors[0].reason.contains("EXAMPLE\\helper may not change permissions"), "{applied:?}");
}

#[test]
fn a_line_that_contradicts_itself_is_an_error_with_its_number() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    let mut reviewed = lines(&export(&site));
    reviewed[0].account = "EXAMPLE\\helper".into();
    let applied = import(&site, reviewed);
    assert_eq!((applied.granted, applied.errors[0].line), (0, 1));
    assert!(applied.errors[0].reason.contains("which of them is meant"), "{applied:?}");
}

#[test]
fn a_line_of_five_fields_is_enough() {
    let site = Site::new();
    let line = op::ImportLine { line: 1, owner: "zoe".into(), account: "EXAMPLE\\max".into(), ..Default::default() };
    assert_eq!(import(&site, vec![line]).granted, 1);
    assert!(site.may_send_as("max", "zoe"));
}

#[test]
fn suppressed_accounts_are_left_out() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    site.ask(full_access("zoe", "helper"));
    let search = op::SeparationExport { suppress: vec!["EXAMPLE\\max".into()], ..Default::default() };
    assert_eq!(pairs(&export_with(&site, search)), [("zoe", "EXAMPLE\\helper")]);
}

#[test]
fn one_account_name_is_suppressed_in_every_domain_whatever_its_case() {
    let site = Site::new();
    site.ask(R::UserAdd(op::UserAdd { name: "Exchange Services".into(), ..Default::default() }));
    site.ask(full_access("zoe", "Exchange Services"));
    assert_eq!(export(&site), [], "the default of S0");
    let search = op::SeparationExport { suppress_name: Some(String::new()), ..Default::default() };
    assert_eq!(export_with(&site, search).len(), 1);
    site.ask(full_access("zoe", "max"));
    let search = op::SeparationExport { suppress_name: Some("\\MAX".into()), ..Default::default() };
    assert_eq!(pairs(&export_with(&site, search)), [("zoe", "EXAMPLE\\Exchange Services")]);
}

#[test]
fn the_suppressed_name_begins_with_a_backslash_and_names_no_domain() {
    let site = Site::new();
    for wrong in ["max", "EXAMPLE\\max", "\\EXAMPLE\\max"] {
        let search = op::SeparationExport { suppress_name: Some(wrong.into()), ..Default::default() };
        assert_eq!(site.fault(ROOT, R::SeparationExport(search)).0, FaultKind::Invalid, "{wrong}");
    }
}

// Service accounts.

fn check(site: &Site, name: &str) -> op::ServiceAccountReport {
    let check = op::ServiceAccountCheck { identity: name.into(), ..Default::default() };
    match site.ask(R::ServiceAccountCheck(check)) {
        Response::ServiceAccount(report) => report,
        other => panic!("{other:?}"),
    }
}

fn reason(report: &op::ServiceAccountReport, user: &str) -> String {
    let row = report.rows.iter().find(|row| row.user == format!("EXAMPLE\\{user}"));
    row.map(|row| row.reason.clone()).unwrap_or_default()
}

/// Runs the command that a row proposes, as far as tests of the service can.
fn mend(site: &Site, row: &op::UncoveredRow) {
    let words: Vec<String> = row.command.split('\'').map(str::to_owned).collect();
    let inherit_to = row.command.contains("--inherit-to user").then_some("user");
    if row.command.starts_with("procura permission remove") {
        site.ask(take(&words[1], &words[3], "Send As", true));
        return;
    }
    assert!(row.command.starts_with("procura permission add"), "{}", row.command);
    site.ask(grant(&words[1], &words[3], "Send As", false, inherit_to));
}

#[test]
fn a_user_whom_nothing_covers_is_named_and_the_proposed_command_mends_it() {
    let site = Site::new();
    let report = check(&site, "helper");
    assert_eq!(reason(&report, "zoe"), "no-entry");
    mend(&site, &report.rows[0]);
    assert!(site.may_send_as("helper", "zoe"));
    assert_eq!(check(&site, "helper").rows, []);
}

#[test]
fn blocked_inheritance_is_named_with_the_unit_and_mended_there() {
    let site = Site::new();
    site.user("locked", Some("OU=Locked,OU=Plant"));
    site.ask(grant("DC=example,DC=com", "helper", "Send As", false, Some("user")));
    let report = check(&site, "helper");
    assert_eq!(reason(&report, "locked"), "inheritance-blocked");
    assert!(report.rows[0].detail.contains("OU=Locked,OU=Plant"), "{report:?}");
    mend(&site, &report.rows[0]);
    assert_eq!(check(&site, "helper").rows, []);
}

#[test]
fn an_explicit_denial_is_named_and_taken_away() {
    let site = Site::new();
    site.ask(grant("DC=example,DC=com", "helper", "Send As", false, Some("user")));
    site.ask(grant("zoe", "helper", "Send As", true, None));
    let report = check(&site, "helper");
    assert_eq!(reason(&report, "zoe"), "explicit-deny");
    mend(&site, &report.rows[0]);
    assert_eq!(check(&site, "helper").rows, []);
}

#[test]
fn a_protected_user_is_covered_by_the_template_only() {
    let site = Site::new();
    site.ask(grant("DC=example,DC=com", "helper", "Send As", false, Some("user")));
    site.administrator("zoe");
    let report = check(&site, "helper");
    assert_eq!(reason(&report, "zoe"), "admin-sd-holder");
    mend(&site, &report.rows[0]);
    site.service.protect().unwrap();
    assert_eq!(check(&site, "helper").rows, []);
}

#[test]
fn a_former_administrator_is_named_as_an_orphan() {
    let site = Site::new();
    site.ask(grant("DC=example,DC=com", "helper", "Send As", false, Some("user")));
    site.administrator("zoe");
    let members = op::Members { group: "Domain Admins".into(), members: vec!["zoe".into()] };
    site.ask(R::MemberRemove(members));
    let report = check(&site, "helper");
    assert_eq!(reason(&report, "zoe"), "admin-sd-holder-orphan");
    mend(&site, &report.rows[0]);
    assert_eq!(check(&site, "helper").rows, []);
}

#[test]
fn a_grant_for_a_service_account_reaches_units_that_inherit_nothing() {
    let site = Site::new();
    site.user("locked", Some("OU=Locked,OU=Plant"));
    site.administrator("max");
    let said =
        site.done(R::ServiceAccountGrant(op::ServiceAccountGrant { identity: "helper".into(), ..Default::default() }));
    assert!(site.may_send_as("helper", "zoe") && site.may_send_as("helper", "locked"));
    assert!(said.contains("EXAMPLE\\max is not reached: protected by AdminSDHolder"), "{said}");
}

#[test]
fn a_grant_for_one_user_is_on_that_user_alone() {
    let site = Site::new();
    let grant = op::ServiceAccountGrant { identity: "helper".into(), user: Some("zoe".into()), under: None };
    site.ask(R::ServiceAccountGrant(grant));
    assert!(site.may_send_as("helper", "zoe") && !site.may_send_as("helper", "max"));
}

#[test]
fn a_service_account_is_a_member_of_domain_users_only() {
    let site = Site::new();
    let memberships =
        |site: &Site| check(site, "helper").tasks.into_iter().find(|task| task.task == "memberships").unwrap();
    assert!(memberships(&site).ok);
    site.group("Writers", &["helper"]);
    let task = memberships(&site);
    assert!(!task.ok && task.detail.contains("EXAMPLE\\Writers"), "{task:?}");
}

#[test]
fn built_in_administrators_make_a_service_account_protected() {
    let site = Site::new();
    let members = op::Members { group: "BUILTIN\\Administrators".into(), members: vec!["helper".into()] };
    site.ask(R::MemberAdd(members));
    let tasks = check(&site, "helper").tasks;
    assert!(tasks.iter().any(|task| task.detail.contains("protected by AdminSDHolder")), "{tasks:?}");
}

#[test]
fn a_person_is_no_separate_account() {
    let site = Site::new();
    let separate =
        |site: &Site| check(site, "helper").tasks.into_iter().find(|task| task.task == "separate-account").unwrap();
    assert!(separate(&site).ok);
    site.ask(delegate("zoe", "helper"));
    assert!(!separate(&site).ok);
}

#[test]
fn send_as_granted_on_each_user_covers_a_service_account() {
    let site = Site::new();
    for user in ["zoe", "max"] {
        site.ask(send_as(user, "helper"));
    }
    let report = check(&site, "helper");
    assert_eq!((report.covered, report.rows), (2, vec![]));
}

//! The directory as a tree, and the descriptor of any object as text: what S2 does with ADSI Edit.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response};
use common::{HELPER, ROOT, Site, grant, request, undo};
use directory::organization::new_object;
use directory::{Change, Class};
use serde_json::json;

#[track_caller]
fn tree(site: &Site, path: Option<&str>, depth: u32) -> Vec<op::TreeRow> {
    let request = R::Browse(op::Browse { path: path.map(str::to_owned), depth: Some(depth), after: None });
    match site.ask(request) {
        Response::Tree(page) => page.rows,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn text(site: &Site, object: &str) -> op::SdText {
    match site.ask(R::SdGet(op::Target { identity: object.to_owned() })) {
        Response::Sd(text) => *text,
        other => panic!("{other:?}"),
    }
}

fn write(object: &str, sddl: &str) -> R {
    request(json!({"op": "sd-set", "identity": object, "sddl": sddl}))
}

/// S2, “To modify Receive connector permissions by using ADSI Edit”.
#[test]
fn a_receive_connector_is_found_by_the_path_of_s2() {
    let site = Site::new();
    let path = "CN=Configuration\\CN=Services\\CN=Microsoft Exchange\\CN=First Organization\\CN=Administrative Groups\\\
                CN=Exchange Administrative Group (FYDIBOHF23SPDLT)\\CN=Servers\\CN=MAIL\\CN=Protocols\\\
                CN=SMTP Receive Connectors";
    let rows = tree(&site, Some(path), 1);
    assert_eq!((rows[0].name.as_str(), rows[1].name.as_str()), ("CN=SMTP Receive Connectors", "CN=Client"));
    let listed =
        site.ask(R::PermissionGet(op::PermissionGet { identity: format!("{path}\\CN=Client"), trustee: None }));
    assert!(matches!(listed, Response::Permissions(permissions) if permissions.dn.starts_with("CN=Client,")));
}

/// S2, “To modify Send connector permissions by using ADSI Edit”, spelled as it is there.
#[test]
fn the_send_connectors_are_found_by_the_path_of_s2() {
    let site = Site::new();
    let path = "CN=Configuration\\CN=Services\\CN=Microsoft Exchange\\CN=First Organization\\CN=Administrative Groups\\\
                CN=Exchange Administrative Group(FYDIBOHF23SPDLT)\\CN=Routing Groups\\CN=Routing Group (DWBGZMFD01QNBJR)\\\
                CN=Connections";
    assert_eq!(tree(&site, Some(path), 0)[0].name, "CN=Connections");
}

#[test]
fn the_tree_begins_with_the_domain_and_goes_as_deep_as_asked() {
    let site = Site::new();
    let rows = tree(&site, None, 1);
    assert_eq!((rows[0].level, rows[0].class.as_str()), (0, "domainDNS"));
    assert!(rows.iter().any(|row| row.name == "CN=Configuration" && row.level == 1));
    assert!(rows.iter().all(|row| row.level <= 1));
    let deep = tree(&site, Some("OU=Plant"), 5);
    assert_eq!(deep[1].name, "OU=Locked");
    assert!(deep[1].protected && !deep[0].protected);
}

#[test]
fn a_long_tree_comes_in_pages() {
    let site = Site::new();
    let snapshot = site.service.snapshot();
    let plant = snapshot.resolve("example.com/Plant").unwrap();
    let parent = snapshot.object(plant).unwrap().guid();
    let unit = |number| {
        let name = format!("u{number:04}");
        Change::Add(new_object(admin::random::new_guid(), parent, Class::OrganizationalUnit, &name))
    };
    site.service.commit_as_system("test", (0..1005).map(unit).collect()).unwrap();
    let ask = |after| {
        let browse = op::Browse { path: Some("OU=Plant".into()), depth: Some(1), after };
        match site.ask(R::Browse(browse)) {
            Response::Tree(page) => page,
            other => panic!("{other:?}"),
        }
    };
    let first = ask(None);
    assert_eq!((first.rows.len(), first.next), (1000, Some(1000)));
    let second = ask(first.next);
    assert_eq!((second.rows.len(), second.next), (7, None));
    assert_ne!(first.rows.last(), second.rows.first());
}

#[test]
fn a_descriptor_read_and_written_back_is_the_same() {
    let site = Site::new();
    site.ask(grant("Client", "zoe", "ms-Exch-SMTP-Submit", false, None));
    let before = site.version();
    for object in ["Client", "zoe", "OU=Locked,OU=Plant", "example.com"] {
        let text = text(&site, object);
        assert!(site.done(write(object, &text.lines)).contains("so already"), "{object}: {}", text.lines);
        assert!(site.done(write(object, &text.sddl)).contains("so already"), "{object}: {}", text.sddl);
    }
    assert_eq!(site.version(), before);
}

#[test]
fn the_text_says_what_each_entry_means_and_what_is_inherited() {
    let site = Site::new();
    site.ask(grant("Client", "zoe", "ms-Exch-SMTP-Submit", true, None));
    let lines = text(&site, "Client").lines;
    assert!(lines.contains("# deny EXAMPLE\\zoe: ms-Exch-SMTP-Submit"), "{lines}");
    assert!(lines.contains("# Inherited") && lines.contains("(from CN=First Organization,"), "{lines}");
}

#[test]
fn an_edited_descriptor_counts_is_logged_and_taken_back() {
    let site = Site::new();
    let submit = "(OA;;CR;a18293f1-0685-4540-aa63-e32df421b3a2;;AN)";
    let text = text(&site, "Client");
    let edited = text.lines.replacen("D:", &format!("D:\n{submit} # mine\n"), 1);
    let simulated = site.simulated(write("Client", &edited));
    let added: Vec<_> = simulated.changes.iter().flat_map(|line| &line.added).collect();
    assert!(added.len() == 1 && added[0].contains("ANONYMOUS"), "{added:?}");
    site.ask(write("Client", &edited));
    let rows = match site
        .ask(R::PermissionGet(op::PermissionGet { identity: "Client".into(), trustee: Some("ANONYMOUS LOGON".into()) }))
    {
        Response::Permissions(permissions) => permissions.rows,
        other => panic!("{other:?}"),
    };
    assert_eq!(rows[0].rights, ["ms-Exch-SMTP-Submit"]);
    site.ask(undo(site.version()));
    assert_eq!(self::text(&site, "Client").sddl, text.sddl);
}

#[test]
fn what_is_no_descriptor_is_refused() {
    let site = Site::new();
    let says = |sddl: &str, words: &str| {
        let (kind, message) = site.fault(ROOT, write("Client", sddl));
        assert!(kind == FaultKind::Invalid && message.contains(words), "{sddl}: {message}");
    };
    says("", "empty");
    says("# nothing but words", "empty");
    says("hello", "no SDDL");
    says("D:(A;;CR;;;NOBODY)", "no SDDL");
    says("O:DA", "no D: part");
}

#[test]
fn inherited_entries_of_a_pasted_descriptor_are_left_out() {
    let site = Site::new();
    let done = site.done(write("Client", "D:(A;;LC;;;AU)(A;ID;GA;;;WD)"));
    assert!(done.contains("1 inherited entries were left out"), "{done}");
    assert!(!text(&site, "Client").sddl.contains("WD"));
}

#[test]
fn a_change_in_between_is_noticed() {
    let site = Site::new();
    let text = text(&site, "Client");
    site.ask(grant("Client", "zoe", "ms-Exch-SMTP-Submit", false, None));
    let stale = json!({"op": "sd-set", "identity": "Client", "sddl": "D:", "from": text.descriptor});
    assert_eq!(site.fault(ROOT, request(stale)).0, FaultKind::Conflict);
}

#[test]
fn writing_a_descriptor_needs_write_dac_and_giving_an_object_away_more() {
    let site = Site::new();
    assert_eq!(site.fault(HELPER, write("zoe", "D:")).0, FaultKind::Denied);
    site.ask(grant("zoe", "helper", "write-dac", false, None));
    let owner_to_others = write("zoe", "O:DUD:(A;;RPWPCRCCDCLCLORCWOWDSDDTSW;;;DA)");
    assert_eq!(site.fault(HELPER, owner_to_others).0, FaultKind::Denied);
    site.service.call(HELPER, "", write("zoe", "D:(A;;LCRPRC;;;AU)")).unwrap();
    assert!(text(&site, "zoe").sddl.contains("(A;;LCRPRC;;;AU)"));
}

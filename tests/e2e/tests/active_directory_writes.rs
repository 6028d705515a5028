//! What is changed here of a real Active Directory domain (Samba) is changed there, and nothing else is.

#![allow(clippy::unwrap_used)]

use std::fs;

use e2e::{DomainController, DomainSite, run_procura, send_as};

const PASSWORD: &str = DomainSite::PASSWORD;
const REFUSED: &str = DomainSite::REFUSED;
const DOMAIN: &str = DomainController::DOMAIN;
const HANNA: &str = "hanna@ad.example.test";
const IVAN: &str = "ivan@ad.example.test";
const GRANT: [&str; 7] = ["permission", "add", IVAN, "--user", HANNA, "--right", "send-as"];
const REVOKE: [&str; 7] = ["permission", "remove", IVAN, "--user", HANNA, "--right", "send-as"];

fn person(name: &str) -> String {
    DomainController::person(name)
}

#[test]
fn a_grant_made_here_is_made_in_the_domain_and_taken_back() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    let mut talk = site.session("hanna");
    let descriptor = || site.controller.descriptor(&person("ivan"));
    let hanna = site.controller.sid(&person("hanna"));
    let before = descriptor();
    assert!(!before.contains(&hanna), "{before}");

    let tried = site.procura(&[&GRANT[..], &["--dry-run"]].concat());
    assert_eq!(tried.code, 0, "{}", tried.all());
    assert_eq!(descriptor(), before, "a dry run writes nothing");

    site.procura(&GRANT).ok();
    let after = descriptor();
    assert!(after.contains(&DomainController::send_as(&hanna)), "{after}");
    // Owner, group and SACL are what they were, and every entry beside ours.
    assert_eq!(after.replace(&DomainController::send_as(&hanna), ""), before);
    let sent = send_as(&mut talk, "ivan");
    assert!(sent.starts_with("250"), "{sent}");

    site.procura(&["undo", &site.last_version()]).ok();
    assert_eq!(descriptor(), before);
    let refused = send_as(&mut talk, "ivan");
    assert!(refused.starts_with(REFUSED), "{refused}");

    site.procura(&GRANT).ok();
    site.procura(&REVOKE).ok();
    assert_eq!(descriptor(), before);
    let refused = send_as(&mut talk, "ivan");
    assert!(refused.starts_with(REFUSED), "{refused}");
}

#[test]
fn a_grant_on_a_unit_reaches_its_people_and_so_does_its_end() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    let mut talk = site.session("hanna");
    let unit = format!("OU=People,{DOMAIN}");
    let change = |what: &str| {
        let arguments = ["permission", what, &unit, "--user", HANNA, "--right", "send-as", "--inherit-to", "user"];
        site.procura(&arguments).ok()
    };
    let hanna = site.controller.sid(&person("hanna"));
    change("add");
    assert!(site.controller.descriptor(&unit).contains(&DomainController::send_as_below(&hanna)));
    let inherited = site.controller.descriptor(&person("ivan"));
    assert!(inherited.contains(&hanna), "the domain controller passes it down: {inherited}");
    let sent = send_as(&mut talk, "ivan");
    assert!(sent.starts_with("250"), "{sent}");
    change("remove");
    assert!(!site.controller.descriptor(&person("ivan")).contains(&hanna));
    let refused = send_as(&mut talk, "ivan");
    assert!(refused.starts_with(REFUSED), "{refused}");
}

#[test]
fn what_somebody_else_changed_meanwhile_stays() {
    let Some(mut site) = DomainSite::start(|controller| controller.add_person("jana")) else { return };
    // What happens there is not seen here.
    site.configure("poll_seconds = 3600\nnotify = false\n");
    site.serve();
    site.until_followed();
    let descriptor = || site.controller.descriptor(&person("ivan"));
    let sid = |name: &str| site.controller.sid(&person(name));
    let (hanna, jana) = (sid("hanna"), sid("jana"));
    site.controller.add_ace(&person("ivan"), &DomainController::send_as(&jana));
    site.procura(&GRANT).ok();
    let both = descriptor();
    assert!(
        both.contains(&DomainController::send_as(&hanna)) && both.contains(&DomainController::send_as(&jana)),
        "{both}"
    );

    // What is to be taken back was taken away there: nothing is written, and it is said.
    let version = site.last_version();
    site.controller.revoke(&person("ivan"), &hanna);
    let refused = site.procura(&["undo", &version]);
    assert!(refused.code != 0, "{}", refused.all());
    let left = descriptor();
    assert!(!left.contains(&hanna) && left.contains(&DomainController::send_as(&jana)), "{left}");
}

#[test]
fn a_change_at_the_same_moment_is_noticed() {
    let Some(site) = DomainSite::start_meddled(|controller| controller.add_person("jana")) else { return };
    site.until_followed();
    let jana = site.controller.sid(&person("jana"));
    site.meddle("hold");
    let refused = std::thread::scope(|scope| {
        let grant = scope.spawn(|| site.procura(&GRANT));
        site.meddler.as_ref().unwrap().wait_until_held();
        // Between reading and writing.
        site.controller.add_ace(&person("ivan"), &DomainController::send_as(&jana));
        site.meddle("pass");
        grant.join().unwrap()
    });
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(refused.all().contains("at the same moment"), "{}", refused.all());
}

#[test]
fn members_are_members_in_the_domain() {
    let Some(site) = DomainSite::start(|controller| {
        controller.samba_tool(&["group", "add", "Staff", "--groupou=OU=People"]);
        let staff = controller.sid(&person("Staff"));
        controller.add_ace(&person("ivan"), &DomainController::send_as(&staff));
    }) else {
        return;
    };
    let mut talk = site.session("hanna");
    let members = || site.controller.values(&person("Staff"), "member");
    let tried = site.procura(&["group", "member", "add", "Staff", HANNA, "--dry-run"]);
    assert_eq!(tried.code, 0, "{}", tried.all());
    assert_eq!(members(), Vec::<String>::new());
    site.procura(&["group", "member", "add", "Staff", HANNA, IVAN]).ok();
    assert_eq!(members().len(), 2);
    let sent = send_as(&mut talk, "ivan");
    assert!(sent.starts_with("250"), "{sent}");
    // Somebody else's change of the same group stays.
    site.controller.samba_tool(&["group", "addmembers", "Staff", "Administrator"]);
    site.procura(&["group", "member", "remove", "Staff", HANNA]).ok();
    let left = members();
    assert!(left.len() == 2 && !left.contains(&person("hanna")), "{left:?}");
    let refused = send_as(&mut talk, "ivan");
    assert!(refused.starts_with(REFUSED), "{refused}");
    site.procura(&["undo", &site.last_version()]).ok();
    assert!(members().contains(&person("hanna")));
}

/// The schema extension of the documentation, for this domain.
fn extend_schema(controller: &DomainController) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/active-directory-schema.ldif");
    controller.modify(&fs::read_to_string(file).unwrap().replace("DC=X", DOMAIN));
}

/// A site whose domain keeps delegates, by the schema extension.
fn with_delegates(prepare: impl FnOnce(&DomainController)) -> Option<DomainSite> {
    let mut site = DomainSite::start(|controller| {
        extend_schema(controller);
        prepare(controller);
    })?;
    let map = "map = { msExchMailboxGuid = \"objectGUID\"";
    site.replace(map, &format!("{map}, publicDelegates = \"procuraDelegates\""));
    site.serve();
    site.until_followed();
    Some(site)
}

#[test]
fn delegates_stand_in_the_domain_where_its_schema_is_extended() {
    let Some(site) = with_delegates(|_| {}) else { return };
    let mut talk = site.session("hanna");
    site.until(&mut talk, REFUSED);

    // Made there.
    let link = |operation: &str| {
        site.controller.modify(&format!(
            "dn: {}\nchangetype: modify\n{operation}: procuraDelegates\nprocuraDelegates: {}\n-\n",
            person("ivan"),
            person("hanna")
        ));
    };
    link("add");
    site.until(&mut talk, "250");
    link("delete");
    site.until(&mut talk, REFUSED);

    // Made here.
    let delegates = || site.controller.values(&person("ivan"), "procuraDelegates");
    site.procura(&["send-on-behalf", "add", IVAN, HANNA]).ok();
    assert_eq!(delegates(), [person("hanna")]);
    site.until(&mut talk, "250");
    site.procura(&["send-on-behalf", "remove", IVAN, HANNA]).ok();
    assert_eq!(delegates(), Vec::<String>::new());
    site.until(&mut talk, REFUSED);
}

#[test]
fn a_delegate_with_all_rights_is_one_change_and_one_undo() {
    let Some(site) = with_delegates(|controller| {
        controller.samba_tool(&["group", "add", "Desk", "--groupou=OU=People"]);
        controller.samba_tool(&["group", "addmembers", "Desk", "hanna"]);
    }) else {
        return;
    };
    let mut talk = site.session("hanna");
    let before = site.controller.descriptor(&person("ivan"));
    // A group: its members are delegates.
    site.procura(&["delegate", "add", IVAN, "Desk", "--send-as", "--full-access"]).ok();
    assert_eq!(site.controller.values(&person("ivan"), "procuraDelegates"), [person("Desk")]);
    let desk = site.controller.sid(&person("Desk"));
    assert!(site.controller.descriptor(&person("ivan")).contains(&DomainController::send_as(&desk)));
    let sent = send_as(&mut talk, "ivan");
    assert!(sent.starts_with("250"), "{sent}");
    let shown = site.procura(&["delegate", "get", IVAN]).ok();
    assert!(shown.contains("Desk"), "{shown}");

    site.procura(&["undo", &site.last_version()]).ok();
    assert_eq!(site.controller.values(&person("ivan"), "procuraDelegates"), Vec::<String>::new());
    assert_eq!(site.controller.descriptor(&person("ivan")), before);
    let refused = send_as(&mut talk, "ivan");
    assert!(refused.starts_with(REFUSED), "{refused}");
}

#[test]
fn delegates_are_kept_here_where_the_schema_has_none() {
    let Some(mut site) = DomainSite::start(|_| {}) else { return };
    let mut talk = site.session("hanna");
    site.procura(&["send-on-behalf", "add", IVAN, HANNA]).ok();
    site.until(&mut talk, "250");
    // Reading everything again leaves them alone.
    site.serve();
    site.until_followed();
    let mut talk = site.session("hanna");
    site.until(&mut talk, "250");
}

#[test]
fn a_document_is_applied_to_the_domain_and_once_is_enough() {
    let Some(site) = with_delegates(|controller| {
        controller.add_person("jana");
        controller.samba_tool(&["group", "add", "Staff", "--groupou=OU=People"]);
        controller.samba_tool(&["group", "addmembers", "Staff", "jana"]);
    }) else {
        return;
    };
    let file = site.path("organization.toml");
    fs::write(
        &file,
        "[[group]]\nname = \"Staff\"\nmembers = [\"hanna\", \"ivan\"]\n\
         [[grant]]\non = \"ivan\"\nuser = \"Staff\"\nright = \"Send As\"\n\
         [[delegates]]\nof = \"jana\"\nusers = [\"hanna\"]\n",
    )
    .unwrap();
    let apply = ["apply", file.to_str().unwrap()];
    let state = || {
        (
            site.controller.values(&person("Staff"), "member"),
            site.controller.values(&person("jana"), "procuraDelegates"),
            site.controller.descriptor(&person("ivan")),
        )
    };
    let before = state();
    let tried = site.procura(&[&apply[..], &["--dry-run"]].concat());
    assert_eq!(tried.code, 0, "{}", tried.all());
    assert_eq!(state(), before, "a dry run writes nothing");

    site.procura(&apply).ok();
    let (mut members, delegates, descriptor) = state();
    members.sort();
    assert_eq!(members, [person("hanna"), person("ivan")]);
    assert_eq!(delegates, [person("hanna")]);
    let staff = site.controller.sid(&person("Staff"));
    assert!(descriptor.contains(&DomainController::send_as(&staff)), "{descriptor}");
    let mut talk = site.session("hanna");
    for name in ["ivan", "jana"] {
        let sent = send_as(&mut talk, name);
        assert!(sent.starts_with("250"), "{name}: {sent}");
    }
    let again = site.procura(&apply).ok();
    assert!(again.contains("nothing was changed"), "{again}");

    site.procura(&["undo", &site.last_version()]).ok();
    assert_eq!(state(), before);

    // What cannot be made there is refused before anything is.
    fs::write(&file, "[[group]]\nname = \"Staff\"\nmembers = [\"hanna\"]\n[[user]]\nname = \"zoe\"\n").unwrap();
    let refused = site.procura(&apply);
    assert!(refused.code == 2 && refused.all().contains("tools of Active Directory"), "{}", refused.all());
    assert_eq!(state(), before);
}

#[test]
fn people_are_not_made_here_nor_are_their_passwords_set() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    let made = site.procura(&["user", "add", "zoe"]);
    assert!(made.code == 2 && made.all().contains("tools of Active Directory"), "{}", made.all());
    let data = site.path("data");
    let arguments = ["--data", data.to_str().unwrap(), "password", "set", HANNA, "--stdin"];
    let set = site.controller.at(|| run_procura(arguments, "secret\n"));
    assert!(set.code == 2 && set.all().contains("kept by Active Directory"), "{}", set.all());
    for command in [&["user", "remove", HANNA][..], &["move", HANNA, "--to", "CN=Users,DC=ad,DC=example,DC=test"]] {
        let refused = site.procura(command);
        assert!(refused.code == 2 && refused.all().contains("tools of Active Directory"), "{}", refused.all());
    }
}

#[test]
fn the_right_that_the_account_lacks_is_named_with_the_object_and_nothing_is_changed() {
    let Some(mut site) = with_delegates(|controller| {
        controller.samba_tool(&["user", "add", "svc", PASSWORD]);
        controller.samba_tool(&["group", "add", "Staff", "--groupou=OU=People"]);
    }) else {
        return;
    };
    site.read_as("svc");
    site.serve();
    let status = site.until_followed();
    assert_eq!(status["domains"][0]["method"], "dir-sync-as-seen", "{status}");
    let mut talk = site.session("hanna");
    site.until(&mut talk, REFUSED);
    let ivan = person("ivan");
    for (command, object, right) in [
        (&GRANT[..], ivan.clone(), "“Modify permissions” (WRITE_DAC)"),
        (&["group", "member", "add", "Staff", HANNA][..], person("Staff"), "“Write Members”"),
        (&["send-on-behalf", "add", IVAN, HANNA][..], ivan.clone(), "“Write procuraDelegates”"),
        (
            &["delegate", "add", IVAN, HANNA, "--send-as"][..],
            ivan.clone(),
            "“Write procuraDelegates” and “Modify permissions” (WRITE_DAC)",
        ),
    ] {
        let refused = site.procura(command);
        // Lines are folded on a terminal's width.
        let said = refused.all().split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert_eq!(refused.code, 2, "{said}");
        assert!(said.contains(&format!("svc@AD.EXAMPLE.TEST may not change {object}")), "{said}");
        assert!(said.contains(right), "{said}");
    }
    assert_eq!(site.controller.values(&ivan, "procuraDelegates"), Vec::<String>::new());
    let reply = send_as(&mut talk, "ivan");
    assert!(reply.starts_with(REFUSED), "{reply}");

    // With the right to do it, it is done; and what the account may see is followed.
    let svc = site.controller.sid(&format!("CN=svc,CN=Users,{DOMAIN}"));
    site.controller.add_ace(&ivan, &format!("(A;;WDRC;;;{svc})"));
    site.procura(&GRANT).ok();
    site.until(&mut talk, "250");
}

//! Who is deleted in a domain (Samba) loses his open session, also where the account that reads it may not replicate.

#![allow(clippy::unwrap_used)]

use e2e::{DomainController, DomainSite, send_as};

const PASSWORD: &str = DomainSite::PASSWORD;
const REFUSED: &str = DomainSite::REFUSED;
const DOMAIN: &str = DomainController::DOMAIN;

/// A domain that an ordinary account reads, with `own` in `[directory]`. hanna may send as ivan, as a member of a group.
fn site(own: &str, prepare: impl FnOnce(&DomainController)) -> Option<DomainSite> {
    let mut site = DomainSite::start(|controller| {
        controller.samba_tool(&["user", "add", "svc", PASSWORD]);
        controller.samba_tool(&["group", "add", "Assistants", "--groupou=OU=People"]);
        controller.samba_tool(&["group", "addmembers", "Assistants", "hanna"]);
        controller.add_ace(
            &DomainController::person("ivan"),
            &DomainController::send_as(&controller.sid(&DomainController::person("Assistants"))),
        );
        prepare(controller);
    })?;
    site.stop();
    site.configure(own);
    site.read_as("svc");
    site.serve();
    Some(site)
}

/// The group is deleted, and then hanna, while her session is open.
#[track_caller]
fn deleted(site: &DomainSite) {
    let status = site.until_followed();
    assert_eq!(status["domains"][0]["method"], "dir-sync-as-seen");
    let mut talk = site.session("hanna");
    let reply = send_as(&mut talk, "ivan");
    assert!(reply.starts_with("250"), "{reply}");
    site.controller.samba_tool(&["group", "delete", "Assistants"]);
    let group = site.until(&mut talk, REFUSED);
    site.controller.samba_tool(&["user", "delete", "hanna"]);
    let person = site.until(&mut talk, "421");
    let reply = site.log_on("hanna", PASSWORD);
    assert!(reply.starts_with("535"), "{reply}");
    println!("the group was gone after {group:?}, the person after {person:?}");
}

#[test]
fn who_is_deleted_loses_an_open_session_although_nobody_tells_of_it() {
    let Some(site) = site("", |_| {}) else { return };
    let tested = site.procura(&["directory", "test"]);
    assert!(tested.out.contains("no deleted accounts of"), "{}", tested.all());
    deleted(&site);
}

#[test]
fn who_is_deleted_loses_an_open_session_where_the_account_may_see_what_was_deleted() {
    let Some(site) = site("list_seconds = 0\n", |controller| {
        controller.samba_tool(&["user", "add", "former", PASSWORD]);
        controller.samba_tool(&["user", "delete", "former"]);
        let svc = controller.sid(&format!("CN=svc,CN=Users,{DOMAIN}"));
        controller.python(&format!(
            "from samba.sd_utils import SDUtils\n\
             SDUtils(db).dacl_add_ace('CN=Deleted Objects,' + base, '(A;;LCRP;;;{svc})')\n"
        ));
    }) else {
        return;
    };
    let tested = site.procura(&["directory", "test"]);
    assert!(tested.out.contains("count at once: deleted accounts can be seen (1 of them)"), "{}", tested.all());
    deleted(&site);
}

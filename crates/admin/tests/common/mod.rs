//! A service with a small organization, for tests of the tools.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::Path;

use acl::Sid;
use admin::operations::{self as op, Request as R, Response};
use admin::{Absent, DataDirectory, FaultKind, Options, Service, Users, random};
use directory::organization::{Names, NewConnector, Usage, new_organization};
use directory::{Change, Class, GroupScope, GroupType, Record, Time, attributes as a};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const ROOT: u32 = 0;
pub const HELPER: u32 = 1001;

pub struct Site {
    pub service: Service,
    _folder: TempDir,
}

impl Site {
    /// An organization with OU=Staff, OU=Plant and in it OU=Locked, which inherits nothing; users zoe, max and helper.
    pub fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let site = Site { service: founded(folder.path(), || Time(1_000)), _folder: folder };
        for (name, under, protected) in
            [("Staff", None, false), ("Plant", None, false), ("Locked", Some("OU=Plant"), true)]
        {
            let under = under.map(str::to_owned);
            site.ask(R::OuAdd(op::OuAdd { name: name.to_owned(), under, protected }));
        }
        site.user("zoe", Some("OU=Staff"));
        site.user("max", Some("OU=Staff"));
        site.user("helper", None);
        site
    }

    #[track_caller]
    pub fn ask(&self, request: R) -> Response {
        self.service.call(ROOT, "", request).unwrap()
    }

    #[track_caller]
    pub fn user(&self, name: &str, ou: Option<&str>) {
        self.ask(R::UserAdd(op::UserAdd {
            name: name.to_owned(),
            ou: ou.map(str::to_owned),
            addresses: vec![format!("{name}@example.com")],
            mailbox: true,
            ..op::UserAdd::default()
        }));
    }

    #[track_caller]
    pub fn group(&self, name: &str, members: &[&str]) {
        let members = members.iter().map(|name| (*name).to_owned()).collect();
        self.ask(R::GroupAdd(op::GroupAdd { name: name.to_owned(), members, ..op::GroupAdd::default() }));
    }

    #[track_caller]
    pub fn administrator(&self, name: &str) {
        let members = op::Members { group: "Domain Admins".into(), members: vec![name.into()] };
        self.ask(R::MemberAdd(members));
        self.service.protect().unwrap();
    }

    /// What was answered, in words, steps and warnings and all.
    #[track_caller]
    pub fn done(&self, request: R) -> String {
        let Response::Done(done) = self.ask(request) else { panic!("not done") };
        format!("{}\n{}\n{}", done.summary, done.steps.join("\n"), done.warnings.join("\n"))
    }

    /// Why it was refused.
    #[track_caller]
    pub fn fault(&self, uid: u32, request: R) -> (FaultKind, String) {
        let fault = self.service.call(uid, "", request).unwrap_err();
        (fault.kind, fault.message)
    }

    #[track_caller]
    pub fn simulated(&self, request: R) -> op::Simulated {
        match self.ask(R::Simulate(request.into())) {
            Response::Simulated(simulated) => *simulated,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn holders(&self, request: R) -> Vec<op::HolderRow> {
        match self.ask(request) {
            Response::Holders(page) => page.rows,
            other => panic!("{other:?}"),
        }
    }

    /// Version of the newest change.
    pub fn version(&self) -> u64 {
        self.service.snapshot().version()
    }

    /// All records, but for counters that only grow.
    pub fn records(&self) -> Vec<directory::Record> {
        let snapshot = self.service.snapshot();
        let mut records: Vec<_> = snapshot.objects().filter_map(|(id, _)| snapshot.record(id)).collect();
        for record in &mut records {
            record.attributes.remove(directory::attributes::NEXT_RID);
        }
        records.sort_by_key(|record| record.guid);
        records
    }

    pub fn may_send_as(&self, who: &str, owner: &str) -> bool {
        let snapshot = self.service.snapshot();
        let (who, owner) = (snapshot.resolve(who).unwrap(), snapshot.resolve(owner).unwrap());
        rights::person(&snapshot, who, owner, rights::Permission::SendAs).is_some_and(|person| !person.needs_logon)
    }
}

/// A service with the new organization example.com, its server MAIL and the connector Client.
pub fn founded(path: &Path, clock: fn() -> Time) -> Service {
    let service = open(path, clock);
    let names = Names {
        domain: "example.com".to_owned(),
        netbios: "EXAMPLE".to_owned(),
        domain_sid: random::new_domain_sid(),
        organization: "First Organization".to_owned(),
        server: "MAIL".to_owned(),
        server_fqdn: "mail.example.com".to_owned(),
    };
    let connector = NewConnector {
        name: "Client".to_owned(),
        usage: Usage::Client,
        bindings: vec!["127.0.0.1:2587".parse().unwrap()],
        grants: Vec::new(),
    };
    let changes = new_organization(&names, &[connector], &mut random::new_guid);
    service.commit_as_system("test", changes).unwrap();
    service
}

/// Passwords as they are, almost.
struct Hashes;

impl admin::Hasher for Hashes {
    fn phc(&self, password: &[u8]) -> Result<String, String> {
        Ok(format!("hash of {}", String::from_utf8_lossy(password)))
    }

    fn scram(&self, _: &[u8], _: Option<admin::Like<'_>>) -> Result<Option<String>, String> {
        Ok(Some("keys".to_owned()))
    }
}

/// A service on a data directory, administered by root and by EXAMPLE\\helper.
pub fn open(path: &Path, clock: fn() -> Time) -> Service {
    let data = DataDirectory::open(path, Absent::Create).unwrap();
    Service::open(data, options(clock)).unwrap()
}

pub fn options(clock: fn() -> Time) -> Options {
    let users = Users { owner: ROOT, accounts: [(HELPER, "EXAMPLE\\helper".to_owned())].into() };
    Options { users, hash: std::sync::Arc::new(Hashes), clock, node: "mail.example.com".to_owned() }
}

/// A request as it comes over the socket.
pub fn request(value: serde_json::Value) -> R {
    serde_json::from_value(value).unwrap()
}

/// A document of these parts, one a line.
pub fn apply(items: &[Value]) -> R {
    let numbered = (1..).zip(items).map(|(line, wanted)| json!({"line": line, "wanted": wanted}));
    request(json!({"op": "apply", "items": numbered.collect::<Vec<_>>()}))
}

/// The same, with what earlier ones named and it does not taken away.
pub fn pruned(items: &[Value]) -> R {
    match apply(items) {
        R::Apply(apply) => R::Apply(op::Apply { prune: true, ..apply }),
        _ => unreachable!(),
    }
}

/// A new send connector, to a smart host where nothing else is said.
pub fn send(name: &str, usage: &str, more: serde_json::Value) -> R {
    let mut document = json!({
        "op": "send-connector-new", "name": name, "usage": usage,
        "address_spaces": ["*"], "smart_hosts": ["relay.test"],
    });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request(document)
}

/// A send connector as it is shown.
#[track_caller]
pub fn sending(site: &Site, name: &str) -> op::SendRow {
    match site.ask(R::SendConnectorGet(op::ConnectorGet { identity: Some(name.to_owned()) })) {
        Response::SendConnectors(mut page) => page.rows.remove(0),
        other => panic!("{other:?}"),
    }
}

/// A grant of a right on an object, or to users below it.
pub fn grant(on: &str, trustee: &str, right: &str, deny: bool, inherit_to: Option<&str>) -> R {
    request(json!({
        "op": "permission-add", "identity": on, "trustee": trustee, "rights": [right], "deny": deny,
        "inherit_to": inherit_to,
    }))
}

/// Takes an entry on an object away.
pub fn take(on: &str, trustee: &str, right: &str, deny: bool) -> R {
    request(json!({"op": "permission-remove", "identity": on, "trustee": trustee, "rights": [right], "deny": deny}))
}

pub fn send_as(on: &str, trustee: &str) -> R {
    grant(on, trustee, "Send As", false, None)
}

pub fn full_access(mailbox: &str, trustee: &str) -> R {
    request(json!({
        "op": "mailbox-permission-add", "identity": mailbox, "trustee": trustee, "rights": ["full-access"],
    }))
}

pub fn delegate(owner: &str, delegate: &str) -> R {
    request(json!({"op": "delegate-add", "identity": owner, "delegates": [delegate]}))
}

pub fn who_can(right: &str, on: &str) -> op::WhoCan {
    op::WhoCan { identity: on.to_owned(), rights: vec![right.to_owned()], ..op::WhoCan::default() }
}

pub fn undo(version: u64) -> R {
    R::Undo(op::Undo { version })
}

pub fn moved(user: &str, ou: &str) -> R {
    R::UserSet(op::UserSet { identity: user.to_owned(), ou: Some(ou.to_owned()), ..op::UserSet::default() })
}

/// The forest other.test with the account `erin` and the group `Crew`; their SIDs.
pub fn other_forest(site: &Site) -> (Sid, Sid) {
    let classes = |class: Class| class.object_classes().iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
    let (domain, sid): (_, Sid) = (admin::random::new_guid(), "S-1-5-21-7-8-9".parse().unwrap());
    let object = |class: Class, rdn: &str, rid: u32| {
        Record::new(admin::random::new_guid(), Some(domain), rdn)
            .with_all(a::OBJECT_CLASS, classes(class))
            .with(a::OBJECT_SID, sid.with_rid(rid).unwrap().to_bytes())
            .with(a::SAM_ACCOUNT_NAME, &rdn[3..])
    };
    let root = Record::new(domain, None, "DC=other,DC=test")
        .with_all(a::OBJECT_CLASS, classes(Class::Domain))
        .with(a::OBJECT_SID, sid.to_bytes());
    let erin = object(Class::User, "CN=erin", 1105).with(a::USER_ACCOUNT_CONTROL, "512");
    let kind = GroupType::security(GroupScope::Global).0.to_string();
    let crew = object(Class::Group, "CN=Crew", 1106).with(a::GROUP_TYPE, kind);
    site.service.commit_as_system("other forest", [root, erin, crew].map(Change::Add).into()).unwrap();
    (sid.with_rid(1105).unwrap(), sid.with_rid(1106).unwrap())
}

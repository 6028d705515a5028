//! Against a real domain controller (Samba): how long a domain takes to load, and whether verdicts and tokens are what
//! Samba's own modules say.

#![allow(clippy::unwrap_used)]

mod kept;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acl::Sid;
use directory::{Change, ObjectId, Snapshot, Time};
use e2e::{DomainController, require, skip_without};
use ldap::{Address, Settings, Sink};
use rights::{Facts, NoTrace, Question, decide};
use zeroize::Zeroizing;

use kept::Kept;

fn settings(certificate: &Path) -> Settings {
    Settings {
        servers: vec![Address::parse("ldaps://127.0.0.1").unwrap()],
        account: "Administrator@AD.EXAMPLE.TEST".to_owned(),
        password: Zeroizing::new("Passw0rd!x1".to_owned()),
        tls: ldap::tls(certificate).unwrap(),
        tickets: None,
        notify: true,
        map: directory::import::AttributeMap::default(),
        patience: Duration::from_secs(30),
        poll: Duration::from_secs(1),
        page: 1000,
        max_age: Duration::from_secs(300),
        stale_limit: Duration::from_secs(7200),
        check: Duration::from_secs(3600),
        list: Duration::from_secs(5),
    }
}

/// A domain controller; none where something for it is missing.
fn controller() -> Option<DomainController> {
    if !require(&DomainController::PROGRAMS) {
        return None;
    }
    if !DomainController::possible() {
        skip_without("root, to make a network namespace");
        return None;
    }
    Some(DomainController::start())
}

/// What stands there; how long that took.
fn load(controller: &DomainController) -> (Arc<Snapshot>, Duration) {
    let sink = Arc::new(Kept::default());
    let begin = Instant::now();
    let into: Arc<dyn Sink> = sink.clone();
    let status = controller.at(|| ldap::load_once(settings(&controller.certificate()), into)).unwrap();
    assert!(status.domains[0].problems.is_empty(), "{:?}", status.domains[0].problems);
    (sink.snapshot(), begin.elapsed())
}

fn account(snapshot: &Snapshot, sid: &str) -> ObjectId {
    snapshot.by_sid(&sid.parse::<Sid>().unwrap()).unwrap()
}

fn allowed(snapshot: &Snapshot, who: ObjectId, target: ObjectId) -> bool {
    let token = snapshot.token_of(who).unwrap();
    let facts = Facts { connector: snapshot.domains()[0].object, logon: None, time: Time(0) };
    decide::<NoTrace>(snapshot, &token, &facts, &Question::SendAs(target)).reason.is_ok()
}

#[test]
fn verdicts_and_tokens_are_those_of_the_domain_controller() {
    let Some(controller) = controller() else { return };
    let script = include_str!("matrix.py").replace("SEED", "20261122").replace("COUNT", "40");
    let judged = controller.python(&script);
    let (snapshot, _) = load(&controller);
    let (mut yes, mut all) = (0, 0);
    let mut wrong = Vec::new();
    for line in judged.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["token", sid, ..] => {
                let token = snapshot.token_of(account(&snapshot, sid)).unwrap();
                let place = snapshot.domains()[0].object;
                let ours: BTreeSet<String> =
                    token.sids_on(&snapshot, place).iter().map(|sid| snapshot.sid(sid).to_string()).collect();
                let theirs: BTreeSet<String> = words[2..].iter().map(|sid| (*sid).to_owned()).collect();
                assert_eq!(ours, theirs, "the token of {sid}");
            }
            ["verdict", who, target, verdict] => {
                let ours = allowed(&snapshot, account(&snapshot, who), account(&snapshot, target));
                all += 1;
                yes += usize::from(ours);
                if ours != (verdict == "yes") {
                    wrong.push(line.to_owned());
                }
            }
            _ => panic!("{line}"),
        }
    }
    println!("{yes} of {all} allowed");
    assert!(wrong.is_empty(), "{} of {all} differ: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(all == 1600 && yes * 4 > all && yes * 2 < all, "about a third is allowed: {yes} of {all}");
}

#[test]
fn ten_thousand_users_are_loaded() {
    let Some(controller) = controller() else { return };
    controller.python(
        "db.transaction_start()\ndb.add({'dn': 'OU=Bulk,' + base, 'objectClass': 'organizationalUnit'})\n\
         for i in range(10000):\n    name = 'u%05d' % i\n    \
         db.add({'dn': 'CN=%s,OU=Bulk,%s' % (name, base), 'objectClass': 'user', 'sAMAccountName': name, \
         'mail': name + '@ad.example.test', 'userAccountControl': '514'})\ndb.transaction_commit()\n",
    );
    let (snapshot, took) = load(&controller);
    println!("{} objects in {took:?}", snapshot.len());
    assert!(snapshot.len() > 10_000);
}

#[test]
fn what_is_held_wrong_is_put_right_by_the_comparison() {
    let Some(controller) = controller() else { return };
    let sink = Arc::new(Kept::default());
    let into: Arc<dyn Sink> = sink.clone();
    let settings = Settings {
        check: Duration::from_millis(1),
        poll: Duration::from_millis(100),
        ..settings(&controller.certificate())
    };
    // Its threads are where the domain controller is.
    let active = controller.at(|| ldap::Active::start(settings, into, None)).unwrap();
    let guest = || {
        let snapshot = sink.snapshot();
        let domain = snapshot.domains().first()?.sid.with_rid(501)?;
        let id = snapshot.by_sid(&domain)?;
        snapshot.descriptor(id).map(|_| snapshot.object(id).unwrap().guid())
    };
    let wait = || {
        let begin = Instant::now();
        loop {
            if let Some(guid) = guest() {
                return guid;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", active.status());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let guid = wait();
    let unreadable = vec![("nTSecurityDescriptor".to_owned(), vec![Vec::new()])];
    sink.follow("a fault", &mut |snapshot| {
        let is_wrong = snapshot.by_guid(&guid).is_some_and(|id| snapshot.descriptor(id).is_none());
        if is_wrong { Vec::new() } else { vec![Change::Modify { guid, attributes: unreadable.clone() }] }
    })
    .unwrap();
    wait();
}

/// A primary group, which `member` does not tell of; a SID of the past; a foreign principal in a group; a disabled account with
/// an account of another forest as its owner.
#[test]
fn what_stands_for_an_account_elsewhere_counts_as_there() {
    let Some(controller) = controller() else { return };
    const PAST: &str = "S-1-5-21-7-7-7-1104";
    const FOREIGN: &str = "S-1-5-21-9-9-9-1105";
    let told = controller.python(&format!(
        "import ldb\nfrom samba.ndr import ndr_pack, ndr_unpack\nfrom samba.dcerpc import security\n\
         def add(name, **more):\n    dn = 'CN=%s,CN=Users,%s' % (name, base)\n    \
         db.add(dict({{'dn': dn, 'sAMAccountName': name}}, **more))\n    return dn\n\
         def change(dn, what, value, controls=[]):\n    message = ldb.Message(ldb.Dn(db, dn))\n    \
         message['x'] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE if what == 'primaryGroupID' else ldb.FLAG_MOD_ADD, what)\n    \
         db.modify(message, controls)\n\
         user = add('hanna', objectClass='user', userAccountControl='514')\n\
         first = add('First', objectClass='group', groupType='-2147483646')\n\
         around = add('Around', objectClass='group', groupType='-2147483644')\n\
         change(first, 'member', user)\nchange(around, 'member', first)\n\
         read = lambda dn, name: db.search(dn, scope=0, attrs=[name])[0][name]\n\
         sid = lambda value: str(ndr_unpack(security.dom_sid, value))\n\
         change(user, 'primaryGroupID', sid(read(first, 'objectSid')[0]).rsplit('-', 1)[1])\n\
         change(user, 'sIDHistory', ndr_pack(security.dom_sid('{PAST}')), ['relax:0'])\n\
         change(around, 'member', '<SID={FOREIGN}>')\n\
         print(sid(read(user, 'objectSid')[0]), *[sid(value) for value in read(user, 'tokenGroups')])\n\
         print(sid(read(around, 'objectSid')[0]))\n"
    ));
    let mut lines = told.lines().map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let (token, around) = (lines.next().unwrap(), lines.next().unwrap().remove(0));
    let (snapshot, _) = load(&controller);
    let user = account(&snapshot, &token[0]);
    let held = snapshot.token_of(user).unwrap();
    let held: BTreeSet<String> = held.sids.iter().map(|sid| snapshot.sid(sid).to_string()).collect();
    assert!(token.contains(&around), "{token:?}");
    for sid in token.iter().map(String::as_str).chain([PAST]) {
        assert!(held.contains(sid), "{sid} is not in {held:?}");
    }
    let group = account(&snapshot, &around);
    let foreign = snapshot.members(group).into_iter().filter_map(|id| snapshot.object(id)?.sid());
    assert!(foreign.map(|sid| snapshot.sid(sid).to_string()).any(|sid| sid == FOREIGN));
}

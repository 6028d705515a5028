//! What was deleted, where the account may not replicate: by tombstones, and by lists of what is still there. Against a domain
//! controller that is none.

#![allow(clippy::unwrap_used)]

mod fake;
mod kept;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acl::Guid;
use directory::attributes as a;
use directory::import::AttributeMap;
use ldap::ber::{OCTETS, Reader};
use ldap::{Active, Settings, Sink};
use rustls::ClientConfig;
use zeroize::Zeroizing;

use fake::{AnyTicket, DOMAIN, DOMAIN_GUID, Domain, ON_DC1, Question, Server, done, entry, object};
use kept::Kept;

const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
const SEARCH_DONE: u8 = 0x65;
const GROUP: Guid = guid(200);
const HANNA: Guid = guid(1);
const IVAN: Guid = guid(2);

const fn guid(number: u8) -> Guid {
    Guid([number, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7])
}

/// How the domain controller answers when it is asked which objects there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    Whole,
    /// One object is there and left out.
    Without(Guid),
    /// It gives some, and then an error.
    Broken,
}

/// A domain: people by their numbers, and a group of them.
struct World {
    usn: u64,
    /// The number of the last change of each.
    alive: BTreeMap<Guid, u64>,
    tombstones: BTreeMap<Guid, u64>,
    /// Whether the account may see tombstones.
    shows_tombstones: bool,
    lists: Lists,
    /// How many lists were given.
    listed: usize,
}

impl World {
    fn of(people: u8) -> World {
        let alive = (1..=people).map(guid).chain([GROUP]).map(|guid| (guid, 100)).collect();
        World { usn: 500, alive, tombstones: BTreeMap::new(), shows_tombstones: false, lists: Lists::Whole, listed: 0 }
    }

    fn delete(&mut self, guid: Guid) {
        self.usn += 1;
        self.alive.remove(&guid).unwrap();
        self.tombstones.insert(guid, self.usn);
    }

    fn answer(&mut self, asked: &Question) -> Vec<u8> {
        let is_ours =
            asked.base == DOMAIN && asked.scope == 2 && !asked.controls.iter().any(|oid| oid.ends_with(".841"));
        if !is_ours {
            return Domain { usn: self.usn, ..ON_DC1 }.answer(asked);
        }
        let mut code = 0;
        let (tag, filter) = (asked.filter.0, &asked.filter.1);
        let entries: Vec<Vec<u8>> = match tag {
            // uSNChanged is at least so much.
            0xa5 => {
                let mut pair = Reader::new(filter);
                pair.expect(OCTETS).unwrap();
                let from: u64 = std::str::from_utf8(pair.expect(OCTETS).unwrap()).unwrap().parse().unwrap();
                let shows = self.shows_tombstones && asked.controls.iter().any(|oid| oid == SHOW_DELETED);
                let changed = self.alive.iter().filter(|(_, usn)| **usn >= from);
                let deleted = self.tombstones.iter().filter(|(_, usn)| shows && **usn >= from);
                let deleted = deleted.map(|(guid, _)| tombstone(asked.id, *guid));
                changed.map(|(guid, _)| self.shown(asked.id, *guid)).chain(deleted).collect()
            }
            // Some by their objectGUIDs.
            0xa0 => {
                let is_asked = |guid: &&Guid| filter.windows(16).any(|window| window == guid.0);
                self.alive.keys().filter(is_asked).map(|guid| self.shown(asked.id, *guid)).collect()
            }
            _ => {
                let is_list = asked.attributes == ["objectGUID"];
                let lists = if is_list { self.lists } else { Lists::Whole };
                self.listed += usize::from(is_list);
                let root = ON_DC1.root(asked.id);
                let guids = self.alive.keys().filter(|guid| lists != Lists::Without(**guid));
                let all = [root].into_iter().chain(guids.map(|guid| self.shown(asked.id, *guid)));
                match lists {
                    Lists::Broken => {
                        const BUSY: i64 = 51;
                        code = BUSY;
                        all.take(2).collect()
                    }
                    _ => all.collect(),
                }
            }
        };
        [entries.concat(), done(asked.id, SEARCH_DONE, code, None)].concat()
    }

    fn shown(&self, id: i64, guid: Guid) -> Vec<u8> {
        let number = guid.0[0];
        let sid = format!("S-1-5-21-1-2-3-{}", 2000 + u32::from(number));
        let is_group = guid == GROUP;
        let classes: &[&str] =
            if is_group { &["top", "group"] } else { &["top", "person", "organizationalPerson", "user"] };
        let mut attributes = object(guid, Some(DOMAIN_GUID), &sid, classes);
        let (name, value) = if is_group { ("groupType", "-2147483640") } else { ("userAccountControl", "512") };
        attributes.push((name.to_owned(), vec![value.as_bytes().to_vec()]));
        if is_group && self.alive.contains_key(&HANNA) {
            attributes.push(("member".to_owned(), vec![format!("<GUID={HANNA}>;CN=1,{DOMAIN}").into_bytes()]));
        }
        entry(id, &format!("CN={number},{DOMAIN}"), &attributes)
    }
}

fn tombstone(id: i64, guid: Guid) -> Vec<u8> {
    let attributes =
        [("objectGUID".to_owned(), vec![guid.0.to_vec()]), ("isDeleted".to_owned(), vec![b"TRUE".to_vec()])];
    entry(id, &format!("CN={}\\0ADEL:{guid},CN=Deleted Objects,{DOMAIN}", guid.0[0]), &attributes)
}

/// A node that follows the domain.
struct Site {
    world: Arc<Mutex<World>>,
    sink: Arc<Kept>,
    active: Active,
    _server: Server,
}

impl Site {
    /// Lists are asked for so often; never: zero.
    fn start(world: World, list: Duration) -> Site {
        let people = world.alive.len();
        let world = Arc::new(Mutex::new(world));
        let answers = Arc::clone(&world);
        let server = Server::start(Vec::new(), move |asked: &Question| answers.lock().unwrap().answer(asked));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let settings = Settings {
            servers: vec![server.address.clone()],
            account: "svc@X.TEST".to_owned(),
            password: Zeroizing::default(),
            // Nobody is believed: it is not used.
            tls: Arc::new(tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()),
            tickets: Some(Arc::new(AnyTicket(Duration::from_secs(600)))),
            notify: false,
            map: AttributeMap::default(),
            patience: Duration::from_secs(10),
            poll: Duration::from_millis(20),
            page: 1000,
            max_age: Duration::from_secs(300),
            stale_limit: Duration::from_secs(7200),
            check: Duration::from_secs(3600),
            list,
        };
        let sink = Arc::new(Kept::default());
        let into: Arc<dyn Sink> = sink.clone();
        let active = Active::start(settings, into, None).unwrap();
        let site = Site { world, sink, active, _server: server };
        site.until("loaded", |site| site.sink.snapshot().len() > people && !site.active.status().domains.is_empty());
        site
    }

    #[track_caller]
    fn until(&self, what: &str, is: impl Fn(&Site) -> bool) {
        let begin = Instant::now();
        while !is(self) {
            assert!(begin.elapsed() < Duration::from_secs(60), "{what}: {:?}", self.active.status());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Until so many lists were given, and what they say was looked at.
    #[track_caller]
    fn until_listed(&self, count: usize) {
        self.until("listed", |site| site.world.lock().unwrap().listed >= count);
        let rounds = self.sink.rounds();
        self.until("looked at", |site| site.sink.rounds() > rounds + 10);
    }

    fn holds(&self, guid: Guid) -> bool {
        self.sink.snapshot().by_guid(&guid).is_some()
    }

    fn change(&self, what: impl FnOnce(&mut World)) {
        what(&mut self.world.lock().unwrap());
    }
}

const OFTEN: Duration = Duration::from_millis(20);

#[test]
fn who_is_a_tombstone_is_gone() {
    let site = Site::start(World { shows_tombstones: true, ..World::of(2) }, Duration::ZERO);
    site.change(|world| world.delete(HANNA));
    site.until("gone", |site| !site.holds(HANNA));
    assert!(site.holds(IVAN) && site.holds(GROUP));
    assert!(site.sink.snapshot().members(site.sink.snapshot().by_guid(&GROUP).unwrap()).is_empty());
}

#[test]
fn who_was_deleted_where_tombstones_are_not_shown_is_gone_with_the_next_list() {
    let site = Site::start(World::of(2), OFTEN);
    site.change(|world| world.delete(HANNA));
    site.until("gone", |site| !site.holds(HANNA));
    assert!(site.holds(IVAN) && site.holds(GROUP));
}

#[test]
fn a_group_that_was_deleted_where_tombstones_are_not_shown_is_gone_with_the_next_list() {
    let site = Site::start(World::of(2), OFTEN);
    let hanna = || site.sink.snapshot().by_guid(&HANNA).unwrap();
    assert!(!site.sink.snapshot().linked_from(hanna(), a::MEMBER).is_empty());
    site.change(|world| world.delete(GROUP));
    site.until("gone", |site| !site.holds(GROUP));
    assert!(site.sink.snapshot().linked_from(hanna(), a::MEMBER).is_empty());
}

#[test]
fn where_nothing_changed_no_list_is_asked_for() {
    let site = Site::start(World::of(2), OFTEN);
    site.until_listed(1);
    assert_eq!(site.world.lock().unwrap().listed, 1);
}

#[test]
fn a_list_that_breaks_off_removes_nobody() {
    let site = Site::start(World { lists: Lists::Broken, ..World::of(2) }, OFTEN);
    // Who is gone, too.
    site.change(|world| world.delete(HANNA));
    site.until_listed(1);
    assert!(site.holds(HANNA) && site.holds(IVAN) && site.holds(GROUP));
}

#[test]
fn who_is_not_on_a_list_and_there_all_the_same_stays() {
    let site = Site::start(World { lists: Lists::Without(HANNA), ..World::of(2) }, OFTEN);
    site.change(|world| world.delete(IVAN));
    site.until("gone", |site| !site.holds(IVAN));
    assert!(site.holds(HANNA));
}

#[test]
fn a_domain_of_which_most_cannot_be_seen_any_more_is_kept() {
    let site = Site::start(World::of(120), OFTEN);
    site.change(|world| {
        world.usn += 1;
        world.alive.retain(|guid, _| *guid == HANNA);
    });
    let says = |site: &Site| site.active.status().domains[0].problems.iter().any(|it| it.contains("may the account"));
    site.until("said", says);
    assert!(site.holds(IVAN) && site.holds(GROUP));
}

#[test]
fn where_tombstones_of_people_are_seen_lists_are_seldom_asked_for() {
    let site = Site::start(World { shows_tombstones: true, ..World::of(3) }, OFTEN);
    let seldom = |site: &Site| site.active.status().domains[0].deletions == "looked for every 300 s";
    assert!(!seldom(&site));
    // One may be missing from a list before its tombstone is seen.
    site.change(|world| world.delete(HANNA));
    site.until("seldom", seldom);
}

#[test]
fn where_a_tombstone_of_somebody_was_missed_lists_are_asked_for_as_before() {
    let site = Site::start(World::of(3), OFTEN);
    site.change(|world| world.delete(HANNA));
    site.until("gone", |site| !site.holds(HANNA));
    site.change(|world| {
        world.usn += 1;
        world.lists = Lists::Without(guid(9));
    });
    let listed = site.world.lock().unwrap().listed;
    site.until_listed(listed + 1);
    site.change(|world| {
        world.shows_tombstones = true;
        world.delete(IVAN);
    });
    site.until("gone", |site| !site.holds(IVAN));
    assert_ne!(site.active.status().domains[0].deletions, "looked for every 300 s");
}

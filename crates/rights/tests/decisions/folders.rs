//! Rights on folders: what a permission list means, held against its meaning written down plainly.

use std::collections::{BTreeMap, BTreeSet};

use acl::{AccessMask, Ace, Acl, Outcome, SecurityDescriptor, well_known};
use directory::folders::FolderDescriptor;
use directory::{Class, Doubt, GroupScope, GroupType, Token, Value, attributes as a};
use proptest::prelude::*;
use rights::folder::{FolderAccess, FolderList, FolderPath, FolderRights, FolderVia, Folders, access};
use rights::{Proof, Question};

use crate::world::{Directory, World};

fn role(name: &str) -> FolderRights {
    name.parse().unwrap()
}

fn path(text: &str) -> FolderPath {
    text.parse().unwrap()
}

/// A list; groups are those of the world's objects that begin with a capital.
fn list(world: &World, entries: &[(&str, &str)]) -> FolderList {
    let mut list = FolderList::default();
    for (who, rights) in entries {
        let is_group = who.starts_with(char::is_uppercase);
        match *who {
            "Default" => list.default = role(rights),
            "Anonymous" => list.anonymous = role(rights),
            name => list.set(&world.sid(name), role(rights), is_group),
        }
    }
    list
}

fn value(at: &str, descriptor: SecurityDescriptor) -> Value {
    FolderDescriptor { path: at.to_owned(), descriptor }.to_value()
}

/// Alice, the owner; bob, carla and the group Sales with carla in it.
fn world() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").user("carla").group("Sales", &["carla"]);
    world
}

/// The same with one list on a folder.
fn with(at: &str, entries: &[(&str, &str)]) -> Directory {
    let mut world = world();
    let value = value(at, list(&world, entries).to_descriptor());
    world.set("alice", a::FOLDER_PERMISSION, vec![value]).load()
}

fn asked(directory: &Directory, token: &Token, at: &str) -> FolderAccess {
    access(&directory.snapshot, token, directory.id("alice"), &path(at)).unwrap()
}

fn may(directory: &Directory, who: &str, at: &str) -> String {
    asked(directory, &directory.account(who), at).rights.to_string()
}

#[test]
fn an_own_entry_counts_and_nothing_else_does() {
    let directory = with("\\Calendar", &[("carla", "Reviewer"), ("Sales", "Editor"), ("Default", "Owner")]);
    assert_eq!(may(&directory, "carla", "\\Calendar"), "Reviewer");
}

#[test]
fn an_own_entry_without_rights_shuts_out_in_spite_of_groups_and_default() {
    let directory = with("\\Calendar", &[("carla", "None"), ("Sales", "Editor"), ("Default", "Owner")]);
    assert_eq!(may(&directory, "carla", "\\Calendar"), "None");
}

#[test]
fn a_member_of_a_group_has_what_the_group_has_and_not_what_default_has() {
    let directory = with("\\Calendar", &[("Sales", "Reviewer"), ("Default", "Owner")]);
    assert_eq!(may(&directory, "carla", "\\Calendar"), "Reviewer");
}

#[test]
fn a_member_of_two_groups_has_what_both_have_together() {
    let mut world = world();
    world.group("Press", &["carla"]).group("Idle", &["carla"]);
    let list = list(&world, &[("Idle", "None"), ("Sales", "Reviewer"), ("Press", "Contributor")]);
    world.set("alice", a::FOLDER_PERMISSION, vec![value("\\Calendar", list.to_descriptor())]);
    assert_eq!(may(&world.load(), "carla", "\\Calendar"), "ReadAny,Create,Visible");
}

#[test]
fn default_is_for_everybody_else_who_logged_on() {
    let directory = with("\\Calendar", &[("Sales", "Reviewer"), ("Default", "AvailabilityOnly")]);
    assert_eq!(may(&directory, "bob", "\\Calendar"), "AvailabilityOnly");
    let anonymous = asked(&directory, &directory.snapshot.anonymous_token(), "\\Calendar");
    assert_eq!(anonymous.rights, FolderRights::NONE);
}

#[test]
fn anonymous_is_for_who_did_not_log_on_and_for_nobody_else() {
    let directory = with("\\Calendar", &[("Anonymous", "Reviewer")]);
    let anonymous = asked(&directory, &directory.snapshot.anonymous_token(), "\\Calendar");
    assert_eq!(anonymous.rights, role("Reviewer"));
    assert_eq!(may(&directory, "bob", "\\Calendar"), "None");
}

#[test]
fn the_owner_may_do_everything_whatever_the_list_says() {
    let directory = with("\\Calendar", &[("alice", "None")]);
    let found = asked(&directory, &directory.account("alice"), "\\Calendar");
    assert_eq!((found.rights, found.via), (FolderRights::ALL, FolderVia::Owner));
}

#[test]
fn the_external_account_of_a_disabled_owner_is_the_owner() {
    let mut world = world();
    world.text("alice", a::USER_ACCOUNT_CONTROL, "514");
    let linked = "S-1-5-21-7-8-9-1105".parse::<acl::Sid>().unwrap();
    world.set("alice", a::MASTER_ACCOUNT_SID, vec![linked.to_bytes()]);
    let directory = world.load();
    let token = directory.snapshot.linked_token(directory.id("alice")).unwrap();
    assert_eq!(asked(&directory, &token, "\\").via, FolderVia::Owner);
}

#[test]
fn full_mailbox_access_is_all_rights_on_all_folders() {
    let mut world = world();
    let entry = world.full_access("bob");
    let list = list(&world, &[("bob", "None")]);
    world.mailbox_acl("alice", &[entry]);
    world.set("alice", a::FOLDER_PERMISSION, vec![value("\\", list.to_descriptor())]);
    let directory = world.load();
    let found = asked(&directory, &directory.account("bob"), "\\Inbox");
    assert_eq!((found.rights, found.via), (FolderRights::ALL, FolderVia::FullAccess));
}

/// S0: “the delegate can use the Send on Behalf Of permission even if you do not grant access to any one of your mailbox
/// folders”, and: “Permissions to access your mailbox folders are separate and must be granted in addition”.
#[test]
fn a_delegate_sends_on_behalf_without_any_right_on_a_folder() {
    let mut world = world();
    world.link("alice", a::PUBLIC_DELEGATES, &["bob"]);
    let directory = world.load();
    let question = Question::SendOnBehalf(directory.id("alice"));
    assert!(directory.ask(&directory.account("bob"), &question).reason.is_ok());
    assert_eq!(may(&directory, "bob", "\\"), "None");
}

#[test]
fn the_owner_of_a_folder_may_neither_send_nor_open_the_mailbox() {
    let directory = with("\\", &[("bob", "Owner")]);
    let (bob, alice) = (directory.account("bob"), directory.id("alice"));
    assert_eq!(may(&directory, "bob", "\\"), "Owner");
    for question in [Question::SendAs(alice), Question::SendOnBehalf(alice), Question::Logon(alice)] {
        assert!(directory.ask(&bob, &question).reason.is_err(), "{question:?}");
    }
}

#[test]
fn send_as_gives_no_right_on_a_folder() {
    let mut world = world();
    let entry = world.send_as("bob");
    let directory = world.acl("alice", &[entry]).load();
    let verdict = directory.ask(&directory.account("bob"), &Question::SendAs(directory.id("alice")));
    assert!(matches!(verdict.reason, Ok(rights::Grant::Sender(Proof::SendAs(_)))));
    assert_eq!(may(&directory, "bob", "\\"), "None");
}

#[test]
fn a_folder_without_entries_has_those_of_the_nearest_above_it_that_has_some() {
    let mut world = world();
    let (top, inner) = (list(&world, &[("Default", "Reviewer")]), list(&world, &[("bob", "Editor")]));
    let values = vec![value("\\", top.to_descriptor()), value("\\Inbox\\Orders", inner.to_descriptor())];
    let directory = world.set("alice", a::FOLDER_PERMISSION, values).load();
    let found = |at: &str| {
        let found = asked(&directory, &directory.account("bob"), at);
        let FolderVia::Entries(from) = found.via else { panic!("{found:?}") };
        (from.to_string(), found.rights.to_string())
    };
    let of = |from: &str, rights: &str| (from.to_owned(), rights.to_owned());
    assert_eq!(found("\\Inbox"), of("\\", "Reviewer"));
    assert_eq!(found("\\Inbox\\Orders"), of("\\Inbox\\Orders", "Editor"));
    assert_eq!(found("\\Inbox\\Orders\\2026\\May"), of("\\Inbox\\Orders", "Editor"));
    assert_eq!(found("\\Inbox\\Others"), of("\\", "Reviewer"));
}

#[test]
fn folders_with_entries_of_their_own_are_listed_by_path() {
    let mut world = world();
    let entries = list(&world, &[]);
    let values = ["\\Sent", "\\Inbox\\Orders", "\\inbox"].map(|at| value(at, entries.to_descriptor()));
    let directory = world.set("alice", a::FOLDER_PERMISSION, values.into()).load();
    let folders = Folders::of(&directory.snapshot, directory.id("alice"));
    let listed: Vec<String> = folders.own().map(|(path, _)| path.to_string()).collect();
    assert_eq!(listed, ["\\inbox", "\\Inbox\\Orders", "\\Sent"]);
}

#[test]
fn case_does_not_tell_folders_apart() {
    let directory = with("\\Besprechungsräume", &[("bob", "Editor")]);
    assert_eq!(may(&directory, "bob", "\\BESPRECHUNGSRÄUME\\Nord"), "Editor");
}

#[test]
fn without_any_entries_nobody_gets_in() {
    let directory = world().load();
    let found = asked(&directory, &directory.account("bob"), "\\Calendar");
    assert_eq!((found.rights, found.via), (FolderRights::NONE, FolderVia::NoEntries));
}

/// Of each account what it is granted, then a denial of the rest, Anonymous likewise; of groups first all that is granted,
/// then all that is denied; at the end what Everyone is granted. Nothing is said of bits that are no rights on folders.
#[test]
fn the_descriptor_of_a_list_has_its_entries_in_order() {
    let world = world();
    let entries = [
        ("bob", "Reviewer"),
        ("carla", "None"),
        ("Sales", "Contributor"),
        ("Default", "Author"),
        ("Anonymous", "None"),
    ];
    let dacl = list(&world, &entries).to_descriptor().dacl.unwrap();
    let said: Vec<_> = dacl.aces.iter().map(|ace| (ace.is_allow(), ace.sid.clone(), ace.mask.0)).collect();
    let (bob, carla, sales) = (world.sid("bob"), world.sid("carla"), world.sid("Sales"));
    let expected = [
        (true, bob.clone(), 0x401),
        (false, bob, 0x1BFA),
        (false, carla, 0x1FFB),
        (false, well_known::ANONYMOUS_LOGON, 0x1FFB),
        (true, sales.clone(), 0x402),
        (false, sales, 0x1BF9),
        (true, well_known::EVERYONE, 0x41B),
    ];
    assert_eq!(said, expected);
}

#[test]
fn the_entries_of_a_list_are_found() {
    let world = world();
    let entries = [("carla", "Author"), ("Sales", "Editor"), ("Default", "Reviewer"), ("Anonymous", "Contributor")];
    let list = list(&world, &entries);
    assert_eq!(list.entry(&world.sid("carla")), Some(role("Author")));
    assert_eq!(list.entry(&world.sid("Sales")), Some(role("Editor")));
    assert_eq!(list.entry(&world.sid("bob")), None);
    assert_eq!(list.entry(&well_known::EVERYONE), Some(role("Reviewer")));
    assert_eq!(list.entry(&well_known::ANONYMOUS_LOGON), Some(role("Contributor")));
}

#[test]
fn lists_are_the_same_in_any_order_of_groups_and_not_of_accounts() {
    let mut world = world();
    world.group("All", &["bob"]);
    let of = |entries: &[(&str, &str)]| list(&world, entries);
    let one = of(&[("bob", "Author"), ("carla", "Editor"), ("Sales", "Editor"), ("All", "Author")]);
    assert!(one.is(&of(&[("All", "Author"), ("bob", "Author"), ("Sales", "Editor"), ("carla", "Editor")])));
    assert!(!one.is(&of(&[("carla", "Editor"), ("bob", "Author"), ("Sales", "Editor"), ("All", "Author")])));
    assert!(!one.is(&of(&[("bob", "Author"), ("carla", "Editor"), ("Sales", "Author"), ("All", "Author")])));
    assert!(!one.is(&of(&[("bob", "Author"), ("carla", "Editor"), ("Sales", "Editor")])));
    for other in ["Default", "Anonymous"] {
        assert!(!of(&[]).is(&of(&[(other, "Reviewer")])), "{other}");
    }
}

#[test]
fn an_entry_that_is_set_stays_in_its_place() {
    let world = world();
    let mut list = list(&world, &[("bob", "Author"), ("carla", "Editor"), ("Sales", "Editor")]);
    let (groups, anonymous) = (list.groups.clone(), list.anonymous);
    list.set(&world.sid("bob"), role("None"), false);
    assert_eq!(list.accounts[0].rights, FolderRights::NONE);
    assert_eq!((list.accounts.len(), list.groups.clone(), list.anonymous), (2, groups, anonymous));
    list.set(&well_known::ANONYMOUS_LOGON, role("Reviewer"), false);
    list.set(&well_known::EVERYONE, role("Contributor"), false);
    assert_eq!((list.anonymous, list.default, list.accounts.len()), (role("Reviewer"), role("Contributor"), 2));
}

#[test]
fn an_entry_that_is_taken_away_leaves_the_others() {
    let world = world();
    let entries = [
        ("bob", "Author"),
        ("carla", "Editor"),
        ("Sales", "Editor"),
        ("Default", "Reviewer"),
        ("Anonymous", "Reviewer"),
    ];
    let mut left = list(&world, &entries);
    assert!(left.remove(&world.sid("bob")));
    assert_eq!(left, list(&world, &entries[1..]));
    assert!(!left.remove(&world.sid("bob")));
    assert!(left.remove(&world.sid("Sales")));
    assert!(left.remove(&well_known::EVERYONE));
    assert_eq!(left, list(&world, &[entries[1], entries[4]]));
    assert!(left.remove(&well_known::ANONYMOUS_LOGON));
    assert_eq!(left, list(&world, &entries[1..2]));
    assert!(!left.remove(&well_known::ANONYMOUS_LOGON));
}

#[test]
fn each_right_says_which_entry_decided() {
    let directory = with("\\Calendar", &[("Sales", "Reviewer"), ("Default", "Contributor")]);
    let at = |who: &str, right: FolderRights| {
        let found = asked(&directory, &directory.account(who), "\\Calendar");
        let at = found.each.into_iter().find(|at| at.right == right).unwrap();
        (at.outcome, at.entry)
    };
    assert_eq!(at("carla", FolderRights::READ_ANY), (Outcome::Allow, Some(directory.sid("Sales"))));
    assert_eq!(at("carla", FolderRights::CREATE), (Outcome::Deny, Some(directory.sid("Sales"))));
    assert_eq!(at("bob", FolderRights::CREATE), (Outcome::Allow, Some(well_known::EVERYONE)));
    assert_eq!(at("bob", FolderRights::EDIT_ANY), (Outcome::None, None));
}

/// The order of entries decides (`authorization.md` §3), also where no permission list would have that order.
#[test]
fn a_descriptor_that_is_no_list_is_decided_by_its_order() {
    let mut world = world();
    let (sales, carla) = (world.sid("Sales"), world.sid("carla"));
    let aces = vec![Ace::deny(sales, AccessMask(0x1)), Ace::allow(carla, AccessMask(0x3))];
    let descriptor = SecurityDescriptor::with_dacl(Acl::new(aces));
    assert_eq!(FolderList::of(&descriptor), None);
    let directory = world.set("alice", a::FOLDER_PERMISSION, vec![value("\\", descriptor)]).load();
    assert_eq!(may(&directory, "carla", "\\"), "Create");
}

#[test]
fn what_cannot_be_read_is_unknown_but_for_the_owner() {
    let mut world = world();
    let directory = world.set("alice", a::FOLDER_PERMISSION, vec![b"nonsense \\Calendar".to_vec()]).load();
    let alice = directory.id("alice");
    assert!(access(&directory.snapshot, &directory.account("bob"), alice, &path("\\Inbox")).is_err());
    assert_eq!(asked(&directory, &directory.account("alice"), "\\Inbox").rights, FolderRights::ALL);
}

#[test]
fn what_hangs_on_a_group_of_a_domain_that_is_away_is_not_granted_and_said_to_be_unknown() {
    let mut world = world();
    world.child_domain("child").add("crew", Class::Group, "child");
    world.security("crew").link("crew", a::MEMBER, &["bob"]);
    world.text("crew", a::GROUP_TYPE, &GroupType::security(GroupScope::Universal).0.to_string());
    let mut list = list(&world, &[("Default", "Reviewer")]);
    list.set(&world.sid("crew"), role("Editor"), true);
    let mut directory = world.set("alice", a::FOLDER_PERMISSION, vec![value("\\", list.to_descriptor())]).load();
    assert_eq!(may(&directory, "bob", "\\"), "Editor");
    let doubt = Doubt { stale: [directory.guid("child")].into(), ..Doubt::default() };
    directory.snapshot = directory.snapshot.clone().doubting(doubt);
    let found = asked(&directory, &directory.account("bob"), "\\");
    // With the group and without it he reads.
    assert_eq!(found.rights, role("Reviewer"));
    let unknown = found.each.iter().filter(|at| at.unknown).map(|at| at.right);
    let expected: Vec<FolderRights> =
        FolderRights::ALL.each().filter(|right| !role("Reviewer").contains(*right)).collect();
    assert_eq!(unknown.collect::<Vec<_>>(), expected);
}

#[test]
fn of_an_account_of_a_domain_that_is_away_nothing_is_known() {
    let mut world = world();
    world.child_domain("child").add_user("erin", "child");
    let entries = list(&world, &[("Default", "Owner")]);
    let mut directory = world.set("alice", a::FOLDER_PERMISSION, vec![value("\\", entries.to_descriptor())]).load();
    let doubt = Doubt { stale: [directory.guid("child")].into(), ..Doubt::default() };
    directory.snapshot = directory.snapshot.clone().doubting(doubt);
    let found = asked(&directory, &directory.account("erin"), "\\");
    assert_eq!((found.rights, found.via), (FolderRights::NONE, FolderVia::Unknown));
    assert!(found.each.iter().all(|at| at.unknown));
}

#[test]
fn where_full_mailbox_access_is_unknown_what_the_entries_grant_is_granted_and_the_rest_is_unknown() {
    let mut world = world();
    world.child_domain("child").add("crew", Class::Group, "child");
    world.security("crew").link("crew", a::MEMBER, &["bob"]);
    let entry = world.full_access("crew");
    let entries = list(&world, &[("Default", "Reviewer")]);
    world.mailbox_acl("alice", &[entry]);
    let mut directory = world.set("alice", a::FOLDER_PERMISSION, vec![value("\\", entries.to_descriptor())]).load();
    assert_eq!(asked(&directory, &directory.account("bob"), "\\").via, FolderVia::FullAccess);
    let doubt = Doubt { stale: [directory.guid("child")].into(), ..Doubt::default() };
    directory.snapshot = directory.snapshot.clone().doubting(doubt);
    let found = asked(&directory, &directory.account("bob"), "\\");
    assert_eq!(found.rights, role("Reviewer"));
    let known = found.each.iter().filter(|at| !at.unknown).map(|at| at.right);
    assert_eq!(known.fold(FolderRights::NONE, |all, one| all | one), role("Reviewer"));
}

/// Add-MailboxFolderPermission; FolderPermissionLevel of the EWS Managed API.
#[test]
fn roles_are_the_rights_that_outlook_means_by_them() {
    let named = [
        ("None", ""),
        ("AvailabilityOnly", "FreeBusySimple"),
        ("LimitedDetails", "FreeBusySimple,FreeBusyDetailed"),
        ("Contributor", "Create,Visible"),
        ("Reviewer", "ReadAny,Visible"),
        ("NonEditingAuthor", "ReadAny,Create,DeleteOwned,Visible"),
        ("Author", "ReadAny,Create,EditOwned,DeleteOwned,Visible"),
        ("PublishingAuthor", "ReadAny,Create,EditOwned,DeleteOwned,CreateSubfolder,Visible"),
        ("Editor", "ReadAny,Create,EditOwned,DeleteOwned,EditAny,DeleteAny,Visible"),
        ("PublishingEditor", "ReadAny,Create,EditOwned,DeleteOwned,EditAny,DeleteAny,CreateSubfolder,Visible"),
        ("Owner", "ReadAny,Create,EditOwned,DeleteOwned,EditAny,DeleteAny,CreateSubfolder,FolderOwner,Contact,Visible"),
    ];
    for (name, rights) in named {
        let all = rights.split(',').filter(|name| !name.is_empty()).map(role);
        assert_eq!(all.fold(FolderRights::NONE, |all, one| all | one), role(name), "{name}");
        assert_eq!(role(name).to_string(), name);
    }
}

#[test]
fn rights_have_the_names_of_mapi_and_of_exchange() {
    assert_eq!(role("ReadItems,create items"), role("ReadAny,Create"));
    assert_eq!(role("publishing-editor"), role("PublishingEditor"));
    assert_eq!(role("Reviewer, CreateSubfolders").to_string(), "ReadAny,CreateSubfolder,Visible");
    assert!("Emperor".parse::<FolderRights>().is_err());
    assert!("".parse::<FolderRights>().is_err());
}

#[test]
fn who_may_change_any_item_may_change_his_own() {
    assert!(role("EditAny").contains(FolderRights::EDIT_OWNED));
    assert!(role("DeleteAllItems").contains(FolderRights::DELETE_OWNED));
    assert!(role("FreeBusyDetailed").contains(FolderRights::FREE_BUSY_SIMPLE));
}

#[test]
fn a_path_has_a_backslash_before_each_name() {
    for wrong in ["", "Calendar", "\\\\", "\\Inbox\\", "\\ Inbox", "\\a\nb", "/Inbox"] {
        assert!(wrong.parse::<FolderPath>().is_err(), "{wrong:?}");
    }
    assert_eq!(path("\\Inbox\\Orders").names().collect::<Vec<_>>(), ["Inbox", "Orders"]);
    assert_eq!(path("\\Inbox").parent(), Some(FolderPath::root()));
    assert_eq!(FolderPath::root().parent(), None);
    assert!(path("\\Inbox").is(&path("\\INBOX")));
    assert!(!path("\\Inbox").is(&path("\\Sent")));
}

const ACCOUNTS: usize = 5;
const GROUPS: usize = 4;
const PLACES: [&str; 4] = ["\\", "\\A", "\\A\\B", "\\A\\B\\C"];

/// A mailbox of account 0, as plain data.
#[derive(Clone, Debug)]
struct Plain {
    /// Accounts in groups.
    members: [BTreeSet<usize>; GROUPS],
    /// Groups in groups.
    nested: [BTreeSet<usize>; GROUPS],
    full_access: BTreeSet<usize>,
    lists: [Option<PlainList>; 4],
}

#[derive(Clone, Debug, Default)]
struct PlainList {
    accounts: BTreeMap<usize, u32>,
    groups: BTreeMap<usize, u32>,
    default: u32,
    anonymous: u32,
}

const EVERYTHING: u32 = 0x1FFB;

impl Plain {
    /// Groups that an account is in, through others too.
    fn groups_of(&self, account: usize) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> = (0..GROUPS).filter(|group| self.members[*group].contains(&account)).collect();
        loop {
            let more: BTreeSet<usize> =
                (0..GROUPS).filter(|group| self.nested[*group].iter().any(|inner| found.contains(inner))).collect();
            let before = found.len();
            found.extend(more);
            if found.len() == before {
                return found;
            }
        }
    }

    /// What the permission lists mean, as Outlook explains them.
    fn rights(&self, who: Option<usize>, place: usize) -> u32 {
        if who == Some(0) || who.is_some_and(|who| self.full_access.contains(&who)) {
            return EVERYTHING;
        }
        let Some(list) = self.lists[..=place].iter().rev().flatten().next() else { return 0 };
        let Some(who) = who else { return list.anonymous };
        if let Some(rights) = list.accounts.get(&who) {
            return *rights;
        }
        let groups = self.groups_of(who);
        let named: Vec<u32> = list.groups.iter().filter(|(group, _)| groups.contains(group)).map(|(_, r)| *r).collect();
        if named.is_empty() { list.default } else { named.iter().fold(0, |all, rights| all | rights) }
    }

    fn load(&self) -> Directory {
        let mut world = World::new();
        let (accounts, groups) = (|at: &usize| format!("account{at}"), |at: &usize| format!("Group{at}"));
        for at in 0..ACCOUNTS {
            world.user(&accounts(&at));
        }
        for at in 0..GROUPS {
            world.group(&groups(&at), &[]);
        }
        for at in 0..GROUPS {
            let names = self.members[at].iter().map(accounts).chain(self.nested[at].iter().map(groups));
            let names: Vec<String> = names.collect();
            world.link(&groups(&at), a::MEMBER, &names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let aces: Vec<Ace> = self.full_access.iter().map(|at| world.full_access(&accounts(at))).collect();
        world.mailbox_acl("account0", &aces);
        let mut values = Vec::new();
        for (place, list) in PLACES.iter().zip(&self.lists) {
            let Some(plain) = list else { continue };
            let rights = |mask: u32| FolderRights::of_mask(AccessMask(mask));
            let mut list = FolderList {
                default: rights(plain.default),
                anonymous: rights(plain.anonymous),
                ..FolderList::default()
            };
            plain.groups.iter().for_each(|(at, mask)| list.set(&world.sid(&groups(at)), rights(*mask), true));
            plain.accounts.iter().for_each(|(at, mask)| list.set(&world.sid(&accounts(at)), rights(*mask), false));
            values.push(value(place, list.to_descriptor()));
        }
        world.set("account0", a::FOLDER_PERMISSION, values).load()
    }
}

fn mask() -> impl Strategy<Value = u32> {
    prop_oneof![
        1 => Just(0),
        1 => Just(EVERYTHING),
        2 => Just(0x401),
        2 => Just(0x402),
        4 => (0..=EVERYTHING).prop_map(|mask| mask & EVERYTHING),
    ]
}

fn plain_list() -> impl Strategy<Value = PlainList> {
    let accounts = prop::collection::btree_map(0..ACCOUNTS, mask(), 0..3);
    let groups = prop::collection::btree_map(0..GROUPS, mask(), 0..GROUPS);
    (accounts, groups, mask(), mask()).prop_map(|(accounts, groups, default, anonymous)| PlainList {
        accounts,
        groups,
        default,
        anonymous,
    })
}

fn plain() -> impl Strategy<Value = Plain> {
    let members = prop::array::uniform4(prop::collection::btree_set(0..ACCOUNTS, 0..3));
    let nested = prop::array::uniform4(prop::collection::btree_set(0..GROUPS, 0..2));
    let full_access = prop::collection::btree_set(1..ACCOUNTS, 0..2);
    let lists = prop::array::uniform4(prop::option::of(plain_list()));
    (members, nested, full_access, lists).prop_map(|(members, nested, full_access, lists)| Plain {
        members,
        nested,
        full_access,
        lists,
    })
}

proptest! {
    /// Accounts, anonymous, folders with lists and without: the access check over descriptors says what the lists mean.
    #[test]
    fn what_is_decided_is_what_the_lists_mean(plain in plain()) {
        let directory = plain.load();
        let owner = directory.id("account0");
        for (place, name) in PLACES.iter().enumerate() {
            let asked = |token: &Token| access(&directory.snapshot, token, owner, &path(name)).unwrap();
            let anonymous = asked(&directory.snapshot.anonymous_token());
            prop_assert_eq!(anonymous.rights.mask().0, plain.rights(None, place), "anonymous on {}", name);
            for account in 0..ACCOUNTS {
                let found = asked(&directory.account(&format!("account{account}")));
                prop_assert_eq!(found.rights.mask().0, plain.rights(Some(account), place), "{} on {}", account, name);
            }
        }
    }

    /// The list is read back from its descriptor, so that it can be shown and changed.
    #[test]
    fn a_list_comes_back_from_its_descriptor(plain in plain_list(), none_last in any::<bool>()) {
        let mut list = FolderList {
            default: FolderRights::of_mask(AccessMask(plain.default)),
            anonymous: FolderRights::of_mask(AccessMask(plain.anonymous)),
            ..FolderList::default()
        };
        let sid = |at: usize| format!("S-1-5-21-1-2-3-{}", 1000 + at).parse::<acl::Sid>().unwrap();
        let rights = |mask: u32| FolderRights::of_mask(AccessMask(mask));
        plain.accounts.iter().for_each(|(at, mask)| list.set(&sid(*at), rights(*mask), false));
        plain.groups.iter().for_each(|(at, mask)| list.set(&sid(100 + at), rights(*mask), true));
        if none_last {
            list.groups.sort_by_key(|entry| entry.rights.is_empty());
        }
        let read = FolderList::of(&list.to_descriptor()).unwrap();
        prop_assert_eq!(read.to_descriptor(), list.to_descriptor());
        list.groups.sort_by_key(|entry| entry.rights.is_empty());
        prop_assert_eq!(read, list);
    }
}

//! Transactions: what a session may go on with, limits, marks, and what a change of the directory in between does.

use std::net::IpAddr;

use acl::{Ace, well_known};
use directory::{HostKind, Snapshot, Time, attributes as a};
use message::senders::{SenderFault, Senders};
use rights::{
    Accepted, AddressTrust, Authority, RecipientBy, Refusal, RightName, Transaction, address_trust, may_log_on,
};

use crate::world::{Directory, World, address, allow, header};

/// Alice and Bob; these entries stand on the receive connector.
fn world(aces: &[Ace]) -> World {
    let mut world = World::new();
    world.user("alice").user("bob").acl("Receive", aces);
    world
}

fn anonymous(right: RightName) -> Ace {
    allow(&well_known::ANONYMOUS_LOGON, right)
}

fn authenticated(right: RightName) -> Ace {
    allow(&well_known::AUTHENTICATED_USERS, right)
}

fn alice(directory: &Directory) -> Authority {
    Authority { account: Some(directory.id("alice")), ..nobody(directory) }
}

fn nobody(directory: &Directory) -> Authority {
    Authority::new(directory.id("Receive"), None)
}

/// MAIL FROM the null sender, or from an address.
fn begin(directory: &Directory, authority: &Authority, from: Option<&str>) -> Result<Transaction, Refusal> {
    let from = from.map(address);
    Transaction::mail_from(&directory.snapshot, authority, Time(0), from.as_ref(), false)
        .map_err(|denied| denied.refusal)
}

fn end(
    snapshot: &Snapshot,
    authority: &Authority,
    transaction: &mut Transaction,
    senders: &Senders,
) -> Result<Accepted, Refusal> {
    let senders: Result<&Senders, &SenderFault> = Ok(senders);
    transaction.header(snapshot, authority, Time(0), senders).map_err(|denied| denied.refusal)
}

#[test]
fn a_session_goes_on_while_its_connector_is_in_service_and_its_account_enabled() {
    let mut world = world(&[]);
    let check = |world: &World| {
        let directory = world.load();
        (nobody(&directory).check(&directory.snapshot), alice(&directory).check(&directory.snapshot))
    };
    assert_eq!(check(&world), (Ok(()), Ok(())));
    world.text("alice", a::USER_ACCOUNT_CONTROL, "514");
    assert_eq!(check(&world), (Ok(()), Err(Refusal::AccountEnded)));
    world.text("Receive", a::RECEIVE_ENABLED, "FALSE");
    assert_eq!(check(&world), (Err(Refusal::ConnectorEnded), Err(Refusal::ConnectorEnded)));
}

/// A connector that believes addresses of 192.0.2.0/24.
fn trusting(aces: &[Ace]) -> World {
    let mut world = world(aces);
    world.text("Receive", a::RECEIVE_SECURITY, "32").text("Receive", a::RECEIVE_RANGES, "192.0.2.0/24");
    world
}

fn trust(world: &World) -> (AddressTrust, Option<HostKind>, Option<HostKind>) {
    let directory = world.load();
    let connector = directory.id("Receive");
    let host = |ip: &str| nobody(&directory).host_by_address(&directory.snapshot, ip.parse::<IpAddr>().unwrap());
    (address_trust(&directory.snapshot, connector), host("192.0.2.7"), host("198.51.100.7"))
}

#[test]
fn an_address_in_range_is_an_externally_secured_server_and_no_other_is() {
    assert_eq!(trust(&trusting(&[])), (AddressTrust::Believed, Some(HostKind::ExternallySecured), None));
}

#[test]
fn no_address_is_believed_where_strangers_submit_where_all_addresses_may_come_or_where_it_is_off() {
    let strangers = trusting(&[anonymous(RightName::Submit)]);
    assert_eq!(trust(&strangers), (AddressTrust::TakesStrangers, None, None));
    let mut world = trusting(&[]);
    world.text("Receive", a::RECEIVE_RANGES, "0.0.0.0/0");
    assert_eq!(trust(&world), (AddressTrust::Unbounded, None, None));
    world.text("Receive", a::RECEIVE_SECURITY, "0").text("Receive", a::RECEIVE_RANGES, "192.0.2.0/24");
    assert_eq!(trust(&world), (AddressTrust::Off, None, None));
}

#[test]
fn a_directory_that_is_out_of_date_makes_no_address_believed_where_strangers_submit() {
    let directory = trusting(&[anonymous(RightName::Submit)]).load();
    let stale = directory.snapshot.clone().dated(true);
    assert_eq!(address_trust(&stale, directory.id("Receive")), AddressTrust::TakesStrangers);
    assert_eq!(nobody(&directory).host_by_address(&stale, "192.0.2.7".parse().unwrap()), None);
}

#[test]
fn the_size_limit_of_the_connector_binds_unless_a_token_that_is_left_bypasses_it() {
    let limit = |aces: &[Ace]| {
        let mut world = world(aces);
        let directory = world.text("Receive", a::RECEIVE_MAX_MESSAGE, "4711").load();
        let authority = alice(&directory);
        begin(&directory, &authority, None).unwrap().size_limit(&directory.snapshot, &authority, Time(0))
    };
    let submit = [authenticated(RightName::Submit), anonymous(RightName::Submit)];
    let with = |ace: Ace| [submit.as_slice(), &[ace]].concat();
    assert_eq!(limit(&submit), Some(4711));
    assert_eq!(limit(&with(authenticated(RightName::BypassMessageSizeLimit))), None);
    assert_eq!(limit(&with(anonymous(RightName::BypassMessageSizeLimit))), None);
}

#[test]
fn the_data_of_xexch50_are_taken_where_a_token_that_is_left_holds_their_right() {
    let takes = |aces: &[Ace]| {
        let directory = world(aces).load();
        let authority = alice(&directory);
        begin(&directory, &authority, None).unwrap().accepts_exch50(&directory.snapshot, &authority, Time(0))
    };
    assert!(!takes(&[authenticated(RightName::Submit)]));
    assert!(takes(&[authenticated(RightName::Submit), authenticated(RightName::AcceptExch50)]));
}

#[test]
fn a_transaction_remembers_whether_it_was_marked_anonymous() {
    let directory = world(&[anonymous(RightName::Submit)]).load();
    for marked in [false, true] {
        let begun = Transaction::mail_from(&directory.snapshot, &nobody(&directory), Time(0), None, marked);
        assert_eq!(begun.unwrap().marked_anonymous(), marked);
    }
}

#[test]
fn a_recipient_of_the_directory_is_found_and_a_stranger_does_not_relay() {
    let directory = world(&[anonymous(RightName::Submit)]).load();
    let authority = nobody(&directory);
    let to = |to: &str| {
        let mut transaction = begin(&directory, &authority, None).unwrap();
        let granted = transaction.recipient(&directory.snapshot, &authority, Time(0), &address(to));
        granted.map(|grant| (grant.object, grant.by)).map_err(|denied| denied.refusal)
    };
    let own = to("bob@example.com").unwrap();
    assert_eq!(own.0, Some(directory.id("bob")));
    assert!(matches!(own.1, RecipientBy::AcceptedDomain(_)));
    let stranger = "somebody@partner.example";
    assert_eq!(to(stranger).err(), Some(Refusal::UnableToRelay(address(stranger))));
}

/// Somebody else's From, on a connector of this mode.
fn foreign_header(mode: &str) -> Result<Accepted, Refusal> {
    let mut world = world(&[authenticated(RightName::Submit)]);
    let directory = world.text("Receive", a::HEADER_FROM, mode).load();
    let authority = alice(&directory);
    let mut transaction = begin(&directory, &authority, Some("alice@example.com")).unwrap();
    end(&directory.snapshot, &authority, &mut transaction, &header("bob@example.com", None))
}

#[test]
fn a_connector_enforces_observes_or_does_not_look_at_header_senders() {
    let refusal = Refusal::From(address("bob@example.com"));
    assert_eq!(foreign_header("enforce").err(), Some(refusal.clone()));
    let observed = foreign_header("observe").unwrap();
    assert_eq!(observed.observed.map(|denied| denied.refusal), Some(refusal));
    assert!(foreign_header("off").unwrap().observed.is_none());
}

#[test]
fn a_message_tells_what_it_rests_on_where_it_is_sent_as_or_on_behalf_of_somebody_else_and_else_not() {
    let steps = |change: &dyn Fn(&mut World), from: &str| {
        let mut world = world(&[authenticated(RightName::Submit)]);
        change(&mut world);
        let directory = world.load();
        let authority = alice(&directory);
        let mut transaction = begin(&directory, &authority, Some("alice@example.com")).unwrap();
        !end(&directory.snapshot, &authority, &mut transaction, &header(from, None)).unwrap().steps.is_empty()
    };
    let send_as = |world: &mut World| {
        let ace = world.send_as("alice");
        world.acl("bob", &[ace]);
    };
    let on_behalf = |world: &mut World| {
        world.link("bob", a::PUBLIC_DELEGATES, &["alice"]);
    };
    assert!(!steps(&|_| {}, "alice@example.com"));
    assert!(steps(&send_as, "bob@example.com"));
    assert!(steps(&on_behalf, "bob@example.com"));
}

#[test]
fn fields_of_the_header_and_the_filter_go_by_the_rights_of_the_token() {
    let found = |rights: &[RightName]| {
        let mut aces = vec![authenticated(RightName::Submit)];
        aces.extend(rights.iter().map(|right| authenticated(*right)));
        let directory = world(&aces).load();
        let authority = alice(&directory);
        let mut transaction = begin(&directory, &authority, None).unwrap();
        let accepted =
            end(&directory.snapshot, &authority, &mut transaction, &header("alice@example.com", None)).unwrap();
        let keep = accepted.keep;
        [keep.routing, keep.organization, keep.forest, accepted.bypass_anti_spam]
    };
    assert_eq!(found(&[]), [false; 4]);
    assert_eq!(found(&[RightName::AcceptHeadersRouting]), [true, false, false, false]);
    assert_eq!(found(&[RightName::AcceptHeadersOrganization]), [false, true, false, false]);
    assert_eq!(found(&[RightName::AcceptHeadersForest]), [false, false, true, false]);
    assert_eq!(found(&[RightName::BypassAntiSpam]), [false, false, false, true]);
}

/// The directory a version later, with other entries on the receive connector.
fn later(world: &mut World, aces: &[Ace]) -> Directory {
    world.acl("Receive", aces).load_as(2)
}

#[test]
fn what_was_taken_away_since_mail_from_refuses_the_recipient_and_the_message() {
    let mut world = world(&[authenticated(RightName::Submit)]);
    let before = world.load();
    let authority = alice(&before);
    let transaction = begin(&before, &authority, None).unwrap();
    let after = later(&mut world, &[]);
    let to = address("bob@example.com");
    let refused = transaction.clone().recipient(&after.snapshot, &authority, Time(0), &to).err().map(|d| d.refusal);
    assert_eq!(refused, Some(Refusal::NoSubmit));
    let refused = end(&after.snapshot, &authority, &mut transaction.clone(), &header("alice@example.com", None));
    assert_eq!(refused.err(), Some(Refusal::NoSubmit));
}

#[test]
fn a_recipient_that_is_no_longer_allowed_refuses_the_message() {
    let (submit, any) = (authenticated(RightName::Submit), authenticated(RightName::AcceptAnyRecipient));
    let mut world = world(&[submit.clone(), any]);
    let before = world.load();
    let authority = alice(&before);
    let mut transaction = begin(&before, &authority, None).unwrap();
    transaction.recipient(&before.snapshot, &authority, Time(0), &address("x@partner.example")).unwrap();
    let after = later(&mut world, &[submit]);
    let refused = end(&after.snapshot, &authority, &mut transaction, &header("alice@example.com", None));
    assert_eq!(refused.err(), Some(Refusal::UnableToRelay(address("x@partner.example"))));
}

#[test]
fn a_session_whose_account_was_disabled_since_mail_from_has_ended() {
    let mut world = world(&[authenticated(RightName::Submit)]);
    let before = world.load();
    let authority = alice(&before);
    let mut transaction = begin(&before, &authority, None).unwrap();
    let after = world.text("alice", a::USER_ACCOUNT_CONTROL, "514").load_as(2);
    let refused = end(&after.snapshot, &authority, &mut transaction, &header("alice@example.com", None));
    assert_eq!(refused.err(), Some(Refusal::AccountEnded));
}

#[test]
fn a_logon_needs_submit_for_the_account_and_full_access_to_the_mailbox() {
    let mut world = world(&[anonymous(RightName::Submit)]);
    let may = |world: &World, logon: Option<&str>| {
        let directory = world.load();
        let (who, logon) = (directory.id("alice"), logon.map(|name| directory.id(name)));
        may_log_on(&directory.snapshot, &nobody(&directory), Time(0), who, logon).map_err(|denied| denied.refusal)
    };
    assert_eq!(may(&world, None), Err(Refusal::AuthenticationFailed));
    world.acl("Receive", &[authenticated(RightName::Submit)]);
    assert_eq!(may(&world, None), Ok(()));
    assert_eq!(may(&world, Some("bob")), Err(Refusal::AuthenticationFailed));
    let open = world.full_access("alice");
    assert_eq!(may(world.mailbox_acl("bob", &[open]), Some("bob")), Ok(()));
    world.text("alice", a::USER_ACCOUNT_CONTROL, "514");
    assert_eq!(may(&world, None), Err(Refusal::AuthenticationFailed));
}

#[test]
fn a_failed_logon_tells_which_token_failed() {
    let directory = world(&[]).load();
    let denied =
        may_log_on(&directory.snapshot, &nobody(&directory), Time(0), directory.id("alice"), None).unwrap_err();
    assert_eq!(denied.token.account, Some(directory.id("alice")));
}

#[test]
fn a_logon_to_a_directory_that_is_out_of_date_is_neither_good_nor_bad() {
    let directory = world(&[authenticated(RightName::Submit)]).load();
    let stale = directory.snapshot.clone().dated(true);
    let may = may_log_on(&stale, &nobody(&directory), Time(0), directory.id("alice"), None);
    assert_eq!(may.unwrap_err().refusal, Refusal::DirectoryUnavailable);
}

#[test]
fn a_directory_that_is_out_of_date_since_mail_from_refuses_for_now() {
    let before = world(&[authenticated(RightName::Submit)]).load();
    let authority = alice(&before);
    let mut transaction = begin(&before, &authority, None).unwrap();
    let stale = before.snapshot.clone().dated(true);
    let to = address("bob@example.com");
    let refused = transaction.recipient(&stale, &authority, Time(0), &to).unwrap_err().refusal;
    assert_eq!(refused, Refusal::DirectoryUnavailable);
}

#[test]
fn a_directory_that_is_out_of_date_refuses_the_message_where_header_senders_are_not_looked_at_too() {
    let mut world = world(&[authenticated(RightName::Submit)]);
    let before = world.text("Receive", a::HEADER_FROM, "off").load();
    let authority = alice(&before);
    let mut transaction = begin(&before, &authority, None).unwrap();
    let stale = before.snapshot.clone().dated(true);
    let refused = end(&stale, &authority, &mut transaction, &header("alice@example.com", None));
    assert_eq!(refused.err(), Some(Refusal::DirectoryUnavailable));
}

#[test]
fn a_directory_that_is_out_of_date_neither_grants_nor_refuses_for_good() {
    let world = world(&[authenticated(RightName::Submit)]);
    let mut directory = world.load();
    let authority = alice(&directory);
    let mut transaction = begin(&directory, &authority, Some("alice@example.com")).unwrap();
    directory.snapshot = Snapshot::clone(&directory.snapshot).dated(true);
    for from in ["alice@example.com", "bob@example.com"] {
        assert_eq!(begin(&directory, &authority, Some(from)).unwrap_err(), Refusal::DirectoryUnavailable, "{from}");
    }
    let message = header("alice@example.com", None);
    let ended = end(&directory.snapshot, &authority, &mut transaction, &message);
    assert_eq!(ended.unwrap_err(), Refusal::DirectoryUnavailable);
    let current = Snapshot::clone(&directory.snapshot).dated(false);
    assert!(end(&current, &authority, &mut transaction, &message).is_ok());
}

//! What happens to a session while things change, and what survives within one.

use e2e::{Demo, Mechanism, Talk, require};

const PERMISSION: &str = "550 5.7.1 Client does not have permissions";

fn message(from: &str, subject: &str) -> String {
    format!("From: {from}\nSubject: {subject}\n\nhello\n")
}

#[track_caller]
fn log_on(demo: &Demo, name: &str) -> Talk {
    let mut talk = Talk::connect(demo.client_port);
    let reply = talk.log_on(name, &format!("{name}-demo"), None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}");
    talk
}

/// Sends as `from` in the envelope and in the header.
#[track_caller]
fn send_as(talk: &mut Talk, from: &str) -> String {
    talk.send(from, &["bob@example.com"], &message(from, "test"))
}

#[track_caller]
fn starts(reply: &str, expected: &str) {
    assert!(reply.starts_with(expected), "{reply:?} instead of {expected:?}");
}

fn python() -> bool {
    require(&["python3"])
}

#[test]
fn a_revoked_delegation_counts_at_the_next_message_of_an_open_session() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut alice = log_on(&demo, "alice");
    starts(&send_as(&mut alice, "ceo@example.com"), "250");
    demo.procura(&["send-on-behalf", "remove", "ceo", "alice"]).ok();
    starts(&send_as(&mut alice, "ceo@example.com"), PERMISSION);
}

#[test]
fn a_grant_counts_at_the_next_message_of_an_open_session() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut bob = log_on(&demo, "bob");
    starts(&send_as(&mut bob, "ceo@example.com"), PERMISSION);
    demo.procura(&["permission", "add", "ceo", "--user", "bob", "--right", "Send As"]).ok();
    starts(&send_as(&mut bob, "ceo@example.com"), "250");
    demo.procura(&["permission", "remove", "ceo", "--user", "bob", "--right", "Send As"]).ok();
    starts(&send_as(&mut bob, "ceo@example.com"), PERMISSION);
}

#[test]
fn leaving_a_nested_group_counts_at_the_next_message_of_an_open_session() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut frank = log_on(&demo, "frank");
    starts(&send_as(&mut frank, "sales@example.com"), "250");
    demo.procura(&["group", "member", "remove", "Sales Seniors", "frank"]).ok();
    starts(&send_as(&mut frank, "sales@example.com"), PERMISSION);
}

#[test]
fn a_disabled_account_loses_its_open_session() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut bob = log_on(&demo, "bob");
    starts(&send_as(&mut bob, "bob@example.com"), "250");
    demo.procura(&["user", "set", "bob", "--disable"]).ok();
    starts(&bob.command("MAIL FROM:<bob@example.com>"), "421");
}

#[test]
fn a_deleted_account_loses_its_open_session() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut bob = log_on(&demo, "bob");
    demo.procura(&["user", "remove", "bob"]).ok();
    starts(&bob.command("MAIL FROM:<bob@example.com>"), "421");
}

#[test]
fn access_to_a_mailbox_is_checked_again_for_each_message() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut dave = Talk::connect(demo.client_port);
    starts(&dave.log_on("dave", "dave-demo", Some("ceo@example.com"), Mechanism::Plain), "235");
    let as_ceo = message("ceo@example.com", "as ceo");
    starts(&dave.send("dave@example.com", &["bob@example.com"], &as_ceo), "250");
    demo.procura(&["mailbox-permission", "remove", "ceo", "--user", "dave"]).ok();
    let reply = dave.send("dave@example.com", &["bob@example.com"], &message("ceo@example.com", "later"));
    // Without access the logon to the mailbox is over; whatever is said, the message does not go out as the owner.
    let delivered = reply.starts_with("250").then(|| demo.delivered("later"));
    let as_owner = delivered.is_some_and(|message| message.value("Sender").is_none());
    assert!(!as_owner, "sent as ceo without access: {reply}");
}

#[test]
fn an_old_password_is_refused_as_soon_as_there_is_a_new_one() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    // The first logon makes the server remember that the old password was right.
    drop(log_on(&demo, "bob"));
    demo.procura_with(&["password", "set", "bob", "--stdin"], "a new one\n").ok();
    let old = Talk::connect(demo.client_port).log_on("bob", "bob-demo", None, Mechanism::Plain);
    starts(&old, "535 5.7.3 Authentication unsuccessful");
    let new = Talk::connect(demo.client_port).log_on("bob", "a new one", None, Mechanism::Plain);
    starts(&new, "235");
}

#[test]
fn nothing_of_a_refused_message_is_left_for_the_next() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut bob = log_on(&demo, "bob");
    starts(&bob.send("bob@example.com", &["alice@example.com"], &message("ceo@example.com", "x")), PERMISSION);
    starts(&bob.command("RCPT TO:<alice@example.com>"), "503");
    starts(&bob.command("DATA"), "503");
}

#[test]
fn the_auth_parameter_of_mail_proves_nothing() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut bob = log_on(&demo, "bob");
    starts(&bob.command("MAIL FROM:<bob@example.com> AUTH=ceo@example.com"), "250");
    starts(&bob.command("RSET"), "250");
    let mut stranger = Talk::connect(demo.internet_port);
    starts(&stranger.command("MAIL FROM:<ceo@example.com> AUTH=ceo@example.com"), PERMISSION);
}

#[test]
fn passwords_are_asked_for_after_tls_only() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut talk = Talk::connect(demo.client_port);
    let offers = talk.command("EHLO client.test");
    assert!(offers.contains("STARTTLS") && !offers.contains("AUTH"), "{offers}");
    let reply = talk.command("AUTH PLAIN AGJvYgBib2ItZGVtbw==");
    assert!(reply.starts_with('5'), "{reply}");
    starts(&talk.command("MAIL FROM:<bob@example.com>"), "530");
}

#[test]
fn what_strangers_see_offers_no_passwords() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut talk = Talk::connect(demo.internet_port);
    let offers = talk.command("EHLO client.test");
    assert!(!offers.contains("AUTH"), "{offers}");
}

#[test]
fn a_message_with_some_recipients_refused_goes_to_the_others() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut talk = Talk::connect(demo.internet_port);
    let to = ["nobody@example.com", "bob@example.com"];
    let refused = talk.send_to_whom_it_goes("stranger@outside.test", &to, &message("stranger@outside.test", "some"));
    assert!(refused.starts_with("nobody@example.com 550 5.1.1") && !refused.contains("bob@"), "{refused}");
    demo.delivered("some");
}

#[test]
fn without_a_recipient_there_is_no_message() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    let mut talk = Talk::connect(demo.internet_port);
    starts(&talk.command("MAIL FROM:<stranger@outside.test>"), "250");
    starts(&talk.command("RCPT TO:<nobody@example.com>"), "550 5.1.1");
    let reply = talk.command("DATA");
    assert!(reply.starts_with("503") || reply.starts_with("554"), "{reply}");
}

#[test]
fn a_tag_counts_for_its_owner_where_the_domain_allows_tags() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    demo.procura(&["domain", "set", "example.com", "--subaddressing", "true"]).ok();
    let mut bob = log_on(&demo, "bob");
    starts(&send_as(&mut bob, "bob+list@example.com"), "250");
    starts(&send_as(&mut bob, "ceo+list@example.com"), PERMISSION);
    let to_tag = bob.send("bob@example.com", &["alice+news@example.com"], &message("bob@example.com", "tagged"));
    starts(&to_tag, "250");
    demo.delivered("tagged");
}

#[test]
fn a_tag_is_nobody_where_the_domain_allows_none() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    demo.procura(&["domain", "set", "example.com", "--subaddressing", "false"]).ok();
    let mut bob = log_on(&demo, "bob");
    starts(&send_as(&mut bob, "bob+list@example.com"), PERMISSION);
    let to_tag = bob.send("bob@example.com", &["alice+news@example.com"], &message("bob@example.com", "x"));
    starts(&to_tag, "550 5.1.1 User unknown");
}

#[test]
fn a_tag_of_ceo_from_outside_is_as_refused_as_ceo() {
    if !python() {
        return;
    }
    let demo = Demo::start();
    for tags in ["true", "false"] {
        demo.procura(&["domain", "set", "example.com", "--subaddressing", tags]).ok();
        let mut talk = Talk::connect(demo.internet_port);
        starts(&send_as(&mut talk, "ceo+x@example.com"), PERMISSION);
    }
}

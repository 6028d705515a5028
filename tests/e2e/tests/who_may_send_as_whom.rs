//! Who × envelope × From × Sender × logon → reply, delivered message and stamps: the tables under `tables/`, each run
//! with real clients against a demo of its own. `PROCURA_E2E_TRANSCRIPTS=1` shows the whole session of a row that is wrong.

use e2e::{require, run_table};

macro_rules! tables {
    ($($(#[doc = $about:literal])+ $test:ident: $file:literal;)+) => {
        $(
            $(#[doc = $about])+
            #[test]
            fn $test() {
                if require(&["swaks", "curl", "python3", "msmtp", "node"]) {
                    run_table($file, include_str!(concat!("../tables/", $file)));
                }
            }
        )+
    };
}

tables! {
    /// authorization.md §4, owner(R).
    everybody_sends_as_himself_and_as_nobody_else: "owners.table";
    /// authorization.md §5, 3-4.
    a_delegate_sends_on_behalf_and_is_named: "delegates.table";
    /// authorization.md §6, full_access and super_delegate.
    full_access_to_a_mailbox_is_not_send_as: "mailbox_logons.table";
    /// authorization.md §3 and §4, send_as(R).
    send_as_follows_groups_denials_and_inheritance: "send_as.table";
    /// authorization.md §4, Any-Sender and Authoritative-Domain-Sender.
    strangers_send_as_strangers_only: "anonymous.table";
    /// authorization.md §4, RCPT TO.
    mail_goes_where_it_may_go: "recipients.table";
    /// authorization.md §5, 1 and 5; attack 18.
    a_header_has_one_meaning_or_is_refused: "headers.table";
    /// authorization.md §4, Accept-Headers-*; attack 24.
    fields_about_trust_are_ours_alone: "firewall.table";
    /// authorization.md §2 and §4, AUTH; attack 26.
    an_account_has_several_names_and_one_password: "passwords.table";
    /// authorization.md §2: password, SCRAM, OAuth, each with the clients that know it.
    every_client_logs_on_with_every_mechanism_it_knows: "mechanisms.table";
}

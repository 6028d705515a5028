//! What goes wrong between a node and a real domain controller (Samba): no wrong verdict, no crash, and back without a restart.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use e2e::{DomainController, DomainSite, Talk, faketime, send_as};

const PASSWORD: &str = DomainSite::PASSWORD;
const REFUSED: &str = DomainSite::REFUSED;
/// Something happens within some seconds; a loaded machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

fn person(name: &str) -> String {
    DomainController::person(name)
}

/// hanna may send as ivan; jana is there, and hanna may not send as her.
fn granted(controller: &DomainController) {
    controller.add_person("jana");
    let hanna = controller.sid(&person("hanna"));
    controller.add_ace(&person("ivan"), &DomainController::send_as(&hanna));
}

/// The verdicts are those of [`granted`].
#[track_caller]
fn verdicts_stand(site: &DomainSite, talk: &mut Talk, when: &str) {
    let (allowed, refused) = (send_as(talk, "ivan"), send_as(talk, "jana"));
    assert!(allowed.starts_with("250"), "{when}: {allowed}\n{}", site.output());
    assert!(refused.starts_with(REFUSED), "{when}: {refused}\n{}", site.output());
}

/// What went wrong with the domain controller, once something did.
#[track_caller]
fn error(site: &DomainSite, when: &str) -> String {
    let status = site.until_status(|status| status["servers"][0]["error"].is_string());
    assert_eq!(status["available"], true, "{when}: {status}");
    assert_eq!(status["domains"][0]["problems"].as_array().map(Vec::len), Some(0), "{when}: {status}");
    status["servers"][0]["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_restart_needs_no_domain_controller() {
    let Some(mut site) = DomainSite::start(granted) else { return };
    site.until_followed();
    site.stop();
    site.controller.stop();
    site.serve();
    // Nobody can log on, and what is known counts.
    let check = |from: &str| site.procura(&["check", "--as", "hanna@ad.example.test", "--from", from]);
    assert_eq!(check("ivan@ad.example.test").code, 0, "{}", check("ivan@ad.example.test").all());
    assert_eq!(check("jana@ad.example.test").code, 1, "{}", check("jana@ad.example.test").all());
    let reply = site.log_on("hanna", PASSWORD);
    assert!(reply.starts_with("454"), "{reply}");
    error(&site, "after a restart");
}

#[test]
fn a_domain_that_is_away_for_too_long_decides_nothing_until_it_is_back() {
    let Some(mut site) = DomainSite::start(|_| {}) else { return };
    site.configure("stale_limit_seconds = 8\nmax_age_seconds = 2\n");
    site.serve();
    site.until_followed();
    let mut talk = site.session("hanna");
    site.until(&mut talk, REFUSED);
    site.controller.stop();
    site.until(&mut talk, "451 4.3.0");
    // Nobody logs on either, with a password that was right a moment ago.
    let reply = site.log_on("hanna", PASSWORD);
    assert!(reply.starts_with("454"), "{reply}");
    site.controller.resume();
    site.until(&mut talk, REFUSED);
}

#[test]
fn a_domain_controller_that_stalls_is_left_and_found_again() {
    let Some(mut site) = DomainSite::start(|_| {}) else { return };
    site.configure("stale_limit_seconds = 8\nmax_age_seconds = 2\n");
    site.serve();
    site.until_followed();
    let mut talk = site.session("hanna");
    site.until(&mut talk, REFUSED);
    site.controller.stall(true);
    site.until(&mut talk, "451 4.3.0");
    site.controller.stall(false);
    site.until(&mut talk, REFUSED);
}

#[test]
fn whatever_a_domain_controller_answers_no_verdict_changes_and_it_is_followed_again_afterwards() {
    let Some(site) = DomainSite::start_meddled(granted) else { return };
    let mut talk = site.session("hanna");
    site.until(&mut talk, "250");
    for (order, said) in [
        ("stall", "does not answer in time"),
        ("drip", "does not answer in time"),
        ("numbers", "another question"),
        ("kinds", "another question"),
        ("lengths", "too large"),
        ("noise", ""),
        // However many they are, they end with the time that a page has.
        ("references", "does not answer in time"),
    ] {
        site.meddle(order);
        let error = error(&site, order);
        assert!(error.contains(said), "{order}: {error}");
        verdicts_stand(&site, &mut talk, order);
        site.meddle("pass");
        site.until_followed();
        verdicts_stand(&site, &mut talk, "afterwards");
    }
    // It is followed, and not only said to be.
    let hanna = site.controller.sid(&person("hanna"));
    site.controller.revoke(&person("ivan"), &hanna);
    site.until(&mut talk, REFUSED);
}

#[test]
fn a_domain_of_which_only_a_part_arrives_is_not_taken_over() {
    let Some(mut site) = DomainSite::start_meddled(granted) else { return };
    site.until_followed();
    for (order, said) in
        [("half", "does not answer in time"), ("torn", "connection ended"), ("pages", "pages do not end")]
    {
        site.stop();
        site.meddle(order);
        // After a start everything is read.
        site.serve();
        let error = error(&site, order);
        assert!(error.contains(said), "{order}: {error}");
        let mut talk = site.session("hanna");
        verdicts_stand(&site, &mut talk, order);
        site.meddle("pass");
        site.until_followed();
        verdicts_stand(&site, &mut talk, "afterwards");
    }
}

#[test]
fn a_password_to_which_nobody_answers_counts_as_a_wrong_one() {
    let Some(site) = DomainSite::start_meddled(|controller| {
        controller.samba_tool(&["domain", "passwordsettings", "set", "--account-lockout-threshold=4"]);
    }) else {
        return;
    };
    site.until_followed();
    // The domain controller hears all of them, and what it says to them is lost.
    site.meddle("stall");
    for _ in 0..4 {
        let reply = site.log_on("ivan", "wrong");
        assert!(!reply.starts_with("235"), "{reply}");
    }
    let count = site.controller.values(&person("ivan"), "badPwdCount").concat();
    assert_eq!(count, "2", "half of what locks the account");
    site.meddle("pass");
    site.until_followed();
}

#[test]
fn garbage_in_place_of_a_domain_controller_changes_no_verdict() {
    let Some(mut site) = DomainSite::start(granted) else { return };
    let mut talk = site.session("hanna");
    site.until(&mut talk, "250");
    site.controller.stop();
    for (mode, said) in [
        ("random", "not LDAP"),
        ("endless", "too large"),
        ("referral", "refers to another server"),
        ("empty", "no domain controller"),
        ("other", "another question"),
    ] {
        let garbage = site.controller.garbage(mode);
        let status = site.until_status(|status| {
            let error = status["servers"][0]["error"].as_str().unwrap_or_default();
            error.contains(said) || mode == "random" && !error.is_empty() && !error.contains("refused")
        });
        assert_eq!(status["available"], true, "{mode}: {status}");
        assert_eq!(status["domains"][0]["problems"].as_array().map(Vec::len), Some(0), "{mode}: {status}");
        verdicts_stand(&site, &mut talk, mode);
        drop(garbage);
    }
    // The grant goes while it is away, and counts no more when it is back.
    let hanna = site.controller.sid_offline("hanna");
    site.controller.revoke(&person("ivan"), &hanna);
    site.controller.resume();
    site.until(&mut talk, REFUSED);
}

#[test]
fn a_referral_is_never_followed() {
    let Some(site) = DomainSite::start_meddled(granted) else { return };
    let mut talk = site.session("hanna");
    site.until(&mut talk, "250");
    // Whoever came here would bring the password of the service account.
    let elsewhere = site.controller.at(|| TcpListener::bind("127.0.0.1:0").unwrap());
    elsewhere.set_nonblocking(true).unwrap();
    for port in [elsewhere.local_addr().unwrap().port(), e2e::Meddler::PORT] {
        site.meddle(&format!("refer {port}"));
        let error = error(&site, "referred");
        assert!(error.contains("refers to another server"), "{error}");
        verdicts_stand(&site, &mut talk, "referred");
        site.meddle("pass");
        site.until_followed();
    }
    assert!(elsewhere.accept().is_err(), "somebody came");
}

#[test]
fn a_certificate_that_is_not_trusted_ends_following_until_its_authority_is() {
    let Some(mut site) = DomainSite::start(granted) else { return };
    let mut talk = site.session("hanna");
    site.until(&mut talk, "250");
    site.controller.stop();
    site.controller.change_certificate();
    site.controller.resume();
    let status =
        site.until_status(|status| status["servers"][0]["error"].as_str().is_some_and(|error| error.contains("TLS")));
    assert_eq!(status["available"], true, "{status}");
    verdicts_stand(&site, &mut talk, "while it is not trusted");
    assert!(site.output().contains("domain controller") && site.output().contains("TLS"), "{}", site.output());
    let test = site.procura(&["directory", "test"]);
    assert_eq!(test.code, 1);
    assert!(test.out.contains("certificate must carry the name"), "{}", test.all());

    // What happens there meanwhile counts as soon as it is trusted again, without a restart.
    let hanna = site.controller.sid(&person("hanna"));
    site.controller.revoke(&person("ivan"), &hanna);
    fs::copy(site.controller.certificate(), site.path("roots.pem")).unwrap();
    let reloaded = site.procura(&["reload"]).ok();
    assert!(reloaded.contains("Active Directory"), "{reloaded}");
    site.until(&mut talk, REFUSED);
    site.until_followed();
}

#[test]
fn a_password_of_the_service_account_that_was_changed_counts_after_a_reload() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    let mut talk = site.session("hanna");
    site.until(&mut talk, REFUSED);
    site.controller.samba_tool(&["user", "add", "svc", PASSWORD]);
    fs::write(site.path("password"), format!("{PASSWORD}\n")).unwrap();
    site.replace("Administrator@AD.EXAMPLE.TEST", "svc@AD.EXAMPLE.TEST");
    let reloaded = site.procura(&["reload"]).ok();
    assert!(reloaded.contains("directory.account was changed: it counts now"), "{reloaded}");
    site.until_status(|status| status["domains"][0]["method"] == "dir-sync-as-seen");
    site.until_followed();
    // A file that cannot be used changes nothing.
    fs::write(site.path("password"), "\n").unwrap();
    let refused = site.procura(&["reload"]);
    assert!(refused.all().contains("holds no password"), "{}", refused.all());
    site.until_followed();
    site.until(&mut talk, REFUSED);
}

/// Changes what is remembered of the domain, by a line of Python that changes `text`.
#[track_caller]
fn remember(site: &DomainSite, line: &str) {
    let script = format!(
        "import json, sqlite3\ndb = sqlite3.connect('{}')\nname = 'active directory'\n\
         text = db.execute('SELECT value FROM setting WHERE name = ?', (name,)).fetchone()[0]\n\
         state = json.loads(text)\n{line}\n\
         db.execute('UPDATE setting SET value = ? WHERE name = ?', (text, name))\ndb.commit()\n",
        site.path("data/directory.db").display()
    );
    assert!(Command::new("python3").args(["-c", &script]).status().unwrap().success());
}

#[test]
fn a_cookie_that_is_not_known_any_more_is_made_good_by_reading_everything_again() {
    let Some(mut site) = DomainSite::start_meddled(granted) else { return };
    site.until_followed();
    let mut talk = site.session("hanna");
    site.until(&mut talk, "250");

    // While it is followed.
    site.meddle("cookie");
    let hanna = site.controller.sid(&person("hanna"));
    site.controller.revoke(&person("ivan"), &hanna);
    site.until(&mut talk, REFUSED);
    site.meddle("pass");
    site.until_followed();
    let shown = site.procura(&["history", "--object", &person("ivan"), "--format", "json"]).ok();
    let history: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let versions = history["rows"].as_array().unwrap().iter().filter(|row| row.to_string().contains("Send"));
    assert_eq!(versions.count(), 1, "once, not twice: {shown}");

    // And between two runs.
    site.stop();
    site.controller.add_ace(&person("ivan"), &DomainController::send_as(&hanna));
    remember(&site, "state['domains'][0]['cookie'] = 'abcdef'\ntext = json.dumps(state)");
    site.serve();
    let mut talk = site.session("hanna");
    site.until(&mut talk, "250");
    site.until_status(|status| status["domains"][0]["cookie_octets"].as_u64().is_some_and(|octets| octets > 20));
}

#[test]
fn what_is_remembered_is_not_used_where_it_is_damaged() {
    let Some(mut site) = DomainSite::start(granted) else { return };
    site.until_followed();
    for damage in [
        "text = text[:len(text) // 2]",
        "text = ''",
        "text = '{\"domains\": [{}]}'",
        // Of another domain.
        "state['domains'][0]['domain']['guid'] = '6ba7b810-9dad-11d1-80b4-00c04fd430c8'\ntext = json.dumps(state)",
    ] {
        site.stop();
        site.controller.stop();
        remember(&site, damage);
        site.serve();
        let check = site.procura(&["check", "--as", "hanna@ad.example.test", "--from", "ivan@ad.example.test"]);
        assert!(check.code != 0 && check.all().contains("4.3.0"), "{damage}: {}", check.all());
        let reply = site.log_on("hanna", PASSWORD);
        assert!(reply.starts_with("454"), "{damage}: {reply}");
        // What stands in the domain is changed there or not at all.
        let grant =
            ["permission", "add", "jana@ad.example.test", "--user", "hanna@ad.example.test", "--right", "send-as"];
        let refused = site.procura(&grant);
        assert!(refused.code == 2 && refused.all().contains("damaged"), "{damage}: {}", refused.all());
        // A restart does not make it whole.
        site.serve();
        assert_eq!(site.procura(&grant).code, 2, "{damage}");
        site.controller.resume();
        site.until_followed();
        let mut talk = site.session("hanna");
        verdicts_stand(&site, &mut talk, damage);
    }
}

#[test]
fn another_domain_of_the_same_name_is_not_taken_over() {
    let Some(mut site) = DomainSite::start(granted) else { return };
    site.until_followed();
    site.stop();
    // The same name, administrator and address, and other people.
    let other = DomainController::start_anew();
    fs::copy(other.certificate(), site.path("roots.pem")).unwrap();
    site.controller = other;
    site.serve();
    let error = error(&site, "another domain");
    assert!(error.contains("another domain than the one held here"), "{error}");
    let check = |from: &str| site.procura(&["check", "--as", "hanna@ad.example.test", "--from", from]);
    assert_eq!(check("ivan@ad.example.test").code, 0, "{}", check("ivan@ad.example.test").all());
    assert_eq!(check("jana@ad.example.test").code, 1);
}

#[test]
fn a_clock_that_is_set_makes_nothing_young() {
    let Some(library) = faketime() else { return };
    let Some(mut site) = DomainSite::start(granted) else { return };
    site.configure("stale_limit_seconds = 5\nmax_age_seconds = 2\n");
    let clock = site.path("clock");
    fs::write(&clock, "+0").unwrap();
    let (library, file) = (library.display().to_string(), clock.display().to_string());
    site.serve_with(&[
        ("LD_PRELOAD", &library),
        ("FAKETIME_TIMESTAMP_FILE", &file),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    site.until_followed();
    let mut talk = site.session("hanna");
    // While the domain is followed, neither matters for longer than a moment. Nobody can log on while the certificate of the
    // domain controller is not valid as yet.
    for offset in ["+0", "+10d", "-5d", "+0"] {
        fs::write(&clock, offset).unwrap();
        site.until(&mut talk, "250");
        let refused = send_as(&mut talk, "jana");
        assert!(refused.starts_with(REFUSED) || refused.starts_with("451"), "{offset}: {refused}");
    }
    // It was heard by this clock, and not while it was set: at the next start that is to be of the future.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    site.until_status(|status| {
        let heard = status["domains"][0]["heard"].as_u64().map(u128::from);
        heard.is_some_and(|heard| (now..now + 3_600_000).contains(&heard))
    });
    // What is old stays old, although the clock says that it was heard in the future.
    site.controller.stop();
    fs::write(&clock, "-1h").unwrap();
    site.until(&mut talk, "451 4.3.0");
    // Also for the next run, which does not know for how long the clock was wrong.
    site.serve_with(&[
        ("LD_PRELOAD", &library),
        ("FAKETIME_TIMESTAMP_FILE", &file),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    let status = site.procura(&["directory", "status"]);
    assert_eq!(status.code, 1, "{}", status.all());
    assert!(status.out.contains("the clock was set back"), "{}", status.out);
    fs::write(&clock, "+0").unwrap();
    site.controller.resume();
    site.until_followed();
}

#[test]
fn a_domain_that_grows_old_raises_an_alarm() {
    let Some(mut site) = DomainSite::start(|_| {}) else { return };
    site.until_followed();
    site.stop();
    site.controller.stop();
    site.configure("max_age_seconds = 1\n");
    site.until_status(|status| status["domains"][0]["age_seconds"].as_u64() > Some(1));
    // Alarms are looked for every minute.
    site.serve();
    let begin = Instant::now();
    while !site.output().contains("Active Directory cannot be read") {
        assert!(begin.elapsed() < 2 * PATIENCE, "{}", site.output());
        std::thread::sleep(Duration::from_millis(100));
    }
}

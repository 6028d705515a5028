//! What a domain has, and lacks, and what a person is told about it: a real Active Directory (Samba).

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Output;

use e2e::{DomainController, DomainSite, procura, send_as, skip_without};

const PASSWORD: &str = DomainSite::PASSWORD;
const REFUSED: &str = DomainSite::REFUSED;
const DOMAIN: &str = DomainController::DOMAIN;

fn person(name: &str) -> String {
    DomainController::person(name)
}

/// `directory test`, with variables in its environment.
#[track_caller]
fn test(site: &DomainSite, variables: &[(&str, &str)]) -> (i32, String) {
    let data = site.path("data");
    let arguments = ["--data", data.to_str().unwrap(), "directory", "test"];
    let mut command = site.controller.beside(procura().to_str().unwrap(), &arguments);
    let Output { status, stdout, stderr } = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap(), said)
}

/// It says that something is bad, and what, and what to do.
#[track_caller]
fn says(site: &DomainSite, what: &str, advice: &str) {
    let (code, said) = test(site, &[]);
    assert_ne!(code, 0, "{said}");
    assert!(said.contains(what), "{what}: {said}");
    assert!(said.contains(advice), "{advice}: {said}");
}

#[test]
fn the_test_says_what_is_wrong_and_what_to_do() {
    let Some(site) = DomainSite::start(|controller| {
        controller.samba_tool(&["user", "add", "svc", PASSWORD]);
    }) else {
        return;
    };
    let (code, said) = test(&site, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("the permissions of all objects can be read"), "{said}");
    assert!(said.contains("the account may write the permissions of all users"), "{said}");
    let clock = said.lines().find(|line| line.contains("its clock and the one here are"));
    assert!(clock.is_some_and(|line| line.contains("good")), "{said}");

    // Another password, and none.
    let password = fs::read_to_string(site.path("password")).unwrap();
    fs::write(site.path("password"), "Passw0rd!wrong\n").unwrap();
    says(&site, "invalidCredentials", "check `account` and `password_file`");
    fs::write(site.path("password"), "\n").unwrap();
    says(&site, "holds no password", "check [directory]");
    fs::remove_file(site.path("password")).unwrap();
    says(&site, "password: No such file", "check [directory]");
    fs::write(site.path("password"), password).unwrap();

    // Another authority, and none.
    let roots = fs::read_to_string(site.path("roots.pem")).unwrap();
    let other = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-keyout", "/dev/null"])
        .output()
        .unwrap();
    fs::write(site.path("roots.pem"), other.stdout).unwrap();
    says(&site, "TLS: invalid peer certificate", "issued by an authority in `roots`");
    fs::write(site.path("roots.pem"), "nothing\n").unwrap();
    says(&site, "it holds no certificate of an authority", "check [directory]");
    fs::write(site.path("roots.pem"), roots).unwrap();

    // Another name than the certificate has, another port, nobody there.
    for (address, what, advice) in [
        ("ldaps://localhost", "TLS: invalid peer certificate", "must carry the name under which it is configured"),
        ("ldaps://127.0.0.1:389", "", "636 for ldaps"),
        ("ldaps://127.0.0.1:1", "refused", "636 for ldaps"),
        ("ldaps://dc9.invalid", "dc9.invalid", "check the name"),
    ] {
        site.replace("\"ldaps://127.0.0.1\"", &format!("\"{address}\""));
        says(&site, what, advice);
        site.replace(&format!("\"{address}\""), "\"ldaps://127.0.0.1\"");
    }

    // An account that may read little and write nothing.
    let svc = site.controller.sid(&format!("CN=svc,CN=Users,{DOMAIN}"));
    site.controller.add_ace(&person("ivan"), &format!("(D;;RC;;;{svc})"));
    site.read_as("svc");
    says(&site, "DirSync with what the account may see", "Replicating Directory Changes");
    says(&site, &format!("no deleted accounts of {DOMAIN} can be seen"), "CN=Deleted Objects");
    says(&site, &format!("cannot be read, the first {}", person("ivan")), "Read permissions");
    says(&site, "the account may write the permissions of 0 of", "Modify permissions");
    says(&site, "no password policies of single accounts and groups are seen", "Password Settings Container");
}

#[test]
fn the_test_sees_that_a_clock_is_wrong() {
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
        .map(|folder| Path::new(folder).join("faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|file| file.is_file());
    let Some(library) = library else { return skip_without("faketime") };
    let Some(site) = DomainSite::start(|_| {}) else { return };
    let at = |offset: &str| {
        let preload = library.display().to_string();
        test(&site, &[("LD_PRELOAD", &preload), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")])
    };
    let (code, said) = at("+2m");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("seconds behind the one here") && said.contains("NTP"), "{said}");
    let (code, said) = at("+20m");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("seconds behind the one here") && said.contains("NTP"), "{said}");
    // Certificates have dates too.
    let (code, said) = at("-20m");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("certificate not valid yet") && said.contains("look at the clock of this machine"), "{said}");
}

#[test]
fn guessing_here_does_not_lock_the_account_there() {
    for (threshold, passed_on) in [("3", "1"), ("4", "2")] {
        let Some(site) = DomainSite::start(|controller| {
            let threshold = format!("--account-lockout-threshold={threshold}");
            controller.samba_tool(&["domain", "passwordsettings", "set", &threshold]);
        }) else {
            return;
        };
        for _ in 0..6 {
            let reply = site.log_on("ivan", "Passw0rd!wrong");
            assert!(reply.starts_with("535") || reply.starts_with("454"), "{reply}");
        }
        assert_eq!(site.controller.values(&person("ivan"), "badPwdCount"), [passed_on], "at most half of {threshold}");
        // Not even the right one is passed on now; whoever comes in by another way is not locked out.
        let reply = site.log_on("ivan", PASSWORD);
        assert!(reply.starts_with("454"), "{reply}");
        assert_eq!(site.controller.values(&person("ivan"), "lockoutTime").concat().replace('0', ""), "");
        let (_, said) = test(&site, &[]);
        let word = format!(
            "the domain locks accounts after {threshold} wrong passwords: {passed_on} of them may be tried here"
        );
        assert!(said.contains(&word), "{said}");
    }
}

/// Else the answer that spares an account would tell a stranger that there is one.
#[test]
fn a_name_that_nobody_has_is_answered_as_an_account_of_the_domain_is() {
    let Some(site) = DomainSite::start(|controller| {
        controller.samba_tool(&["domain", "passwordsettings", "set", "--account-lockout-threshold=4"]);
    }) else {
        return;
    };
    for name in ["ivan", "nobody"] {
        let told: Vec<String> = (0..4).map(|_| site.log_on(name, "Passw0rd!wrong")[..3].to_owned()).collect();
        assert_eq!(told, ["535", "535", "454", "454"], "{name}");
    }
}

#[test]
fn a_policy_of_an_account_that_locks_it_earlier_than_the_domain_does_is_heeded() {
    let Some(site) = DomainSite::start(|controller| {
        let settings = ["domain", "passwordsettings"];
        controller.samba_tool(&[&settings[..], &["set", "--account-lockout-threshold=10"]].concat());
        controller.samba_tool(&["group", "add", "Admins", "--groupou=OU=People"]);
        controller.samba_tool(&["group", "addmembers", "Admins", "ivan"]);
        controller
            .samba_tool(&[&settings[..], &["pso", "create", "Strict", "1", "--account-lockout-threshold=2"]].concat());
        controller.samba_tool(&[&settings[..], &["pso", "apply", "Strict", "Admins"]].concat());
    }) else {
        return;
    };
    site.until_followed();
    for name in ["ivan", "ivan", "ivan", "hanna", "hanna", "hanna"] {
        let reply = site.log_on(name, "Passw0rd!wrong");
        assert!(reply.starts_with("535") || reply.starts_with("454"), "{reply}");
    }
    let counted = |name: &str| site.controller.values(&person(name), "badPwdCount").concat();
    assert_eq!((counted("ivan").as_str(), counted("hanna").as_str()), ("1", "3"));
    let (_, said) = test(&site, &[]);
    assert!(said.contains("the password policy Strict locks its accounts after 2, which is heeded"), "{said}");
}

/// Attributes of Exchange under their names, as far as they are read, and a database in the configuration partition.
fn like_exchange(controller: &DomainController) {
    const OID: &str = "1.3.6.1.4.1.99999.7";
    let attributes = [
        ("publicDelegates", "2.5.5.1", 127, false),
        ("homeMDB", "2.5.5.1", 127, true),
        ("msExchMailboxGuid", "2.5.5.10", 4, true),
        ("msExchMailboxSecurityDescriptor", "2.5.5.15", 66, true),
        ("msExchMasterAccountSid", "2.5.5.17", 4, true),
        ("msExchRecipientTypeDetails", "2.5.5.16", 65, true),
    ];
    let schema = format!("CN=Schema,CN=Configuration,{DOMAIN}");
    let now = "dn:\nchangetype: modify\nadd: schemaUpdateNow\nschemaUpdateNow: 1\n-\n\n";
    let mut ldif = String::new();
    for (number, (name, syntax, kind, single)) in attributes.into_iter().enumerate() {
        let link = match kind {
            127 => "oMObjectClass:: KwwCh3McAIVK\nlinkID: 1.2.840.113556.1.2.50\n",
            _ => "",
        };
        ldif += &format!(
            "dn: CN={name},{schema}\nchangetype: add\nobjectClass: attributeSchema\nlDAPDisplayName: {name}\n\
             attributeID: {OID}.1.{number}\nattributeSyntax: {syntax}\noMSyntax: {kind}\nisSingleValued: {}\n{link}\n",
            if single { "TRUE" } else { "FALSE" }
        );
    }
    let may: String = attributes.iter().map(|(name, ..)| format!("mayContain: {name}\n")).collect();
    ldif += now;
    ldif += &format!(
        "dn: CN=Mail-Recipient-Like,{schema}\nchangetype: add\nobjectClass: classSchema\nlDAPDisplayName: mailRecipientLike\n\
         governsID: {OID}.2.1\nobjectClassCategory: 3\nsubClassOf: top\n{may}\n{now}"
    );
    ldif += &format!(
        "dn: CN=User,{schema}\nchangetype: modify\nadd: auxiliaryClass\nauxiliaryClass: mailRecipientLike\n-\n\n{now}"
    );
    let databases = format!("CN=Services,CN=Configuration,{DOMAIN}");
    for name in ["Mailbox Database", "Another Database"] {
        ldif += &format!("dn: CN={name},{databases}\nchangetype: add\nobjectClass: container\n\n");
    }
    for (name, guid, database) in [
        ("hanna", "AQAAAAAAAAAAAAAAAAAAAA==", "Mailbox Database"),
        ("ivan", "AgAAAAAAAAAAAAAAAAAAAA==", "Another Database"),
    ] {
        ldif += &format!(
            "dn: {}\nchangetype: modify\nreplace: msExchMailboxGuid\nmsExchMailboxGuid:: {guid}\n-\nreplace: homeMDB\n\
             homeMDB: CN={database},{databases}\n-\nreplace: msExchRecipientTypeDetails\nmsExchRecipientTypeDetails: 1\n-\n\n",
            person(name)
        );
    }
    controller.modify(&ldif);
}

#[test]
fn a_forest_with_the_schema_of_exchange_says_who_has_a_mailbox_where_and_whose_delegates() {
    let Some(mut site) = DomainSite::start(|controller| {
        like_exchange(controller);
        controller.add_person("jana");
        controller.add_person("karl");
    }) else {
        return;
    };
    site.replace("map = { msExchMailboxGuid = \"objectGUID\" }\n", "");
    site.serve();
    site.until_followed();
    let (code, said) = test(&site, &[]);
    assert_eq!(code, 0, "{said}");
    for what in ["delegates (Send on Behalf)", "mailboxes", "linked accounts"] {
        assert!(said.contains(&format!("{what} are read from the domain")), "{said}");
    }

    // Mailboxes are where the domain says; a database that has no namesake here is ours to say.
    let mailboxes = || -> Vec<(String, Option<String>)> {
        let shown = site.procura(&["mailbox", "list", "--format", "json"]).ok();
        let list: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let rows = list["rows"].as_array().unwrap().iter();
        let mut owners: Vec<_> = rows.map(|row| (text(&row["owner"]).unwrap(), text(&row["database"]))).collect();
        owners.sort();
        owners
    };
    let hanna = ("ADTEST\\hanna".to_owned(), Some("Mailbox Database".to_owned()));
    assert_eq!(mailboxes(), [hanna.clone(), ("ADTEST\\ivan".to_owned(), None)]);
    site.procura(&["mailbox", "set", "ivan@ad.example.test", "--database", "Mailbox Database"]).ok();
    assert_eq!(
        site.controller.values(&person("ivan"), "homeMDB"),
        [format!("CN=Another Database,CN=Services,CN=Configuration,{DOMAIN}")]
    );

    // Delegates, both ways.
    let mut talk = site.session("hanna");
    site.until(&mut talk, REFUSED);
    site.procura(&["send-on-behalf", "add", "ivan@ad.example.test", "hanna@ad.example.test"]).ok();
    assert_eq!(site.controller.values(&person("ivan"), "publicDelegates"), [person("hanna")]);
    site.until(&mut talk, "250");
    site.controller.modify(&format!("dn: {}\nchangetype: modify\ndelete: publicDelegates\n-\n", person("ivan")));
    site.until(&mut talk, REFUSED);

    // A new mailbox is one there too; its rights stay here, and the copy that Exchange keeps is left alone.
    site.procura(&["mailbox", "enable", "jana@ad.example.test"]).ok();
    assert_eq!(site.controller.values(&person("jana"), "msExchMailboxGuid").len(), 1);
    assert!(mailboxes().contains(&("ADTEST\\jana".to_owned(), Some("Mailbox Database".to_owned()))));
    site.procura(&["mailbox-permission", "add", "jana@ad.example.test", "--user", "hanna@ad.example.test"]).ok();
    assert_eq!(site.controller.values(&person("jana"), "msExchMailboxSecurityDescriptor"), Vec::<String>::new());

    // An owner who is disabled, linked to somebody of another forest.
    site.controller.samba_tool(&["user", "disable", "karl"]);
    site.procura(&["mailbox", "enable", "karl@ad.example.test", "--linked", "S-1-5-21-7-8-9-1105"]).ok();
    assert_eq!(site.controller.values(&person("karl"), "msExchMasterAccountSid").len(), 1);
    let again = send_as(&mut talk, "ivan");
    assert!(again.starts_with(REFUSED), "{again}");
}

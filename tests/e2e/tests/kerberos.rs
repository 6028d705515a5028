//! AUTH GSSAPI with tickets of a real KDC: Samba's, with MIT's client libraries in curl and GNU SASL.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::{DomainController, Server, procura, require, run_procura, skip_without};

const PASSWORD: &str = "Passw0rd!bob1";
const HOST: &str = "mail.ad.example.test";

/// Runs a program beside the domain controller; everything that it said.
#[track_caller]
fn beside(controller: &DomainController, folder: &Path, program: &str, arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut command = controller.beside(program, arguments);
    kerberos_environment(&mut command, folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn kerberos_environment(command: &mut Command, folder: &Path) {
    command.env("KRB5_CONFIG", folder.join("krb5.conf"));
    command.env("KRB5CCNAME", format!("FILE:{}", folder.join("tickets").display()));
}

#[test]
fn a_ticket_of_a_real_kdc_logs_on_and_no_other_does() {
    if !require(&DomainController::PROGRAMS) || !require(&["curl", "gsasl", "kinit"]) {
        return;
    }
    if !DomainController::possible() {
        return skip_without("root, to make a network namespace");
    }
    let folder = tempfile::Builder::new().prefix("procura-krb5-").tempdir().unwrap();
    let (data, keytab) = (folder.path().join("data"), folder.path().join("smtp.keytab"));
    let shown = data.display().to_string();
    let run = |arguments: &[&str], input: &str| run_procura([&["--data", &shown], arguments].concat(), input).ok();
    run_procura(["init", &shown, "--domain", "ad.example.test", "--netbios", "ADTEST", "--hostname", HOST], "").ok();
    let file = data.join("procura.toml");
    let written = fs::read_to_string(&file).unwrap();
    fs::write(&file, written.replace("[kerberos]\n", &format!("[kerberos]\nkeytab = \"{}\"\n", keytab.display())))
        .unwrap();
    let checked = run_procura(["config", "check", file.to_str().unwrap()], "");
    if checked.code != 0 && checked.all().contains("without Kerberos") {
        return skip_without("procura with its feature `kerberos`");
    }
    for user in ["bob", "alice"] {
        run(&["user", "add", user, "--mailbox"], "");
    }

    let controller = DomainController::start();
    for (user, password) in [("bob", PASSWORD), ("carol", PASSWORD), ("svc-smtp", "Passw0rd!svc1")] {
        controller.samba_tool(&["user", "create", user, password]);
    }
    controller.modify(&format!(
        "dn: CN=svc-smtp,CN=Users,{}\nchangetype: modify\nadd: servicePrincipalName\nservicePrincipalName: smtp/{HOST}\n-\n\
         replace: msDS-SupportedEncryptionTypes\nmsDS-SupportedEncryptionTypes: 16\n-\n",
        DomainController::DOMAIN
    ));
    controller.export_keytab(&format!("smtp/{HOST}"), &keytab);
    fs::write(
        folder.path().join("krb5.conf"),
        "[libdefaults]\ndefault_realm = AD.EXAMPLE.TEST\ndns_lookup_kdc = false\ndns_lookup_realm = false\nrdns = false\n\
         dns_canonicalize_hostname = false\n[realms]\nAD.EXAMPLE.TEST = {\n kdc = 127.0.0.1\n}\n[domain_realm]\n\
         .ad.example.test = AD.EXAMPLE.TEST\n",
    )
    .unwrap();

    let mut command = controller.beside(procura().to_str().unwrap(), &["--data", &shown, "serve"]);
    command.env("NO_COLOR", "1");
    let server = Server::spawn(command);
    server.wait_for_output("ready");

    let message = "From: bob@ad.example.test\nTo: alice@ad.example.test\nSubject: by ticket\n\nhello\n";
    let send = |from: &str| {
        let url = format!("smtp://{HOST}:587/client.test");
        let arguments = [
            "--silent",
            "--verbose",
            "--max-time",
            "60",
            "--crlf",
            "--connect-to",
            "::127.0.0.1:587",
            "--url",
            &url,
            "--user",
            ":",
            "--login-options",
            "AUTH=GSSAPI",
            "--mail-from",
            from,
            "--mail-rcpt",
            "alice@ad.example.test",
            "--upload-file",
            "-",
        ];
        beside(&controller, folder.path(), "curl", &arguments, message)
    };
    let without = send("bob@ad.example.test");
    assert!(!without.contains("235 2.7.0"), "without a ticket: {without}");

    beside(&controller, folder.path(), "kinit", &["bob"], &format!("{PASSWORD}\n"));
    let sent = send("bob@ad.example.test");
    assert!(sent.contains("235 2.7.0") && sent.contains("Queued mail for delivery"), "{sent}\n{}", server.output());
    let other = send("alice@ad.example.test");
    assert!(other.contains("550 5.7.1 Client does not have permissions to send as this sender"), "{other}");

    let gsasl = |name: &str| {
        let arguments = [
            "--client",
            "--smtp",
            "--connect",
            "127.0.0.1:587",
            "--no-starttls",
            "--mechanism=GSSAPI",
            "--service=smtp",
            &format!("--hostname={HOST}"),
            &format!("--authentication-id={name}"),
        ];
        beside(&controller, folder.path(), "gsasl", &arguments, "")
    };
    let accepted = gsasl("bob");
    assert!(accepted.contains("235 2.7.0"), "{accepted}\n{}", server.output());

    // A good ticket of somebody who has no account here.
    beside(&controller, folder.path(), "kinit", &["carol"], &format!("{PASSWORD}\n"));
    let stranger = gsasl("carol");
    assert!(stranger.contains("535 5.7.3"), "{stranger}");
}

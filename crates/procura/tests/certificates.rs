//! What `config check` says of the certificates that a configuration names: what `serve` and `doctor` would.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Finished, procura};
use tempfile::TempDir;
use transport::certificate::{GeneratedCertificate, generate};

/// A folder with a configuration that names these files.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        let GeneratedCertificate { certificate, key } = generate(&["mx.example.com".to_owned()]).unwrap();
        place.write("mx.pem", &certificate);
        place.write("mx.key", &key);
        place.configure("");
        place
    }

    fn configure(&self, more: &str) {
        let tls = "[tls]\ncertificate = \"mx.pem\"\nkey = \"mx.key\"\n";
        self.write("procura.toml", &format!("[node]\nhostname = \"mx.example.com\"\n{tls}{more}"));
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn check(&self) -> Finished {
        procura(&["config", "check", self.0.path().join("procura.toml").to_str().unwrap()])
    }
}

#[test]
fn a_certificate_that_is_signed_by_itself_is_a_warning() {
    let said = Place::new().check();
    assert!(said.code == 0 && said.out.contains("no fault found"), "{}{}", said.out, said.err);
    assert!(said.err.contains("warning") && said.err.contains("mx.pem is signed by itself"), "{}", said.err);
}

#[test]
fn a_certificate_that_is_not_there_is_named() {
    let place = Place::new();
    fs::remove_file(place.0.path().join("mx.pem")).unwrap();
    place.check().fails(2, &["mx.pem", "No such file", "under [tls]"]);
}

#[test]
fn a_key_that_is_not_there_is_named() {
    let place = Place::new();
    fs::remove_file(place.0.path().join("mx.key")).unwrap();
    place.check().fails(2, &["mx.key", "No such file", "under [tls]"]);
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let place = Place::new();
    // Root may read any file, and nobody may read a folder as one.
    fs::remove_file(place.0.path().join("mx.pem")).unwrap();
    fs::create_dir(place.0.path().join("mx.pem")).unwrap();
    place.check().fails(2, &["mx.pem", "under [tls]"]);
}

#[test]
fn a_file_without_a_certificate_is_named() {
    let place = Place::new();
    place.write("mx.pem", "not a certificate\n");
    place.check().fails(2, &["mx.pem", "no certificate in this file"]);
}

#[test]
fn a_certificate_that_is_no_certificate_inside_is_refused() {
    let place = Place::new();
    place.write("mx.pem", "-----BEGIN CERTIFICATE-----\nbm90IERFUg==\n-----END CERTIFICATE-----\n");
    place.check().fails(2, &["certificate", "under [tls]"]);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let place = Place::new();
    place.write("mx.key", &generate(&["mx.example.com".to_owned()]).unwrap().key);
    place.check().fails(2, &["the private key cannot be used with the certificate"]);
}

#[test]
fn a_certificate_that_has_ended_is_a_fault() {
    let place = Place::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["mx.example.com".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    place.write("mx.pem", &params.self_signed(&key).unwrap().pem());
    place.write("mx.key", &key.serialize_pem());
    place.check().fails(2, &["mx.pem ended", "put a new certificate at"]);
}

#[test]
fn a_certificate_of_another_host_is_a_warning() {
    let place = Place::new();
    let GeneratedCertificate { certificate, key } = generate(&["other.example.com".to_owned()]).unwrap();
    place.write("mx.pem", &certificate);
    place.write("mx.key", &key);
    let said = place.check();
    assert!(said.code == 0 && said.err.contains("is for other.example.com, not for mx.example.com"), "{}", said.err);
}

#[test]
fn authorities_that_are_not_there_are_named() {
    let place = Place::new();
    for (section, key) in [("tls", "partner_roots"), ("delivery", "roots"), ("webhooks", "roots")] {
        let more = match section {
            "tls" => format!("{key} = \"none.pem\"\n"),
            section => format!("[{section}]\n{key} = \"none.pem\"\n"),
        };
        place.configure(&more);
        place.check().fails(2, &["none.pem", "No such file", section]);
    }
}

#[test]
fn a_configuration_without_certificates_has_no_fault() {
    let place = Place::new();
    place.write("procura.toml", "[node]\nhostname = \"mx.example.com\"\n");
    let said = place.check();
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

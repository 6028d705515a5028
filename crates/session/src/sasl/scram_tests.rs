use super::*;
use proptest::prelude::*;

const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

/// RFC 5802 §2.2, as it is written there.
fn hi(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let hmac = |text: &[u8]| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(password).expect("any length");
        mac.update(text);
        mac.finalize().into_bytes().into()
    };
    let mut round = hmac(&[salt, &1u32.to_be_bytes()].concat());
    let mut out = round;
    for _ in 1..iterations {
        round = hmac(&round);
        for (byte, other) in out.iter_mut().zip(round) {
            *byte ^= other;
        }
    }
    out
}

fn keys(password: &str, iterations: u32) -> ScramKeys {
    let salt = STANDARD.decode(SALT).expect("base64");
    ScramKeys::from_salted_password(&hi(password.as_bytes(), &salt, iterations), salt, iterations)
}

fn server(first: &str, tls: Option<&TlsFacts>, plus: bool) -> Option<ServerFirst> {
    let first = ClientFirst::parse(first.as_bytes())?;
    first.is_bound_as_offered(plus, tls).then(|| ServerFirst::new(first, keys("pencil", 64), Vec::new(), NONCE))
}

/// What a client says at last, honestly.
fn client_final(password: &str, first: &str, server: &ServerFirst, bound: &[u8], iterations: u32) -> String {
    let salted = hi(password.as_bytes(), &STANDARD.decode(SALT).expect("base64"), iterations);
    let client_key = mac(&salted, &[b"Client Key"]);
    let stored: [u8; 32] = Sha256::digest(client_key).into();
    let at = first.find(",n=").or(first.find(",m=")).expect("a name") + 1;
    let (header, bare) = first.split_at(at);
    let channel = STANDARD.encode([header.as_bytes(), bound].concat());
    let without_proof = format!("c={channel},r={}", server.nonce);
    let signature = mac(&stored, &[bare.as_bytes(), b",", server.message.as_bytes(), b",", without_proof.as_bytes()]);
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    format!("{without_proof},p={}", STANDARD.encode(proof))
}

fn tls() -> TlsFacts {
    let (exporter, server_end_point) = (Some(vec![7; 32]), Some(vec![9; 32]));
    TlsFacts { exporter, server_end_point, ..TlsFacts::default() }
}

#[test]
fn the_example_of_rfc_7677_comes_out_to_the_letter() {
    let first = ClientFirst::parse(CLIENT_FIRST.as_bytes()).expect("a client-first-message");
    let server = ServerFirst::new(first, keys("pencil", 4096), Vec::new(), NONCE);
    assert_eq!(
        server.message,
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let proof = server.judge(last.as_bytes(), None);
    let ours = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned();
    assert_eq!(proof, Proof::Right { ours, keys: Box::new(keys("pencil", 4096)) });
}

#[test]
fn any_password_of_the_account_is_proven_under_its_one_salt() {
    let also = ["pen", "quill"].map(|password| keys(password, 64)).to_vec();
    for password in ["pencil", "pen", "quill"] {
        let first = ClientFirst::parse(CLIENT_FIRST.as_bytes()).expect("a client-first-message");
        let server = ServerFirst::new(first, keys("pencil", 64), also.clone(), NONCE);
        let last = client_final(password, CLIENT_FIRST, &server, &[], 64);
        let Proof::Right { keys: proven, .. } = server.judge(last.as_bytes(), None) else { panic!("{password}") };
        assert_eq!(*proven, keys(password, 64));
    }
}

#[test]
fn the_server_proves_that_it_knows_the_password_that_was_proven() {
    let first = ClientFirst::parse(CLIENT_FIRST.as_bytes()).expect("a client-first-message");
    let server = ServerFirst::new(first, keys("pencil", 64), vec![keys("pen", 64)], NONCE);
    let last = client_final("pen", CLIENT_FIRST, &server, &[], 64);
    let without_proof = last.rsplit_once(",p=").expect("a proof").0;
    let signed = format!("{},{},{without_proof}", &CLIENT_FIRST[3..], server.message);
    let expected = format!("v={}", STANDARD.encode(mac(&keys("pen", 64).server_key, &[signed.as_bytes()])));
    assert!(matches!(server.judge(last.as_bytes(), None), Proof::Right { ours, .. } if ours == expected));
}

#[test]
fn keys_of_another_salt_or_of_other_rounds_are_not_what_was_asked_for() {
    let salted = hi(b"pen", &[7; 16], 64);
    let elsewhere = ScramKeys::from_salted_password(&salted, vec![7; 16], 64);
    let first = ClientFirst::parse(CLIENT_FIRST.as_bytes()).expect("a client-first-message");
    let server = ServerFirst::new(first, keys("pencil", 64), vec![elsewhere, keys("quill", 65)], NONCE);
    assert_eq!(server.also, Vec::new());
}

#[test]
fn another_password_nonce_or_channel_is_a_wrong_proof() {
    let tls = tls();
    let first = "p=tls-exporter,,n=user,r=abc";
    let server = server(first, Some(&tls), true).expect("offered");
    let right = client_final("pencil", first, &server, &[7; 32], 64);
    assert!(matches!(server.judge(right.as_bytes(), Some(&tls)), Proof::Right { .. }));
    let wrong_password = client_final("Pencil", first, &server, &[7; 32], 64);
    let other_channel = client_final("pencil", first, &server, &[8; 32], 64);
    let other_nonce = right.replace("r=abc", "r=abd");
    for last in [wrong_password, other_channel, other_nonce, right.replace(",p=", ",x="), String::new()] {
        assert_eq!(server.judge(last.as_bytes(), Some(&tls)), Proof::Wrong, "{last}");
    }
    assert_eq!(server.judge(right.as_bytes(), None), Proof::Wrong, "the binding is gone");
}

#[test]
fn a_proof_that_was_signed_for_another_header_does_not_count() {
    // The same bytes, but the client meant `n` and was given `y`: the header is part of what is signed.
    let server = server("y,,n=user,r=abc", None, false).expect("nothing was offered");
    let last = client_final("pencil", "n,,n=user,r=abc", &server, &[], 64);
    assert_eq!(server.judge(last.as_bytes(), None), Proof::Wrong);
}

#[test]
fn a_client_that_was_not_told_of_the_binding_is_refused_where_there_is_one() {
    let tls = tls();
    assert!(server("y,,n=user,r=abc", Some(&tls), false).is_none());
    assert!(server("y,,n=user,r=abc", None, false).is_some());
    assert!(server("n,,n=user,r=abc", Some(&tls), false).is_some());
}

#[test]
fn plus_needs_a_binding_that_we_have_and_the_other_none() {
    let tls = tls();
    for type_of in ["tls-exporter", "tls-server-end-point"] {
        assert!(server(&format!("p={type_of},,n=user,r=abc"), Some(&tls), true).is_some());
    }
    assert!(server("p=tls-unique,,n=user,r=abc", Some(&tls), true).is_none());
    assert!(server("p=tls-exporter,,n=user,r=abc", Some(&tls), false).is_none());
    assert!(server("n,,n=user,r=abc", Some(&tls), true).is_none());
    let no_exporter = TlsFacts { exporter: None, ..tls };
    assert!(server("p=tls-exporter,,n=user,r=abc", Some(&no_exporter), true).is_none());
}

#[test]
fn names_are_unescaped_and_the_mailbox_is_named_beside() {
    let first = ClientFirst::parse(b"n,a=ceo=40x,n=a=2Cb=3Dc,r=abc");
    assert!(first.is_none(), "=40 is no escape");
    let first = ClientFirst::parse("n,a=ceo,n=a=2Cb=3Dcé,r=abc,x=more".as_bytes()).expect("well formed");
    assert_eq!((first.name.as_str(), first.mailbox.as_deref()), ("a,b=cé", Some("ceo")));
}

#[test]
fn what_is_no_first_message_is_refused() {
    let messages: &[&[u8]] = &[
        b"",
        b"n",
        b"n,,",
        b"n,,r=abc,n=user",
        b"n,,n=,r=abc",
        b"n,,n=user,r=",
        b"n,,n=user,r=a b",
        b"n,,n=user,r=a,b",
        b"n,,m=x,n=user,r=abc",
        b"n,b=ceo,n=user,r=abc",
        b"n,a=,n=user,r=abc",
        b"p=,,n=user,r=abc",
        b"p=tls_unique,,n=user,r=abc",
        b"q,,n=user,r=abc",
        b"n,,n=us\xff,r=abc",
        b"n,,n=us\0er,r=abc",
        b"n,,n=us=,r=abc",
        b"n,,n=us=2,r=abc",
        b"n,,n=us=2c,r=abc",
    ];
    for message in messages {
        assert_eq!(ClientFirst::parse(message), None, "{}", String::from_utf8_lossy(message));
    }
}

#[test]
fn keys_are_written_and_read_as_text() {
    let keys = keys("pencil", 64);
    assert_eq!(ScramKeys::parse(&keys.to_text()), Some(keys));
    for text in ["", "SCRAM-SHA-256$0:AAAA$AAAA:AAAA", "SCRAM-SHA-1$1:AAAA$AAAA:AAAA", "SCRAM-SHA-256$1:AAAA$AAAA"] {
        assert_eq!(ScramKeys::parse(text), None, "{text}");
    }
}

#[test]
fn keys_are_not_shown_by_debug() {
    assert_eq!(format!("{:?}", keys("pencil", 64)), "ScramKeys(64 iterations)");
}

proptest! {
    #[test]
    fn an_honest_client_gets_in_and_learns_that_we_know_the_password(
        password in "\\PC{1,20}",
        name in "[^\\p{Cc}]{1,20}",
        nonce in "[!-+\\--~]{1,40}",
    ) {
        let escaped = name.replace('=', "=3D").replace(',', "=2C");
        let message = format!("n,,n={escaped},r={nonce}");
        let first = ClientFirst::parse(message.as_bytes());
        let first = first.expect("well formed");
        prop_assert_eq!(&first.name, &name);
        let server = ServerFirst::new(first, keys(&password, 2), Vec::new(), NONCE);
        let last = client_final(&password, &message, &server, &[], 2);
        let right = matches!(server.judge(last.as_bytes(), None), Proof::Right { .. });
        prop_assert!(right);
    }

    #[test]
    fn no_bytes_make_it_panic_or_prove_anything(first: Vec<u8>, last: Vec<u8>) {
        let _ = ClientFirst::parse(&first);
        let server = server(CLIENT_FIRST, None, false).expect("well formed");
        prop_assert_eq!(server.judge(&last, None), Proof::Wrong);
    }

    #[test]
    fn one_changed_byte_is_a_wrong_proof(at: prop::sample::Index, flip in 1u8..) {
        let server = server(CLIENT_FIRST, None, false).expect("well formed");
        let mut last = client_final("pencil", CLIENT_FIRST, &server, &[], 64).into_bytes();
        let at = at.index(last.len());
        last[at] ^= flip;
        prop_assert_eq!(server.judge(&last, None), Proof::Wrong);
    }
}

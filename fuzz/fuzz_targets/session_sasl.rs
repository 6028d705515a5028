#![no_main]

#[path = "../../crates/session/tests/checks/mod.rs"]
mod checks;
mod lines;
#[path = "../../crates/session/tests/authz/organization.rs"]
#[allow(dead_code)]
mod organization;
#[path = "../../crates/session/tests/authz/script.rs"]
#[allow(dead_code)]
mod script;

/// Responses of a client.
const KNOWN: [&[u8]; 24] = [
    b"\0bob\0bob-demo\n",
    b"ceo\0erin\0erin-demo\n",
    b"bob\n",
    b"EXAMPLE\\bob\n",
    b"erin*ceo\n",
    b"bob-demo\n",
    b"erin-demo\n",
    b"*\n",
    b"\n",
    b"more\n",
    b"bob:ceo\n",
    b"ceo\n",
    b"\x01\n",
    b"n,,\x01auth=Bearer bob\x01\x01\n",
    b"n,a=ceo,\x01host=mail\x01port=587\x01auth=Bearer bob@example.com\x01\x01\n",
    b"user=bob\x01auth=Bearer bob\x01\x01\n",
    b"user=bob@example.com\x01auth=Bearer ceo\x01\x01\n",
    b"n,,n=bob,r=abc\n",
    b"n,a=ceo,n=erin,r=abc\n",
    b"y,,n=b=2Cob,r=abc\n",
    b"p=tls-exporter,,n=bob,r=abc\n",
    b"p=tls-server-end-point,,n=bob,r=abc\n",
    b"c=biws,r=abcnonce,p=dHpbbMYAVwEAAA==\n",
    b"c=bixhPWNlbyw=,r=abcnonce,p=AAAA\n",
];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::sasl_holds(input);
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    lines::mutate(data, size, max_size, seed, 2, &KNOWN)
});

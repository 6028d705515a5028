//! Measures a bulk load: `store_bench FILE [objects]`: one batch of users with two links each in groups of 100, then
//! reading them back, then single changes.

use std::path::Path;
use std::time::Instant;

use acl::{Guid, Sid};
use directory::{AttributeChange, ChangeBatch, ChangeLog, ObjectChange, Record, Time, link_value};
use store::DirectoryStore;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: store_bench FILE [objects]")?;
    let objects: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let log = ChangeLog { changes: (0..objects).map(|number| ObjectChange::Added(user(number))).collect() };
    let batch =
        ChangeBatch { author: Sid::new(5, &[18]), time: Time(0), comment: "bulk load".to_owned(), changes: Vec::new() };
    let mut store = DirectoryStore::open(Path::new(&file))?;
    let start = Instant::now();
    store.commit(&batch, &log)?;
    println!(
        "loaded {objects} objects in {:.2} s, {} MB",
        start.elapsed().as_secs_f64(),
        std::fs::metadata(&file)?.len() >> 20
    );
    let start = Instant::now();
    let values: usize = store.load(|records| records.map(|record| record.attributes.len()).sum())?;
    println!("read {values} attributes in {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    for number in 0..200 {
        store.commit(&batch, &ChangeLog { changes: vec![title(number)] })?;
    }
    println!("single change: {:.2} ms", start.elapsed().as_secs_f64() * 1000.0 / 200.0);
    drop(store);
    let start = Instant::now();
    let store = DirectoryStore::open(Path::new(&file))?;
    println!("opened version {} in {:.2} s", store.version(), start.elapsed().as_secs_f64());
    Ok(())
}

/// Spread over the whole range, as GUIDs are.
fn guid(number: u64) -> Guid {
    let mixed = u128::from(number).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    Guid::from_u128(mixed)
}

fn user(number: u64) -> Record {
    let descriptor = vec![(number % 90) as u8; 400];
    Record::new(guid(number), (number > 0).then(|| guid(0)), format!("CN=User {number}"))
        .with("objectClass", *b"user")
        .with("sAMAccountName", format!("user{number}"))
        .with("userPrincipalName", format!("user{number}@example.com"))
        .with("displayName", format!("User Number {number}"))
        .with("mail", format!("user{number}@example.com"))
        .with_all(
            "proxyAddresses",
            [format!("SMTP:user{number}@example.com").into(), format!("smtp:u{number}@example.com").into()],
        )
        .with("objectSid", Sid::new(5, &[21, 1, 2, 3, number as u32]).to_bytes())
        .with("userAccountControl", *b"512")
        .with("department", format!("Department {}", number % 500))
        .with("msExchMailboxGuid", guid(number + (1 << 40)).0.to_vec())
        .with("homeMDB", link_value(&guid(1)))
        .with("manager", link_value(&guid(number / 100)))
        .with("nTSecurityDescriptor", descriptor)
}

fn title(number: u64) -> ObjectChange {
    let after = vec![b"Engineer".to_vec()];
    let changed = AttributeChange::Replaced { name: "title".to_owned(), before: Vec::new(), after };
    ObjectChange::Modified { guid: guid(number), attributes: vec![changed] }
}

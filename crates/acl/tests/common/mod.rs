//! What the tests against shared vectors have in common.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::Read;
use std::path::PathBuf;

use serde_json::Value;

/// A file of the vectors: `PROCURA_VECTORS`, or `../shared/vectors` beside the repository. `None` (with a note) when
/// the folder is not there; a folder without the file is a failure.
pub fn vector_file(name: &str, cases: usize) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("PROCURA_VECTORS").map_or(root.join("../shared/vectors"), PathBuf::from);
    if !folder.is_dir() {
        println!("skipped {cases} cases of {name}: no vectors at {} (PROCURA_VECTORS)", folder.display());
        return None;
    }
    let bytes = std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut text = String::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    Some(text)
}

/// The rows of a file of JSON lines.
pub fn json_lines(name: &str, cases: usize) -> Option<Vec<Value>> {
    let text = vector_file(name, cases)?;
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), cases, "{name} has another number of cases than this test knows of");
    Some(rows)
}

pub fn json(name: &str, cases: usize) -> Option<Value> {
    Some(serde_json::from_str(&vector_file(name, cases)?).unwrap())
}

pub fn unhex(text: &str) -> Vec<u8> {
    let nibble = |c: u8| (c as char).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

//! How fast message data is read and written: `cargo bench -p smtp`. Prints GB/s of input.

use std::hint::black_box;
use std::time::Instant;

use smtp::DataReader;
use smtp::client::DotStuffer;

const CHUNK: usize = 64 * 1024;
const TOTAL: usize = 1 << 30;

fn main() {
    for line in [76, 300] {
        let text = format!("{}\r\n", "x".repeat(line)).repeat(16 << 20 >> line.ilog2());
        measure(&format!("DataReader, lines of {line}"), text.as_bytes(), |text| {
            let mut reader = DataReader::new();
            let mut length = 0;
            for chunk in text.chunks(CHUNK) {
                reader.push(chunk, &mut |bytes| length += black_box(bytes).len());
            }
            length
        });
        measure(&format!("DotStuffer, lines of {line}"), text.as_bytes(), |text| {
            let mut stuffer = DotStuffer::new();
            let mut length = 0;
            for chunk in text.chunks(CHUNK) {
                stuffer.push(chunk, &mut |bytes| length += black_box(bytes).len());
            }
            length
        });
    }
}

fn measure(name: &str, text: &[u8], run: impl Fn(&[u8]) -> usize) {
    let rounds = TOTAL / text.len() + 1;
    let start = Instant::now();
    for _ in 0..rounds {
        assert_eq!(run(black_box(text)), text.len());
    }
    let rate = (rounds * text.len()) as f64 / start.elapsed().as_secs_f64() / 1e9;
    println!("{name}: {rate:.2} GB/s");
}

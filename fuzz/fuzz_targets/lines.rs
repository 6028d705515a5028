//! Mutation of what is said in lines: whole lines come, go, and change places, and one line alone is changed by the fuzzer's
//! usual means. The first `head` octets are no part of a line.

/// A mutated input, and how long it is now.
pub fn mutate(data: &mut [u8], size: usize, most: usize, seed: u32, head: usize, known: &[&[u8]]) -> usize {
    let mut dice = Dice(u64::from(seed) << 16 | 0x9E37);
    if size <= head || dice.below(3) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, most);
    }
    let (start, text) = data[..size].split_at(head);
    let start = start.to_vec();
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..=dice.below(3) {
        let at = dice.below(lines.len().max(1));
        match dice.below(7) {
            _ if lines.is_empty() => lines.push(known[dice.below(known.len())].to_vec()),
            0 => drop(lines.remove(at)),
            1 => lines.insert(dice.below(lines.len() + 1), lines[at].clone()),
            2 => {
                let other = dice.below(lines.len());
                lines.swap(at, other);
            }
            3 | 4 => lines.insert(at, known[dice.below(known.len())].to_vec()),
            5 => lines[at] = known[dice.below(known.len())].to_vec(),
            _ => {
                let line = &mut lines[at];
                let length = line.len();
                line.resize(length + 32, 0);
                let room = line.len();
                let length = libfuzzer_sys::fuzzer_mutate(line, length, room);
                line.truncate(length);
            }
        }
    }
    let mutated = [start, lines.concat()].concat();
    let length = mutated.len().min(most);
    data[..length].copy_from_slice(&mutated[..length]);
    length
}

/// Numbers by chance (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) as usize % end
    }
}

//! Numbers that are the same in every run, and changes of bytes made with them.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

/// Numbers at which lengths, offsets and signs turn over.
const EDGES: [u64; 22] = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xfff,
    0x1000,
    0x7fff,
    0xffff,
    0x1_0000,
    0x0fff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// An edge, or close to one, or anything.
    pub fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next() >> self.below(64),
            1 => self.pick(&EDGES).wrapping_add(self.next() % 5).wrapping_sub(2),
            _ => *self.pick(&EDGES),
        }
    }

    /// One to four changes; `words` are worth putting in. `other` is another input, to take parts of.
    pub fn change(&mut self, bytes: &mut Vec<u8>, words: &[&[u8]], other: &[u8]) {
        for _ in 0..1 << self.below(4).saturating_sub(1) {
            self.change_once(bytes, words, other);
        }
        bytes.truncate(1 << 20);
    }

    fn change_once(&mut self, bytes: &mut Vec<u8>, words: &[&[u8]], other: &[u8]) {
        let at = self.below(bytes.len());
        let reach = 1 << self.below(12);
        let len = 1 + self.below((bytes.len() - at).min(reach).max(1));
        let end = (at + len).min(bytes.len());
        match self.below(11) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            2 if !bytes.is_empty() => bytes[at] = self.next() as u8,
            3 => {
                bytes.drain(at..end);
            }
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            5 => {
                let copy = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                let room = copy.len().min(bytes.len() - to);
                bytes[to..to + room].copy_from_slice(&copy[..room]);
            }
            6 | 7 => {
                // A number, in either order of bytes.
                let (value, width) = (self.number(), *self.pick(&[1usize, 2, 4, 8]));
                let text = if self.one_in(2) { value.to_le_bytes()[..width].to_vec() } else { value.to_be_bytes()[8 - width..].to_vec() };
                let at = if self.one_in(2) { at } else { at - at % width };
                let room = width.min(bytes.len() - at);
                bytes[at..at + room].copy_from_slice(&text[..room]);
            }
            8 if !words.is_empty() => {
                let word = *self.pick(words);
                let end = if self.one_in(2) { at } else { (at + word.len()).min(bytes.len()) };
                bytes.splice(at..end, word.iter().copied());
            }
            9 => {
                let from = self.below(other.len());
                let part = &other[from..(from + len).min(other.len())];
                bytes.splice(at..end, part.iter().copied());
            }
            10 if self.one_in(4) => bytes.truncate(at),
            _ => {}
        }
    }

    /// A text of a number where text has one, as decimal digits.
    pub fn change_digits(&mut self, bytes: &mut Vec<u8>) {
        let starts: Vec<usize> =
            (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit() && (i == 0 || !bytes[i - 1].is_ascii_digit())).collect();
        if starts.is_empty() {
            return;
        }
        let start = *self.pick(&starts);
        let end = (start..bytes.len()).find(|&i| !bytes[i].is_ascii_digit()).unwrap_or(bytes.len());
        let text = match self.below(4) {
            0 => format!("-{}", self.number()),
            1 => format!("{}000000000000", self.number()),
            _ => self.number().to_string(),
        };
        bytes.splice(start..end, text.into_bytes());
    }
}

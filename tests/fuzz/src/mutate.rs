//! Inputs made of a corpus: bytes changed, parts repeated, cut and mixed, and words put in that
//! matter to some reader.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Longer inputs are cut: readers have bounds of their own, which the corpus reaches.
const MOST_BYTES: usize = 64 * 1024;

/// Changes of one input, at most.
const MOST_CHANGES: u32 = 6;

/// Brackets, quotes, escapes, ends of lines, numbers at the edge, and words of the languages that
/// are read.
const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "${",
    "}",
    "$$",
    "$",
    "\"",
    "'",
    "`",
    "\\",
    "\\u",
    "\\ud83d\\ude80",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "é",
    "😀",
    "ß",
    "(",
    ")",
    "((((((((",
    "[[[[[[[[",
    "{{{{{{{{",
    "]",
    ",",
    ";",
    ":",
    "|",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "? ",
    "- ",
    "  ",
    "# ",
    "---",
    "...",
    "|\n  ",
    ">\n  ",
    "=",
    "==",
    "=~",
    "!~",
    "!=",
    "~",
    "^",
    "%",
    "@",
    "..",
    "$..",
    "[?@",
    "[-1]",
    "[::2]",
    "*",
    "0",
    "-1",
    "1e400",
    "NaN",
    "Infinity",
    "18446744073709551616",
    "-9223372036854775808",
    "0.1",
    "1.5h",
    "1h30m",
    "1d12h",
    "99999999999999999999d",
    "true",
    "null",
    "yes",
    "--",
    "/*",
    "*/",
    "UNION ALL SELECT",
    "WITH a AS (",
    "range(1000000000)",
    "read_csv('/etc/passwd')",
    "EXPLAIN ",
    "::VARCHAR",
    "latency('5m', 0.95)",
    "availability('5m')",
    ".map(a, a+a)",
    ".exists(x, ",
    "'x'.matches('",
    "size(",
    "\r\n\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Encoding: gzip\r\n",
    "Content-Length: 18446744073709551615\r\n",
    "HTTP/1.1 200 OK\r\n",
    "ffffffffffffffff\r\n",
    "\u{c0}\u{c}",
];

pub struct Mutator {
    random: StdRng,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    /// The same seed and corpus make the same inputs.
    pub fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            corpus,
        }
    }

    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self
            .corpus
            .choose(&mut self.random)
            .cloned()
            .unwrap_or_default();
        for _ in 0..self.random.random_range(1..=MOST_CHANGES) {
            self.change(&mut input);
            input.truncate(MOST_BYTES);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.part(input.len());
        match self.random.random_range(0..10) {
            0 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte ^= 1 << self.random.random_range(0..8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte = self.random.random();
                }
            }
            2 => drop(input.drain(from..to)),
            3 => input.truncate(from),
            4 => {
                // The same again and again: depth, length, and what is quadratic.
                let part = input[from..to].to_vec();
                let times = 1 << self.random.random_range(0..8);
                let times = times.min(MOST_BYTES / part.len().max(1));
                drop(input.splice(from..from, part.repeat(times)));
            }
            5 => {
                let other = self
                    .corpus
                    .choose(&mut self.random)
                    .cloned()
                    .unwrap_or_default();
                let (begin, end) = self.part(other.len());
                drop(input.splice(from..to, other[begin..end].iter().copied()));
            }
            6 => {
                let length = self.random.random_range(1..16);
                let bytes: Vec<u8> = (0..length).map(|_| self.random.random()).collect();
                drop(input.splice(from..from, bytes));
            }
            _ => {
                let word = WORDS.choose(&mut self.random).copied().unwrap_or_default();
                let end = if self.random.random() { from } else { to };
                drop(input.splice(from..end, word.bytes()));
            }
        }
    }

    /// Some range of so many bytes; more often a short one.
    fn part(&mut self, length: usize) -> (usize, usize) {
        let from = self.random.random_range(0..=length);
        let rest = length - from;
        let most = if self.random.random_range(0..4) == 0 {
            rest
        } else {
            rest.min(16)
        };
        (from, from + self.random.random_range(0..=most))
    }
}

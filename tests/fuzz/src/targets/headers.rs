//! Headers of answers: what they say of rate limits.

use extrack::domain::{keep_latest, read_rate_limits};

use super::{split, text};

/// Moments at which an answer came.
const NOW_MS: [i64; 4] = [1_764_400_000_000, 0, 4_102_444_800_000, -1];

pub(crate) fn rate_limits(input: &[u8]) {
    let (now_ms, rest) = split(input, &NOW_MS);
    let text = text(rest);
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let headers: Vec<(String, String)> = pairs
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    for status in [200, 429, 503] {
        let limits = read_rate_limits("api.example.com", status, &headers, *now_ms);
        let mut kept = Vec::new();
        keep_latest(&mut kept, limits);
    }
}

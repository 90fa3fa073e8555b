//! Durations as people write them: `500ms`, `2s`, `5m`, `1h30m`, `7d`.

use std::time::Duration;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a duration; write numbers and units, as in `500ms`, `2s`, `5m`, `1h30m` or `7d`"
)]
pub struct NotADuration(String);

/// The largest first, which is also the order in a sum.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration as Prometheus does: whole numbers with units, the larger unit first and each
/// unit once, without a sign or a space.
pub fn parse_duration(text: &str) -> Result<Duration, NotADuration> {
    sum(text)
        .map(Duration::from_millis)
        .ok_or_else(|| NotADuration(text.to_owned()))
}

fn sum(text: &str) -> Option<u64> {
    let (mut rest, mut units) = (text, UNITS.as_slice());
    let mut total_ms: u64 = 0;
    while !rest.is_empty() || units.len() == UNITS.len() {
        let (digits, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, next) = behind.split_at(
            behind
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(behind.len()),
        );
        let position = units.iter().position(|(name, _)| *name == unit)?;
        total_ms =
            total_ms.checked_add(digits.parse::<u64>().ok()?.checked_mul(units[position].1)?)?;
        (rest, units) = (next, &units[position + 1..]);
    }
    Some(total_ms)
}

/// The shortest exact form: 90 s is `90s`, 120 s is `2m`.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis() as u64;
    for (unit, unit_ms) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if ms >= unit_ms && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_as_prometheus_writes_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("2s", 2_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("0s", 0),
            ("1h30m", 5_400_000),
            ("1d12h", 129_600_000),
            ("1m0s500ms", 60_500),
            ("2w3d", 17 * 86_400_000),
            ("1y", 31_536_000_000),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), ms, "{text}");
        }
    }

    #[test]
    fn refuses_anything_else() {
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "1.5h",
            "5 m",
            "5M",
            "99999999999999999999d",
            "300000000000000d",
            "30m1h",
            "1h1h",
            "1h 30m",
            "1h30",
            "m5",
            "5é",
            "213503982334d213503982334h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn formats_what_it_reads() {
        for text in ["500ms", "2s", "5m", "1h", "7d", "90s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }
}

//! Durations as people write them: `500ms`, `2s`, `5m`, `1h`, `7d`.

use std::time::Duration;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a duration; write a number and a unit, as in `500ms`, `2s`, `5m`, `1h` or `7d`")]
pub struct NotADuration(String);

/// One number and one unit; no sign, no fraction, no sum.
pub fn parse_duration(text: &str) -> Result<Duration, NotADuration> {
    let fault = || NotADuration(text.to_owned());
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
    let (digits, unit) = text.split_at(split);
    let count: u64 = digits.parse().map_err(|_| fault())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return Err(fault()),
    };
    count.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(fault)
}

/// The shortest exact form: 90 s is `90s`, 120 s is `2m`.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis() as u64;
    for (unit, unit_ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
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
    fn reads_one_number_and_one_unit() {
        for (text, ms) in
            [("500ms", 500), ("2s", 2_000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text).unwrap().as_millis(), ms, "{text}");
        }
    }

    #[test]
    fn refuses_anything_else() {
        for text in ["", "5", "m", "-5m", "1.5h", "5 m", "5M", "99999999999999999999d", "300000000000000d"] {
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

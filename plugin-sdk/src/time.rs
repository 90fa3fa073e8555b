//! Durations as people write them (`500ms`, `2s`, `5m`, `1h30m`, `7d`), and moments as RFC 3339.

use std::time::{Duration, UNIX_EPOCH};

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

/// The largest first, which is also the order in a sum.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Whole numbers with units, the larger unit first and each unit once, as in `1h30m`; none for
/// anything else.
pub fn parse(text: &str) -> Option<Duration> {
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
    Some(Duration::from_millis(total_ms))
}

/// The shortest exact form: 90 s is `90s`, 120 s is `2m`.
pub fn format(duration: Duration) -> String {
    let ms = millis(duration);
    let (unit, unit_ms) = UNITS[2..]
        .iter()
        .find(|(_, unit_ms)| ms >= *unit_ms && ms.is_multiple_of(*unit_ms))
        .unwrap_or(&("ms", 1));
    format!("{}{unit}", ms / unit_ms)
}

/// Shows a duration to people, in its two largest units: 90 s is `1m 30s`, 100,000 s is `1d 3h`.
pub fn rough(duration: Duration) -> String {
    let ms = millis(duration);
    let units = &UNITS[2..];
    let Some(first) = units.iter().position(|(_, unit_ms)| ms >= *unit_ms) else {
        return "0s".to_owned();
    };
    let (unit, unit_ms) = units[first];
    let mut text = format!("{}{unit}", ms / unit_ms);
    // Below a second, the rest matters only on its own.
    if let Some((unit, next_ms)) = units.get(first + 1).filter(|(unit, _)| *unit != "ms") {
        let rest = ms % unit_ms / next_ms;
        if rest > 0 {
            text.push_str(&format!(" {rest}{unit}"));
        }
    }
    text
}

/// Whole milliseconds, the unit of the contract.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 as `2026-11-23T07:45:00.123Z`. The year 9999 is the last one.
pub fn rfc3339(unix_ms: u64) -> String {
    /// 9999-12-31T23:59:59Z
    const LAST_SECOND: i64 = 253_402_300_799;
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(LAST_SECOND);
    let moment = OffsetDateTime::from_unix_timestamp(seconds.min(LAST_SECOND))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    let (month, ms) = (u8::from(month), unix_ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Milliseconds since 1970 of a moment such as `2026-11-23T07:45:00.123+01:00`; none before 1970 or
/// for anything else.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let seconds = u64::try_from(moment.unix_timestamp()).ok()?;
    Some(seconds * 1_000 + u64::from(moment.millisecond()))
}

/// Milliseconds since 1970 of a moment as HTTP headers have it, such as `Sun, 06 Nov 1994 08:49:37
/// GMT`, or in the two obsolete forms of RFC 9110; none before 1970 or for anything else.
pub fn parse_http_date(text: &str) -> Option<u64> {
    let moment = httpdate::parse_http_date(text).ok()?;
    moment.duration_since(UNIX_EPOCH).ok().map(millis)
}

/// A moment as senders write it: RFC 3339, or a number of seconds or milliseconds since 1970, also
/// as text.
pub fn moment_of(value: &serde_json::Value) -> Option<u64> {
    // Seconds reach this far in the year 5138, milliseconds passed it in 1973.
    const MILLISECONDS: f64 = 1e11;
    let number = match value {
        serde_json::Value::Number(number) => number.as_f64()?,
        serde_json::Value::String(text) => match text.parse::<f64>() {
            Ok(number) => number,
            Err(_) => return parse_rfc3339(text),
        },
        _ => return None,
    };
    let ms = if number < MILLISECONDS {
        number * 1_000.0
    } else {
        number
    };
    (1.0..1e15).contains(&ms).then_some(ms.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rough_durations_have_two_units() {
        for (ms, wanted) in [
            (0, "0s"),
            (250, "250ms"),
            (1_250, "1s"),
            (60_000, "1m"),
            (90_000, "1m 30s"),
            (3_600_000, "1h"),
            (3_601_000, "1h"),
            (100_000_000, "1d 3h"),
            (1_000_000_000, "11d 13h"),
        ] {
            assert_eq!(rough(Duration::from_millis(ms)), wanted);
        }
    }

    #[test]
    fn reads_and_writes_durations() {
        for (text, ms) in [
            ("500ms", 500),
            ("2s", 2_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(format(Duration::from_millis(ms)), text);
        }
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "1.5h",
            "5 m",
            "99999999999999999999d",
            "30m1h",
            "1h1h",
            "1h 30m",
            "1h30",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn reads_sums_of_units() {
        for (text, ms) in [
            ("1h30m", 5_400_000),
            ("1d12h", 129_600_000),
            ("1m0s500ms", 60_500),
            ("1y", 31_536_000_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn reads_moments() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00.000Z", 951_782_400_000),
            ("2024-12-31t23:59:59.9999z", 1_735_689_599_999),
            ("2026-11-23 09:00:00.1+01:00", 1_795_420_800_100),
            ("2026-11-23T02:30:00-05:30", 1_795_420_800_000),
        ] {
            assert_eq!(parse_rfc3339(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "2026-11-23",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-11-23T00:00:00",
            "2026-11-23T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-23T00:00:00+1:00",
            "x026-11-23T00:00:00Z",
            "2026-11-23T00:00:00.Zä",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn reads_moments_of_http() {
        assert_eq!(
            parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777_000)
        );
        for obsolete in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(
                parse_http_date(obsolete),
                Some(784_111_777_000),
                "{obsolete}"
            );
        }
        for text in [
            "",
            "06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, é",
        ] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn reads_moments_as_senders_write_them() {
        use serde_json::json;
        for (value, ms) in [
            (json!(1_767_225_600), Some(1_767_225_600_000)),
            (json!(1_767_225_600.25), Some(1_767_225_600_250)),
            (json!(1_767_225_600_250_u64), Some(1_767_225_600_250)),
            (json!("1767225600"), Some(1_767_225_600_000)),
            (json!("2026-01-01T00:00:00Z"), Some(1_767_225_600_000)),
            (json!("yesterday"), None),
            (json!(-1), None),
            (json!(1e300), None),
            (json!(null), None),
        ] {
            assert_eq!(moment_of(&value), ms, "{value}");
        }
    }

    #[test]
    fn writes_moments() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (1_795_420_800_123, "2026-11-23T08:00:00.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.615Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
    }
}

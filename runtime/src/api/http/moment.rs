//! Moments in JSON and on pages: RFC 3339, UTC, with milliseconds.

use crate::domain::UnixMillis;

/// `2026-11-23T07:43:23.120Z`; a moment that no calendar holds becomes 1970.
pub(crate) fn rfc3339(ms: UnixMillis) -> String {
    format!(
        "{:.3}",
        jiff::Timestamp::from_millisecond(ms).unwrap_or_default()
    )
}

/// `07:43:23 UTC`
pub(crate) fn clock(ms: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .strftime("%H:%M:%S UTC")
        .to_string()
}

/// `23 Nov 07:43 UTC`
pub(crate) fn day_and_clock(ms: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .strftime("%-d %b %H:%M UTC")
        .to_string()
}

/// `23 Nov`, of UTC
pub(crate) fn day(ms: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .strftime("%-d %b")
        .to_string()
}

/// `07:43`, of UTC
pub(crate) fn hour(ms: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .strftime("%H:%M")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_795_419_803_120), "2026-11-23T07:43:23.120Z");
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000Z");
        assert_eq!(clock(1_795_419_803_120), "07:43:23 UTC");
        assert_eq!(day_and_clock(1_795_419_803_120), "23 Nov 07:43 UTC");
        assert_eq!(day(1_795_419_803_120), "23 Nov");
    }
}

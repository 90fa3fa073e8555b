//! Moments: in JSON as RFC 3339, UTC, with milliseconds; on pages in the zone of the viewer.

use jiff::tz::TimeZone;

pub(crate) use super::viewer::zone;
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
    written(ms, "%H:%M:%S %Z")
}

/// `23 Nov 07:43 UTC`
pub(crate) fn day_and_clock(ms: UnixMillis) -> String {
    written(ms, "%-d %b %H:%M %Z")
}

/// `23 Nov`
pub(crate) fn day(ms: UnixMillis) -> String {
    written(ms, "%-d %b")
}

/// `07:43`
pub(crate) fn hour(ms: UnixMillis) -> String {
    written(ms, "%H:%M")
}

/// `07:43 UTC`, whoever looks: for what is sent to all pages alike.
pub(crate) fn hour_of_utc(ms: UnixMillis) -> String {
    in_zone(ms, TimeZone::UTC, "%H:%M %Z")
}

fn written(ms: UnixMillis, format: &str) -> String {
    in_zone(ms, zone(), format)
}

fn in_zone(ms: UnixMillis, zone: TimeZone, format: &str) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .to_zoned(zone)
        .strftime(format)
        .to_string()
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::api::http::viewer::seen_from;

    #[test]
    fn writes_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_795_419_803_120), "2026-11-23T07:43:23.120Z");
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000Z");
        assert_eq!(clock(1_795_419_803_120), "07:43:23 UTC");
        assert_eq!(day_and_clock(1_795_419_803_120), "23 Nov 07:43 UTC");
        assert_eq!(day(1_795_419_803_120), "23 Nov");
    }

    #[test]
    fn pages_write_in_the_zone_of_the_viewer() {
        let (clock, day, hour) = seen_from(Tz::America__New_York, || {
            (
                day_and_clock(1_795_419_803_120),
                day(1_795_392_000_000),
                hour_of_utc(1_795_419_803_120),
            )
        });
        assert_eq!(clock, "23 Nov 02:43 EST");
        assert_eq!(day, "22 Nov", "midnight of UTC is the evening before");
        assert_eq!(hour, "07:43 UTC", "live changes say the same");
    }
}

//! Time zones for writing moments, made from the tables that schedules and cycles are counted with,
//! so that both agree and neither depends on files of the machine.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use chrono::{DateTime, Offset};
use chrono_tz::{OffsetComponents, OffsetName, Tz};
use jiff::tz::TimeZone;

/// Last second of the tables: what 32 bits hold, in 2038.
const LAST_S: i64 = i32::MAX as i64;
/// Clocks are not changed twice within it.
const STEP_S: i64 = 7 * 86_400;

/// One entry a zone that was asked for, and there are some hundreds.
static MADE: LazyLock<Mutex<HashMap<Tz, TimeZone>>> = LazyLock::new(Mutex::default);

/// How clocks go from a moment on.
#[derive(Clone, PartialEq)]
struct Clocks {
    offset_s: i32,
    is_summer: bool,
    /// `CET`
    name: String,
}

/// Returns the zone as the calendar wants it; right from 1970 to 2038.
pub fn time_zone(zone: Tz) -> TimeZone {
    if zone == Tz::UTC {
        return TimeZone::UTC;
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(zone)
        .or_insert_with(|| TimeZone::tzif(zone.name(), &tzif(zone)).unwrap_or(TimeZone::UTC))
        .clone()
}

fn clocks(zone: Tz, at_s: i64) -> Clocks {
    let moment = DateTime::from_timestamp(at_s, 0)
        .expect("a second of 32 bits is within the calendar")
        .with_timezone(&zone);
    let offset = moment.offset();
    let offset_s = offset.fix().local_minus_utc();
    Clocks {
        offset_s,
        is_summer: !offset.dst_offset().is_zero(),
        name: offset
            .abbreviation()
            .map_or_else(|| numeric(offset_s), str::to_owned),
    }
}

/// Returns `+0545`, for zones without a name of their own.
fn numeric(offset_s: i32) -> String {
    let minutes = offset_s.abs() / 60;
    let sign = if offset_s < 0 { '-' } else { '+' };
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

/// Returns the seconds at which clocks change, with how they go from then on.
fn changes(zone: Tz) -> Vec<(i64, Clocks)> {
    let mut found = Vec::new();
    let (mut at_s, mut now) = (0, clocks(zone, 0));
    while at_s < LAST_S {
        let next_s = (at_s + STEP_S).min(LAST_S);
        if clocks(zone, next_s) == now {
            at_s = next_s;
            continue;
        }
        let (mut before_s, mut after_s) = (at_s, next_s);
        while after_s - before_s > 1 {
            let middle_s = before_s + (after_s - before_s) / 2;
            if clocks(zone, middle_s) == now {
                before_s = middle_s;
            } else {
                after_s = middle_s;
            }
        }
        (at_s, now) = (after_s, clocks(zone, after_s));
        found.push((at_s, now.clone()));
    }
    found
}

/// Writes the zone as version 1 of TZif (RFC 9636).
fn tzif(zone: Tz) -> Vec<u8> {
    let changes = changes(zone);
    let mut kinds = vec![clocks(zone, 0)];
    let (mut times, mut indices) = (Vec::new(), Vec::new());
    for (at_s, clocks) in &changes {
        let index = kinds.iter().position(|kind| kind == clocks);
        let index = index.unwrap_or_else(|| {
            kinds.push(clocks.clone());
            kinds.len() - 1
        });
        times.extend((*at_s as i32).to_be_bytes());
        indices.push(index as u8);
    }
    let (mut types, mut names) = (Vec::new(), Vec::new());
    for kind in &kinds {
        types.extend(kind.offset_s.to_be_bytes());
        types.extend([u8::from(kind.is_summer), names.len() as u8]);
        names.extend(kind.name.bytes().chain([0]));
    }
    let mut bytes = b"TZif".to_vec();
    bytes.extend([0; 16]);
    for count in [0, 0, 0, changes.len(), kinds.len(), names.len()] {
        bytes.extend((count as u32).to_be_bytes());
    }
    for part in [times, indices, types, names] {
        bytes.extend(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_clocks_show_them() {
        for (zone, moment, wanted) in [
            (Tz::UTC, "2026-11-23T07:43:00Z", "23 Nov 07:43 UTC"),
            (
                Tz::Europe__Berlin,
                "2026-11-23T07:43:00Z",
                "23 Nov 08:43 CET",
            ),
            (
                Tz::Europe__Berlin,
                "2026-10-25T00:59:59Z",
                "25 Oct 02:59 CEST",
            ),
            (
                Tz::Europe__Berlin,
                "2026-10-25T01:00:00Z",
                "25 Oct 02:00 CET",
            ),
            (
                Tz::America__New_York,
                "2026-07-01T03:00:00Z",
                "30 Jun 23:00 EDT",
            ),
            (
                Tz::Asia__Kathmandu,
                "2026-07-01T00:00:00Z",
                "1 Jul 05:45 +0545",
            ),
        ] {
            let moment: jiff::Timestamp = moment.parse().unwrap();
            let shown = moment
                .to_zoned(time_zone(zone))
                .strftime("%-d %b %H:%M %Z")
                .to_string();
            assert_eq!(shown, wanted, "{}", zone.name());
        }
    }

    #[test]
    fn offsets_equal_those_of_the_tables_in_every_seventh_zone() {
        for zone in chrono_tz::TZ_VARIANTS.into_iter().step_by(7) {
            let made = time_zone(zone);
            for at_s in (0..LAST_S).step_by(40_000_000) {
                let moment = jiff::Timestamp::from_second(at_s).unwrap();
                let offset_s = made.to_offset(moment).seconds();
                assert_eq!(
                    offset_s,
                    clocks(zone, at_s).offset_s,
                    "{} at {moment}",
                    zone.name()
                );
            }
        }
    }
}

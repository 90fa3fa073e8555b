//! Cycles that a vendor bills by: a month from an anchor day, by the clocks of a time zone.

use std::cmp::Ordering;

use chrono::{
    DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveTime, Offset, TimeZone, Utc,
};
use chrono_tz::Tz;

use super::CostError;
use crate::domain::UnixMillis;

/// The year 2200.
const LAST_MS: UnixMillis = 7_258_118_400_000;

/// Months from an anchor day. A day that a month does not have is its last day; the month behind it
/// begins on the anchor day again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    /// 1 to 31.
    pub day: u8,
    pub zone: Tz,
}

impl Default for Cycle {
    fn default() -> Self {
        Self {
            day: 1,
            zone: Tz::UTC,
        }
    }
}

/// One cycle. Its last day and its last moment are not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleSpan {
    pub first_day: NaiveDate,
    pub end_day: NaiveDate,
    pub from_ms: UnixMillis,
    pub until_ms: UnixMillis,
}

impl Cycle {
    /// Returns the cycle that a moment lies in.
    pub fn around(&self, ts_ms: UnixMillis) -> Result<CycleSpan, CostError> {
        if !(0..LAST_MS).contains(&ts_ms) {
            return Err(CostError::Moment);
        }
        let day = self.day_of(ts_ms)?;
        let mut month =
            NaiveDate::from_ymd_opt(day.year(), day.month(), 1).ok_or(CostError::Moment)?;
        // The cycle of the local date, or a neighbour: clocks that go back may repeat a midnight.
        for _ in 0..4 {
            let span = self.of_month(month)?;
            if ts_ms < span.from_ms {
                month = month
                    .checked_sub_months(Months::new(1))
                    .ok_or(CostError::Moment)?;
            } else if ts_ms >= span.until_ms {
                month = next_month(month)?;
            } else {
                return Ok(span);
            }
        }
        Err(CostError::Moment)
    }

    /// Returns the cycle that begins in the month of this first day.
    fn of_month(&self, month: NaiveDate) -> Result<CycleSpan, CostError> {
        let first_day = self.anchor_in(month)?;
        let end_day = self.anchor_in(next_month(month)?)?;
        Ok(CycleSpan {
            first_day,
            end_day,
            from_ms: start_of_day_ms(self.zone, first_day)?,
            until_ms: start_of_day_ms(self.zone, end_day)?,
        })
    }

    fn anchor_in(&self, month: NaiveDate) -> Result<NaiveDate, CostError> {
        let length = next_month(month)?.signed_duration_since(month).num_days();
        let day = i64::from(self.day.max(1)).min(length) as u32;
        month.with_day(day).ok_or(CostError::Moment)
    }

    pub fn next(&self, span: &CycleSpan) -> Result<CycleSpan, CostError> {
        self.around(span.until_ms)
    }

    pub fn previous(&self, span: &CycleSpan) -> Result<CycleSpan, CostError> {
        self.around(span.from_ms - 1)
    }

    /// Returns the date at a moment, by the clocks of the zone.
    pub fn day_of(&self, ts_ms: UnixMillis) -> Result<NaiveDate, CostError> {
        let moment = DateTime::<Utc>::from_timestamp_millis(ts_ms).ok_or(CostError::Moment)?;
        Ok(moment.with_timezone(&self.zone).date_naive())
    }

    /// Returns how far the clocks of the zone are before UTC at a moment. Days on the other side of
    /// a change of clocks are off by that change.
    pub fn offset_ms(&self, now_ms: UnixMillis) -> i64 {
        let now = DateTime::<Utc>::from_timestamp_millis(now_ms).unwrap_or_default();
        let offset = self.zone.offset_from_utc_datetime(&now.naive_utc()).fix();
        i64::from(offset.local_minus_utc()) * 1_000
    }
}

impl CycleSpan {
    /// Days in it, 28 to 31.
    pub fn days(&self) -> i64 {
        self.end_day
            .signed_duration_since(self.first_day)
            .num_days()
    }

    pub fn contains(&self, ts_ms: UnixMillis) -> bool {
        (self.from_ms..self.until_ms).contains(&ts_ms)
    }

    /// `2026-02` for a calendar month, else the first day.
    pub fn label(&self) -> String {
        match self.first_day.day() {
            1 => self.first_day.format("%Y-%m").to_string(),
            _ => self.first_day.to_string(),
        }
    }
}

fn next_month(month: NaiveDate) -> Result<NaiveDate, CostError> {
    month
        .checked_add_months(Months::new(1))
        .ok_or(CostError::Moment)
}

/// Returns the first moment of a day: its midnight, the earlier of two, or the moment at which
/// clocks leave the midnight out.
pub fn start_of_day_ms(zone: Tz, day: NaiveDate) -> Result<UnixMillis, CostError> {
    let midnight = day.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        LocalResult::Single(moment) => Ok(moment.timestamp_millis()),
        LocalResult::Ambiguous(earlier, _) => Ok(earlier.timestamp_millis()),
        LocalResult::None => first_moment_behind_gap(zone, day),
    }
}

/// Looks for the second at which the date changes. No gap is longer than a day.
fn first_moment_behind_gap(zone: Tz, day: NaiveDate) -> Result<UnixMillis, CostError> {
    let at_noon = |day: NaiveDate| {
        let noon = day.and_hms_opt(12, 0, 0).ok_or(CostError::Moment)?;
        Ok(noon.and_utc().timestamp())
    };
    let before = day
        .checked_sub_days(Days::new(2))
        .ok_or(CostError::Moment)?;
    let behind = day
        .checked_add_days(Days::new(2))
        .ok_or(CostError::Moment)?;
    let (mut low_s, mut high_s) = (at_noon(before)?, at_noon(behind)?);
    while high_s - low_s > 1 {
        let middle_s = low_s + (high_s - low_s) / 2;
        let moment = DateTime::<Utc>::from_timestamp(middle_s, 0).ok_or(CostError::Moment)?;
        match moment.with_timezone(&zone).date_naive().cmp(&day) {
            Ordering::Less => low_s = middle_s,
            Ordering::Equal | Ordering::Greater => high_s = middle_s,
        }
    }
    Ok(high_s * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> UnixMillis {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    fn cycle(day: u8, zone: &str) -> Cycle {
        Cycle {
            day,
            zone: zone.parse().unwrap(),
        }
    }

    #[test]
    fn an_anchor_day_is_clamped_and_does_not_drift() {
        let cycle = cycle(31, "UTC");
        let mut span = cycle.around(ms("2027-01-31T00:00:00Z")).unwrap();
        let mut firsts = Vec::new();
        for _ in 0..4 {
            firsts.push(span.first_day.to_string());
            let next = cycle.next(&span).unwrap();
            assert_eq!(next.from_ms, span.until_ms);
            assert_eq!(cycle.previous(&next).unwrap(), span);
            span = next;
        }
        assert_eq!(
            firsts,
            ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"]
        );
    }

    #[test]
    fn a_day_that_was_left_out_begins_where_the_next_one_does() {
        // Samoa went from the end of 29 December 2011 to 31 December.
        let zone: Tz = "Pacific/Apia".parse().unwrap();
        let day = |day| NaiveDate::from_ymd_opt(2011, 12, day).unwrap();
        let skipped = start_of_day_ms(zone, day(30)).unwrap();
        assert_eq!(skipped, start_of_day_ms(zone, day(31)).unwrap());
        assert_eq!(skipped, ms("2011-12-30T10:00:00Z"));
    }

    #[test]
    fn a_midnight_that_comes_twice_begins_with_the_first() {
        // Havana goes back from 01:00 to 00:00.
        let zone: Tz = "America/Havana".parse().unwrap();
        let day = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
        assert_eq!(
            start_of_day_ms(zone, day).unwrap(),
            ms("2026-11-01T04:00:00Z")
        );
    }

    #[test]
    fn moments_out_of_reach_are_errors() {
        assert_eq!(Cycle::default().around(-1), Err(CostError::Moment));
        assert_eq!(Cycle::default().around(i64::MAX), Err(CostError::Moment));
    }
}

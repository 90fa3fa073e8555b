//! Moments in the zone of the viewer or of the report, and the round ones among them.

use std::iter::successors;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::domain::UnixMillis;

const MINUTE_MS: UnixMillis = 60_000;
const DAY_MS: UnixMillis = 86_400_000;
/// Ticks of an axis; at its two ends one more may fit in.
const MOST: UnixMillis = 6;
/// Dates that are tried: more than [`MOST`] steps reach over, at whatever place of one a span begins.
const MAX_DATES: usize = 10;

/// Zone in which moments are written.
#[derive(Clone)]
pub(crate) struct Zone(pub(crate) TimeZone);

#[derive(Clone, Copy)]
enum Step {
    Minutes(i16),
    Days(i16),
    Months(i16),
}

const STEPS: [Step; 15] = [
    Step::Minutes(5),
    Step::Minutes(15),
    Step::Minutes(30),
    Step::Minutes(60),
    Step::Minutes(120),
    Step::Minutes(180),
    Step::Minutes(360),
    Step::Minutes(720),
    Step::Days(1),
    Step::Days(2),
    Step::Days(7),
    Step::Days(14),
    Step::Months(1),
    Step::Months(3),
    Step::Months(12),
];

impl Step {
    fn ms(self) -> UnixMillis {
        match self {
            Step::Minutes(minutes) => UnixMillis::from(minutes) * MINUTE_MS,
            Step::Days(days) => UnixMillis::from(days) * DAY_MS,
            Step::Months(months) => UnixMillis::from(months) * 30 * DAY_MS,
        }
    }

    fn first(self, date: Date) -> Date {
        match self {
            // Weeks begin on Monday.
            Step::Days(days) if days >= 7 => {
                let past = date.weekday().to_monday_zero_offset();
                date.checked_sub(i64::from(past).days()).unwrap_or(date)
            }
            Step::Months(12) => Date::new(date.year(), 1, 1).unwrap_or(date),
            Step::Months(months) => {
                let past = (i16::from(date.month()) - 1) % months;
                let first = date.first_of_month();
                first.checked_sub(i64::from(past).months()).unwrap_or(first)
            }
            _ => date,
        }
    }

    fn next(self, date: Date) -> Option<Date> {
        let next = match self {
            Step::Minutes(_) => date.tomorrow(),
            Step::Days(days) => date.checked_add(i64::from(days).days()),
            Step::Months(months) => date.checked_add(i64::from(months).months()),
        };
        next.ok()
    }

    /// Minutes of a day at which there is a tick.
    fn minutes(self) -> impl Iterator<Item = i16> {
        let step = match self {
            Step::Minutes(minutes) => minutes,
            _ => 24 * 60,
        };
        (0..24 * 60).step_by(usize::from(step.unsigned_abs()))
    }
}

impl Zone {
    pub(crate) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    fn at(&self, ms: UnixMillis) -> Zoned {
        let at = Timestamp::from_millisecond(ms).unwrap_or_default();
        at.to_zoned(self.0.clone())
    }

    /// `23 Nov 07:43 CET`
    pub(super) fn moment(&self, ms: UnixMillis) -> String {
        self.at(ms).strftime("%-d %b %H:%M %Z").to_string()
    }

    /// `23 Nov`
    pub(crate) fn day(&self, ms: UnixMillis) -> String {
        self.at(ms).strftime("%-d %b").to_string()
    }

    /// Round moments of the zone's calendar within a span, with their labels.
    pub(super) fn ticks(
        &self,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Vec<(UnixMillis, String)> {
        let wide = |step: &Step| until_ms.saturating_sub(since_ms) / step.ms() <= MOST;
        let step = STEPS.into_iter().find(wide).unwrap_or(Step::Months(12));
        let mut ticks = Vec::new();
        let first = step.first(self.at(since_ms).date());
        let dates = successors(Some(first), |date| step.next(*date)).take(MAX_DATES);
        for date in dates {
            for minute in step.minutes() {
                let clock = date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
                let Ok(at) = clock.to_zoned(self.0.clone()) else {
                    continue;
                };
                let ms = at.timestamp().as_millisecond();
                // An hour that a day lacks falls on the next one.
                let is_new = ticks.last().is_none_or(|(last, _)| *last < ms);
                if (since_ms..=until_ms).contains(&ms) && is_new {
                    ticks.push((ms, label(step, &at)));
                }
            }
        }
        ticks
    }
}

fn label(step: Step, at: &Zoned) -> String {
    let format = match step {
        Step::Minutes(_) if (at.hour(), at.minute()) != (0, 0) => "%H:%M",
        Step::Minutes(_) | Step::Days(_) => "%-d %b",
        Step::Months(12) => "%Y",
        Step::Months(_) if at.month() == 1 => "%b %Y",
        Step::Months(_) => "%b",
    };
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: UnixMillis = 3_600_000;

    fn labels(zone: &Zone, from: &str, length_ms: UnixMillis) -> String {
        let since_ms = from.parse::<Timestamp>().unwrap().as_millisecond();
        let ticks = zone.ticks((since_ms, since_ms + length_ms));
        let labels: Vec<String> = ticks.into_iter().map(|(_, label)| label).collect();
        labels.join(", ")
    }

    #[test]
    fn ticks_are_round_moments_of_the_calendar() {
        let utc = Zone::utc();
        for (from, length_ms, wanted) in [
            (
                "2026-11-23T07:43:00Z",
                6 * HOUR_MS,
                "08:00, 09:00, 10:00, 11:00, 12:00, 13:00",
            ),
            (
                "2026-11-22T07:43:00Z",
                24 * HOUR_MS,
                "12:00, 18:00, 23 Nov, 06:00",
            ),
            (
                "2026-11-01T07:43:00Z",
                30 * DAY_MS,
                "2 Nov, 9 Nov, 16 Nov, 23 Nov, 30 Nov",
            ),
            (
                "2025-11-23T07:43:00Z",
                365 * DAY_MS,
                "Jan 2026, Apr, Jul, Oct",
            ),
        ] {
            assert_eq!(labels(&utc, from, length_ms), wanted);
        }
    }

    #[test]
    fn ticks_follow_the_clock_of_the_zone_over_a_day_of_25_hours() {
        let berlin = Zone(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        assert_eq!(
            labels(&berlin, "2026-10-24T22:00:00Z", 25 * HOUR_MS),
            "25 Oct, 06:00, 12:00, 18:00, 26 Oct"
        );
    }
}

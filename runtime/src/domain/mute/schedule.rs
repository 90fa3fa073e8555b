//! Moments at which a cron schedule begins, by the clocks of a time zone. The schedule is asked for
//! local times only, as if clocks were never changed; which moments these are is decided here,
//! forward, in whole seconds:
//!
//! - A local time that comes twice, when clocks go back, begins at its first occurrence; in a
//!   schedule for every hour (`*` in its second field) at both.
//! - A local time that is left out, when clocks go forward, begins at the first moment after the
//!   gap.

use std::iter::successors;

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::cron_ranges::written_out;
use crate::domain::Fault;

const DAY_S: i64 = 86_400;

/// The longest gap: a zone that crosses the date line leaves out a day.
const LONGEST_GAP_MINUTES: i64 = 26 * 60;

/// Looked through for the latest begin, the nearest first: a schedule of every minute has thousands
/// in a month.
const REACHES_S: [i64; 3] = [3 * 3_600, DAY_S, i64::MAX];

/// Local times looked at for the next begin. Those in vain lie within a gap or a repeated hour,
/// minute by minute.
const MOST_LOCAL_TIMES: usize = 2 * LONGEST_GAP_MINUTES as usize;

#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Box<Cron>,
    zone: Tz,
    is_for_every_hour: bool,
}

impl Schedule {
    /// Reads five fields: minute, hour, day of the month, month, day of the week. `zone` is a name
    /// such as `Europe/Berlin`, `example` a schedule to show. Faults are at `/cron` or `/timezone`.
    pub fn parse(text: &str, zone: &str, example: &str) -> Result<Self, Fault> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let parsed = parser.parse(&written_out(text)).map_err(|error| {
            let message = format!("`{text}` is not a schedule: {error}; write e.g. `{example}`");
            Fault::new("/cron", message)
        })?;
        let zone = zone.parse::<Tz>().map_err(|_| {
            let message =
                format!("`{zone}` is not a time zone; write e.g. `UTC` or `Europe/Berlin`");
            Fault::new("/timezone", message)
        })?;
        let schedule = Self::new(text, parsed, zone);
        if !schedule.comes() {
            let message = format!("`{text}` names a day that never comes");
            return Err(Fault::new("/cron", message));
        }
        Ok(schedule)
    }

    /// `text` is what `cron` was read from.
    pub(super) fn new(text: &str, cron: Cron, zone: Tz) -> Self {
        let is_for_every_hour = match text.split_whitespace().nth(1) {
            Some(hours) => hours.starts_with(['*', '?']),
            None => text.trim().eq_ignore_ascii_case("@hourly"),
        };
        Self {
            cron: Box::new(cron),
            zone,
            is_for_every_hour,
        }
    }

    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Whether it ever begins.
    pub(super) fn comes(&self) -> bool {
        self.local_times(DateTime::UNIX_EPOCH.naive_utc())
            .next()
            .is_some()
    }

    /// The latest begin that is not after a moment, and at most so long before it. Unix seconds.
    pub fn latest_until(&self, now_s: i64, within_s: i64) -> Option<i64> {
        for reach_s in REACHES_S {
            let since_s = now_s.checked_sub(reach_s.min(within_s))?;
            let (first, last) = self.local_span(since_s, now_s)?;
            let begins = self
                .local_times(first)
                .take_while(|local| *local <= last)
                .flat_map(|local| self.begins(local));
            let latest = begins
                .filter(|begin_s| (since_s..=now_s).contains(begin_s))
                .max();
            if latest.is_some() || reach_s >= within_s {
                return latest;
            }
        }
        None
    }

    /// The first begin after a moment. Unix seconds.
    pub fn next_after(&self, now_s: i64) -> Option<i64> {
        let (first, _) = self.local_span(now_s, now_s.checked_add(DAY_S)?)?;
        let mut next: Option<i64> = None;
        for local in self.local_times(first).take(MOST_LOCAL_TIMES) {
            let begins = self.begins(local);
            // The first occurrences of local times follow each other as these do; second ones come
            // later.
            if next.is_some_and(|next_s| begins.first().is_some_and(|begin_s| *begin_s >= next_s)) {
                break;
            }
            next = begins
                .into_iter()
                .filter(|begin_s| *begin_s > now_s)
                .chain(next)
                .min();
        }
        next
    }

    /// Local times of the schedule, from one on.
    fn local_times(&self, first: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        // In UTC no time is left out or comes twice.
        let find = |from: NaiveDateTime, is_inclusive| {
            let found = self
                .cron
                .find_next_occurrence(&from.and_utc(), is_inclusive)
                .ok()?;
            Some(found.naive_utc()).filter(|found| *found > from || is_inclusive)
        };
        successors(find(first, true), move |last| find(*last, false))
    }

    /// The moments at which a local time of the schedule begins, the first one first.
    fn begins(&self, local: NaiveDateTime) -> Vec<i64> {
        match self.zone.from_local_datetime(&local) {
            LocalResult::Single(begin) => vec![begin.timestamp()],
            LocalResult::Ambiguous(one, other) => {
                let (first, second) = (one.min(other), one.max(other));
                if self.is_for_every_hour {
                    vec![first.timestamp(), second.timestamp()]
                } else {
                    vec![first.timestamp()]
                }
            }
            LocalResult::None => (1..=LONGEST_GAP_MINUTES)
                .find_map(|minutes| {
                    let after = local.checked_add_signed(TimeDelta::minutes(minutes))?;
                    self.zone.from_local_datetime(&after).earliest()
                })
                .map(|begin| begin.timestamp())
                .into_iter()
                .collect(),
        }
    }

    /// The first and the last local time that a begin between two moments can have.
    fn local_span(&self, from_s: i64, to_s: i64) -> Option<(NaiveDateTime, NaiveDateTime)> {
        // A begin after a gap has a local time of before the gap.
        let from_day_s = from_s.checked_sub(DAY_S)?;
        let samples = (from_day_s..to_s)
            .step_by(DAY_S as usize)
            .chain([from_s, to_s]);
        let offsets: Vec<i64> = samples
            .map(|at_s| self.offset_s(at_s))
            .collect::<Option<_>>()?;
        let (least_s, most_s) = (*offsets.iter().min()?, *offsets.iter().max()?);
        Some((
            naive(from_s.checked_add(least_s)?)?,
            naive(to_s.checked_add(most_s)?)?,
        ))
    }

    fn offset_s(&self, at_s: i64) -> Option<i64> {
        Some(
            self.zone
                .offset_from_utc_datetime(&naive(at_s)?)
                .fix()
                .local_minus_utc()
                .into(),
        )
    }
}

fn naive(at_s: i64) -> Option<NaiveDateTime> {
    DateTime::<Utc>::from_timestamp(at_s, 0).map(|at| at.naive_utc())
}

#[cfg(test)]
mod tests;

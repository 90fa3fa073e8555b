//! Maintenance windows: planned work during which some alerts need not be told of, once or again
//! and again.

use std::time::Duration;

use super::schedule::Schedule;
use crate::domain::matcher::{Matcher, all_match};
use crate::domain::{Fault, Labels, UnixMillis};

/// A window that comes again has to end before this, so that looking for the one that is open stays
/// short.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

#[derive(Debug, Clone)]
pub struct Maintenance {
    /// Unique name for people.
    pub name: String,
    /// All have to match; none match every alert.
    pub matchers: Vec<Matcher>,
    pub recurrence: Recurrence,
}

#[derive(Debug, Clone)]
pub enum Recurrence {
    Once {
        starts_ms: UnixMillis,
        ends_ms: UnixMillis,
    },
    /// Begins by a schedule, in the time of a zone, and lasts for a duration.
    Cron {
        /// The schedule as it was written.
        text: String,
        schedule: Schedule,
        duration: Duration,
    },
}

impl Recurrence {
    pub fn once(starts_ms: UnixMillis, ends_ms: UnixMillis) -> Result<Self, Fault> {
        if ends_ms > starts_ms {
            return Ok(Self::Once { starts_ms, ends_ms });
        }
        Err(Fault::new("/end", "is not after `start`"))
    }

    /// `schedule` has five fields: minute, hour, day of the month, month, day of the week. `zone`
    /// is a name such as `Europe/Berlin`.
    pub fn cron(schedule: &str, zone: &str, duration: Duration) -> Result<Self, Fault> {
        let parsed = Schedule::parse(schedule, zone, "0 2 * * SUN")?;
        if duration.is_zero() || duration > LONGEST {
            let message = "has to be more than nothing and at most 31 days";
            return Err(Fault::new("/duration", message));
        }
        Ok(Self::Cron {
            text: schedule.to_owned(),
            schedule: parsed,
            duration,
        })
    }

    /// Start and end of the window that is open at a moment.
    pub fn open_at(&self, now_ms: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
        match self {
            Self::Once { starts_ms, ends_ms } => {
                (*starts_ms <= now_ms && now_ms < *ends_ms).then_some((*starts_ms, *ends_ms))
            }
            Self::Cron {
                schedule, duration, ..
            } => {
                let duration_ms = duration.as_millis() as i64;
                let within_s = duration_ms.unsigned_abs().div_ceil(1_000) as i64;
                let start_ms = schedule
                    .latest_until(now_ms.div_euclid(1_000), within_s)?
                    .checked_mul(1_000)?;
                let end_ms = start_ms.saturating_add(duration_ms);
                (now_ms < end_ms).then_some((start_ms, end_ms))
            }
        }
    }

    /// Start and end of the next window that begins after a moment.
    pub fn next_after(&self, now_ms: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
        match self {
            Self::Once { starts_ms, ends_ms } => {
                (*starts_ms > now_ms).then_some((*starts_ms, *ends_ms))
            }
            Self::Cron {
                schedule, duration, ..
            } => {
                let start_ms = schedule
                    .next_after(now_ms.div_euclid(1_000))?
                    .checked_mul(1_000)?;
                Some((
                    start_ms,
                    start_ms.saturating_add(duration.as_millis() as i64),
                ))
            }
        }
    }
}

impl Recurrence {
    /// When it opens or closes next; none when it never will again.
    pub fn next_change_ms(&self, now_ms: UnixMillis) -> Option<UnixMillis> {
        let closes_ms = self.open_at(now_ms).map(|(_, ends_ms)| ends_ms);
        closes_ms.or_else(|| self.next_after(now_ms).map(|(starts_ms, _)| starts_ms))
    }
}

impl Maintenance {
    /// Whether it mutes an alert with these labels while it is open.
    pub fn covers(&self, labels: &Labels) -> bool {
        all_match(&self.matchers, labels)
    }

    /// Whether whole services are worked on: a window that names an alert or a severity mutes those
    /// alone.
    pub fn is_about_services(&self) -> bool {
        self.matchers
            .iter()
            .all(|matcher| !["alertname", "severity"].contains(&matcher.label.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> UnixMillis {
        chrono::DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp_millis()
    }

    #[test]
    fn a_window_is_open_by_the_clocks_of_its_zone() {
        let sunday =
            Recurrence::cron("0 2 * * SUN", "Europe/Berlin", Duration::from_secs(7_200)).unwrap();
        for (now, wanted) in [
            ("2026-11-22T00:59:59Z", None),
            (
                "2026-11-22T01:00:00Z",
                Some(("2026-11-22T01:00:00Z", "2026-11-22T03:00:00Z")),
            ),
            (
                "2026-11-22T02:59:59Z",
                Some(("2026-11-22T01:00:00Z", "2026-11-22T03:00:00Z")),
            ),
            ("2026-11-22T03:00:00Z", None),
            ("2026-11-23T01:30:00Z", None),
            // in summer Berlin is two hours ahead
            (
                "2026-07-05T00:00:00Z",
                Some(("2026-07-05T00:00:00Z", "2026-07-05T02:00:00Z")),
            ),
        ] {
            assert_eq!(
                sunday.open_at(ms(now)),
                wanted.map(|(start, end)| (ms(start), ms(end))),
                "{now}"
            );
        }
        assert_eq!(
            sunday.next_after(ms("2026-11-22T01:00:00Z")).unwrap().0,
            ms("2026-11-29T01:00:00Z")
        );
    }

    #[test]
    fn a_range_of_days_may_go_over_the_end_of_the_week() {
        let long_weekend =
            Recurrence::cron("0 2 * * FRI-MON", "UTC", Duration::from_secs(3_600)).unwrap();
        // A Wednesday to the Wednesday after it.
        let nights = (25..=30)
            .map(|day| format!("2026-11-{day}T02:30:00Z"))
            .chain(["2026-12-01T02:30:00Z".to_owned()]);
        let open: Vec<bool> = nights
            .map(|now| long_weekend.open_at(ms(&now)).is_some())
            .collect();
        assert_eq!(open, [false, false, true, true, true, true, false]);
    }

    #[test]
    fn a_window_over_midnight_stays_open() {
        let nightly =
            Recurrence::cron("30 22 * * *", "UTC", Duration::from_secs(4 * 3_600)).unwrap();
        assert!(nightly.open_at(ms("2026-11-23T02:00:00Z")).is_some());
        assert!(nightly.open_at(ms("2026-11-23T03:00:00Z")).is_none());
    }

    #[test]
    fn a_window_that_comes_once_is_not_next_when_it_has_begun() {
        let once = Recurrence::once(1_000, 2_000).unwrap();
        assert_eq!(
            (once.open_at(999), once.open_at(1_000), once.open_at(2_000)),
            (None, Some((1_000, 2_000)), None)
        );
        assert_eq!(
            (once.next_after(999), once.next_after(1_000)),
            (Some((1_000, 2_000)), None)
        );
    }

    #[test]
    fn faults_explain_what_is_wrong() {
        let hour = Duration::from_secs(3_600);
        for (schedule, zone, duration, key) in [
            ("61 2 * * *", "UTC", hour, "cron"),
            ("* * * * * *", "UTC", hour, "cron"),
            ("sometimes", "UTC", hour, "cron"),
            ("0 2 30 2 *", "UTC", hour, "cron"),
            ("0 2 * * *", "Berlin", hour, "timezone"),
            ("0 2 * * *", "UTC", Duration::ZERO, "duration"),
            ("0 2 * * *", "UTC", 1_000 * hour, "duration"),
        ] {
            assert_eq!(
                Recurrence::cron(schedule, zone, duration)
                    .unwrap_err()
                    .pointer,
                format!("/{key}"),
                "{schedule} {zone}"
            );
        }
        assert_eq!(Recurrence::once(5, 5).unwrap_err().pointer, "/end");
    }

    #[test]
    fn schedules_and_zones_of_all_kinds_are_read_or_refused_with_an_example() {
        let hour = Duration::from_secs(3_600);
        for schedule in [
            "0 2 * * 7",
            "0 2 * * 0",
            "0 2 ? * SUN",
            "0 2 L * *",
            "0 2 * * 5#2",
            "0 2 * * 5L",
            "@daily",
            "*/15 * * * *",
            "0 2 1W * *",
            "0 12 29 2 *",
            "0 2 * NOV-FEB FRI-MON",
            "0 22-4/2 * * *",
        ] {
            assert!(
                Recurrence::cron(schedule, "UTC", hour).is_ok(),
                "{schedule}"
            );
        }
        for zone in [
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Europe/Kyiv",
            "Europe/Kiev",
            "Etc/GMT-2",
        ] {
            assert!(Recurrence::cron("0 2 * * *", zone, hour).is_ok(), "{zone}");
        }
        for (schedule, zone, key, example) in [
            ("0 24 * * *", "UTC", "cron", "`0 2 * * SUN`"),
            ("H 2 * * *", "UTC", "cron", "`0 2 * * SUN`"),
            ("0 2 * * *", "UTC+2", "timezone", "`Europe/Berlin`"),
            ("0 2 * * *", "europe/berlin", "timezone", "`Europe/Berlin`"),
        ] {
            let fault = Recurrence::cron(schedule, zone, hour).unwrap_err();
            assert!(
                fault.pointer == format!("/{key}") && fault.message.contains(example),
                "{fault:?}"
            );
        }
        // A day of the month and a day of the week are either of the two: 2026-11-13 is a Friday,
        // the 20th another one.
        let either = Recurrence::cron("0 2 13 * MON", "UTC", hour).unwrap();
        for (now, is_open) in [
            ("2026-11-13T02:30:00Z", true),
            ("2026-11-16T02:30:00Z", true),
            ("2026-11-20T02:30:00Z", false),
        ] {
            assert_eq!(either.open_at(ms(now)).is_some(), is_open, "{now}");
        }
    }

    #[test]
    fn covers_what_matches() {
        let window = Maintenance {
            name: "upgrade".to_owned(),
            matchers: vec![Matcher::parse("service=shop").unwrap()],
            recurrence: Recurrence::once(1_000, 2_000).unwrap(),
        };
        let (shop, mail) = (
            Labels::from([("service", "shop")]),
            Labels::from([("service", "mail")]),
        );
        assert!(window.covers(&shop));
        assert!(!window.covers(&mail));
        let everything = Maintenance {
            matchers: Vec::new(),
            ..window
        };
        assert!(everything.covers(&mail));
    }
}

//! The next thing to do for the tiers: pure, by marks and time.

use super::marks::{Marks, Range, floor, step_width, width};
use super::{DAY, Micros, SECOND};
use crate::domain::{Tier, TierRetention};

/// A slot is counted so long after its end at the earliest: runs are due before they arrive. Those
/// that take longer reopen it.
const GRACE: Micros = 120 * SECOND;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Count a range, for the first time or again. `limit`: how far it may go on at once where
    /// there are no runs.
    Count {
        tier: Tier,
        range: Range,
        limit: Micros,
        is_again: bool,
    },
    /// Remove rows of a tier, or runs, that end before a moment; at most a day of them.
    Remove { tier: Option<Tier>, before: Micros },
}

/// Returns what is due. The coarsest tier comes first, so that none runs far ahead of the next, and
/// finer rows go as soon as nothing needs them.
pub(super) fn next(marks: &Marks, now: Micros, retention: &TierRetention) -> Option<Task> {
    let closed = floor(now.saturating_sub(GRACE), width(Tier::FiveMinutes));
    let coarse = [Tier::Day, Tier::Hour]
        .into_iter()
        .find_map(|tier| count(marks, tier, closed));
    let removal = || {
        let of = [
            None,
            Some(Tier::FiveMinutes),
            Some(Tier::Hour),
            Some(Tier::Day),
        ];
        of.into_iter()
            .find_map(|tier| removal(marks, tier, now, retention))
    };
    coarse
        .or_else(removal)
        .or_else(|| count(marks, Tier::FiveMinutes, closed))
}

/// What was reopened comes before what is new, if what it is counted from is there by now.
fn count(marks: &Marks, tier: Tier, closed: Micros) -> Option<Task> {
    let mark = marks.of(tier);
    let step = step_width(tier);
    let source = tier.finer().map(|finer| marks.of(finer));
    if let Some(dirty) = mark.dirty {
        let range = Range {
            from: dirty.from,
            until: dirty.until.min(floor(dirty.from, step) + step),
        };
        if source.map_or(range.until <= closed, |source| source.has(range)) {
            let limit = match source {
                Some(source) => dirty.until.min(source.clean_until().max(range.until)),
                None => dirty.until.min(closed),
            };
            return Some(Task::Count {
                tier,
                range,
                limit: floor(limit, width(tier)).max(range.until),
                is_again: true,
            });
        }
    }
    let limit = source.map_or(closed, |source| floor(source.clean_until(), width(tier)));
    let range = Range {
        from: mark.done_until,
        until: limit.min(floor(mark.done_until, step) + step),
    };
    (range.from < range.until).then_some(Task::Count {
        tier,
        range,
        limit,
        is_again: false,
    })
}

/// Whole days, and none that the next tier needs.
fn removal(
    marks: &Marks,
    tier: Option<Tier>,
    now: Micros,
    retention: &TierRetention,
) -> Option<Task> {
    let kept = Micros::try_from(retention.of(tier)?.as_micros()).ok()?;
    let wanted = floor(now.saturating_sub(kept), DAY);
    // Runs are what reopened slots of every tier are made of.
    let needing = match tier {
        None => &Tier::ALL[..],
        Some(Tier::FiveMinutes) => &[Tier::Hour],
        Some(Tier::Hour | Tier::Day) => &[Tier::Day],
    };
    let counted = needing.iter().map(|tier| marks.of(*tier).clean_until());
    let counted = counted.min().unwrap_or(wanted);
    let before = wanted.min(floor(counted, DAY));
    (before > marks.kept_from(tier)).then_some(Task::Remove { tier, before })
}

#[cfg(test)]
mod tests {
    use super::super::HOUR;
    use super::super::marks::Mark;
    use super::*;

    const T0: Micros = 20_000 * DAY;
    const FOR_EVER: TierRetention = TierRetention {
        runs: None,
        five_minutes: None,
        hours: None,
        days: None,
    };

    fn marks(fine: Micros, hour: Micros, day: Micros) -> Marks {
        let mark = |done_until| Mark {
            done_until,
            ..Mark::NOTHING
        };
        Marks {
            runs_kept_from: Mark::NOTHING.kept_from,
            tiers: [mark(fine), mark(hour), mark(day)],
        }
    }

    fn counted(task: Option<Task>) -> Option<(Tier, Micros, Micros)> {
        match task? {
            Task::Count { tier, range, .. } => Some((tier, range.from - T0, range.until - T0)),
            Task::Remove { .. } => None,
        }
    }

    #[test]
    fn a_slot_is_counted_once_it_was_closed_for_a_while() {
        let marks = marks(T0, T0, T0);
        let minutes = |minutes: Micros| T0 + minutes * 60 * SECOND;
        assert_eq!(next(&marks, minutes(6), &FOR_EVER), None);
        assert_eq!(
            counted(next(&marks, minutes(7), &FOR_EVER)),
            Some((Tier::FiveMinutes, 0, 300 * SECOND))
        );
    }

    #[test]
    fn a_step_ends_with_the_hour_and_coarser_tiers_follow_at_once() {
        let now = T0 + 3 * DAY;
        let begun = T0 + 600 * SECOND;
        for (marks, wanted) in [
            (
                marks(begun, T0, T0),
                (Tier::FiveMinutes, 600 * SECOND, HOUR),
            ),
            (marks(T0 + HOUR, T0, T0), (Tier::Hour, 0, HOUR)),
            (marks(T0 + DAY, T0 + DAY, T0), (Tier::Day, 0, DAY)),
            (
                marks(T0 + DAY, T0 + DAY - HOUR, T0),
                (Tier::Hour, DAY - HOUR, DAY),
            ),
        ] {
            assert_eq!(counted(next(&marks, now, &FOR_EVER)), Some(wanted));
        }
    }

    #[test]
    fn what_was_reopened_waits_for_the_finer_tier() {
        let mut marks = marks(T0 + 2 * DAY, T0 + 2 * DAY, T0 + 2 * DAY);
        let dirty = |from, until| {
            Some(Range {
                from: T0 + from,
                until: T0 + until,
            })
        };
        marks.tiers[0].dirty = dirty(5 * HOUR, 5 * HOUR + 300 * SECOND);
        marks.tiers[1].dirty = dirty(5 * HOUR, 6 * HOUR);
        marks.tiers[2].dirty = dirty(0, DAY);
        let now = T0 + 2 * DAY + 200 * SECOND;
        let again = [
            (Tier::FiveMinutes, 5 * HOUR, 5 * HOUR + 300 * SECOND),
            (Tier::Hour, 5 * HOUR, 6 * HOUR),
            (Tier::Day, 0, DAY),
        ];
        for wanted in again {
            assert_eq!(counted(next(&marks, now, &FOR_EVER)), Some(wanted));
            marks.tiers[wanted.0 as usize].dirty = None;
        }
        assert_eq!(next(&marks, now, &FOR_EVER), None);
    }

    #[test]
    fn rows_are_removed_by_days_and_only_when_the_next_tier_has_them() {
        let retention = TierRetention {
            runs: Some(std::time::Duration::from_secs(7 * 86_400)),
            ..FOR_EVER
        };
        let now = T0 + 10 * DAY + HOUR;
        let removal = |marks: &Marks| match next(marks, now, &retention) {
            Some(Task::Remove { tier, before }) => Some((tier, before - T0)),
            _ => None,
        };
        let done = T0 + 10 * DAY;
        let mut marks = marks(done, done, done);
        assert_eq!(removal(&marks), Some((None, 3 * DAY)));
        marks.tiers[0].dirty = Some(Range {
            from: T0 + 2 * DAY + HOUR,
            until: T0 + 2 * DAY + 2 * HOUR,
        });
        assert_eq!(removal(&marks), Some((None, 2 * DAY)));
        marks.runs_kept_from = T0 + 2 * DAY;
        assert_eq!(removal(&marks), None);
    }

    #[test]
    fn a_clock_that_was_set_back_lets_reopened_slots_wait() {
        let mut marks = marks(T0 + 2 * HOUR, T0 + 2 * HOUR, T0);
        marks.tiers[0].dirty = Some(Range {
            from: T0 + HOUR,
            until: T0 + 2 * HOUR,
        });
        assert_eq!(next(&marks, T0 + HOUR + 60 * SECOND, &FOR_EVER), None);
    }
}

//! Runs that arrive after their slot was counted: the slot is marked in the transaction that
//! appends them, and counted again.

use duckdb::Connection;

use super::marks::{Mark, Marks, Range, floor, set_dirty, width};
use super::{DAY, Micros};
use crate::domain::{Observation, Tier};

/// Marks slots that were counted without these runs.
pub(in crate::store::results) fn reopen<'a>(
    connection: &Connection,
    runs: impl Iterator<Item = &'a Observation>,
) -> duckdb::Result<()> {
    let mut runs = runs.peekable();
    if runs.peek().is_none() {
        return Ok(());
    }
    let marks = Marks::read(connection)?;
    let mut reopened = [None; 3];
    for run in runs {
        // Rows have no earlier moment either.
        let ts = run.ts_ms.saturating_mul(1_000).max(Mark::NOTHING.kept_from);
        reopen_slots(&marks, ts, &mut reopened);
    }
    for (tier, dirty) in Tier::ALL.into_iter().zip(joined(&marks, reopened)) {
        if dirty.is_some() {
            set_dirty(connection, tier, dirty)?;
        }
    }
    Ok(())
}

/// Adds the slot of each tier in which a run lies. One that is older than the runs that are kept
/// counts no more: the slot could not be counted again without the others.
fn reopen_slots(marks: &Marks, ts: Micros, reopened: &mut [Option<Range>; 3]) {
    if ts < marks.runs_kept_from {
        return;
    }
    for tier in Tier::ALL {
        let mark = marks.of(tier);
        if ts >= mark.done_until {
            continue;
        }
        // What was removed is made anew from the runs, by whole days.
        let is_removed = ts < mark.kept_from
            || tier
                .finer()
                .is_some_and(|finer| ts < marks.of(finer).kept_from);
        let unit = if is_removed { DAY } else { width(tier) };
        let from = floor(ts, unit);
        let slot = Range {
            from,
            until: (from + unit).min(mark.done_until),
        };
        let slots = &mut reopened[tier as usize];
        *slots = Some(slot.join(*slots));
    }
}

/// Returns what is dirty with these slots; none where that does not change. Between two slots all
/// is counted again: where the finer tier was removed it is made anew as well.
fn joined(marks: &Marks, reopened: [Option<Range>; 3]) -> [Option<Range>; 3] {
    let mut dirty = reopened;
    for tier in [Tier::Day, Tier::Hour, Tier::FiveMinutes] {
        let Some(range) = dirty[tier as usize] else {
            continue;
        };
        let range = range.join(marks.of(tier).dirty);
        dirty[tier as usize] = Some(range);
        let Some(finer) = tier.finer() else { continue };
        let kept_from = marks.of(finer).kept_from;
        if range.from < kept_from {
            let removed = Range {
                from: range.from,
                until: range.until.min(kept_from),
            };
            let slots = &mut dirty[finer as usize];
            *slots = Some(removed.join(*slots));
        }
    }
    dirty
}

#[cfg(test)]
mod tests {
    use super::super::HOUR;
    use super::*;

    #[test]
    fn a_late_run_reopens_its_slots_and_those_alone() {
        let t0 = 20_000 * DAY;
        let mark = |done_until, kept_from| Mark {
            done_until,
            dirty: None,
            kept_from,
        };
        let marks = Marks {
            runs_kept_from: t0,
            tiers: [
                mark(t0 + 5 * DAY + HOUR, t0 + 2 * DAY),
                mark(t0 + 5 * DAY, Mark::NOTHING.kept_from),
                mark(t0 + 5 * DAY, Mark::NOTHING.kept_from),
            ],
        };
        let slots = |ts: Micros| {
            let mut reopened = [None; 3];
            reopen_slots(&marks, t0 + ts, &mut reopened);
            reopened.map(|range| range.map(|range| (range.from - t0, range.until - t0)))
        };
        let five = width(Tier::FiveMinutes);
        let day = |day: Micros| Some((day * DAY, (day + 1) * DAY));
        let at = 3 * DAY + 7 * HOUR;
        assert_eq!(
            slots(at + 1),
            [Some((at, at + five)), Some((at, at + HOUR)), day(3)]
        );
        assert_eq!(
            slots(5 * DAY + 1),
            [Some((5 * DAY, 5 * DAY + five)), None, None]
        );
        // Five minutes of that day are gone: all of it is counted from the runs.
        assert_eq!(slots(DAY + HOUR), [day(1); 3]);
        assert_eq!(slots(5 * DAY + HOUR), [None; 3], "it is not counted yet");
        assert_eq!(slots(-1), [None; 3], "its neighbours were removed");
    }

    #[test]
    fn slots_that_are_joined_over_removed_ones_have_those_made_anew() {
        let t0 = 20_000 * DAY;
        let mark = |kept_from| Mark {
            done_until: t0 + 9 * DAY,
            dirty: None,
            kept_from,
        };
        let mut marks = Marks {
            runs_kept_from: t0,
            tiers: [
                mark(t0 + 5 * DAY),
                mark(Mark::NOTHING.kept_from),
                mark(Mark::NOTHING.kept_from),
            ],
        };
        let range = |from, until| {
            Some(Range {
                from: t0 + from,
                until: t0 + until,
            })
        };
        // Of an old run the 5 minutes are made anew already, the hours are not.
        marks.tiers[1].dirty = range(DAY, 2 * DAY);
        let mut reopened = [None; 3];
        reopen_slots(&marks, t0 + 8 * DAY, &mut reopened);
        let [five, hour, _] = joined(&marks, reopened);
        assert_eq!(hour, range(DAY, 8 * DAY + HOUR));
        assert_eq!(five, range(DAY, 8 * DAY + width(Tier::FiveMinutes)));
    }
}

//! Outlook of a limit by its readings, and its users.

use extrack_forecast::{Decline, Limit, Outlook, Reading};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RateLimit;
use crate::domain::UnixMillis;

/// A limit that does not say when it starts anew has to last this long.
const HORIZON_MS: u64 = 3_600_000;

/// Words for what is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OutlookKind {
    /// There are too few readings of the present window.
    Unknown,
    /// The window of the last reading is over.
    Anew,
    /// Nothing is left.
    Exhausted,
    /// The figure does not move, whatever is used: nothing follows from it.
    DoesNotFollow,
    /// It is not being used up.
    Unused,
    /// It becomes less, and starts anew before it is used up.
    Lasts,
    /// It may be used up before it starts anew.
    MayRunOut,
    /// It will be used up before it starts anew, or within an hour where that is not known.
    RunsOut,
}

/// Outlook of one limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitOutlook {
    pub kind: OutlookKind,
    /// How it becomes less, if it does.
    pub decline: Option<Decline>,
}

/// Use of one limit between two readings of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseShare {
    /// Use by everybody who shares it.
    pub total: u64,
    /// Known to be ours.
    pub ours: u64,
    /// Use by others with the same key, at most.
    pub others: u64,
}

/// Returns what is to be expected of one limit. Its readings, oldest first.
pub fn outlook_of(readings: &[&RateLimit], now_ms: UnixMillis) -> LimitOutlook {
    let unsigned = |ms: UnixMillis| ms.max(0).unsigned_abs();
    let last = readings.last();
    let limit = Limit {
        window_ms: last.and_then(|last| last.window_ms),
        refill_per_hour: last.and_then(|last| last.refill_per_hour),
    };
    let readings: Vec<Reading> = readings
        .iter()
        .filter_map(|reading| {
            Some(Reading {
                ts_ms: unsigned(reading.ts_ms),
                remaining: reading.remaining?,
                reset_ms: reading.reset_ms.map(unsigned),
            })
        })
        .collect();
    let now_ms = unsigned(now_ms);
    let horizon_ms = now_ms.saturating_add(HORIZON_MS);
    let (kind, decline) = match extrack_forecast::outlook(&readings, &limit, now_ms) {
        Outlook::Unknown => (OutlookKind::Unknown, None),
        Outlook::Anew => (OutlookKind::Anew, None),
        Outlook::Exhausted => (OutlookKind::Exhausted, None),
        Outlook::DoesNotFollow { .. } => (OutlookKind::DoesNotFollow, None),
        Outlook::Unused => (OutlookKind::Unused, None),
        Outlook::Declines(decline) if decline.runs_out(horizon_ms) => {
            (OutlookKind::RunsOut, Some(decline))
        }
        Outlook::Declines(decline) if decline.may_run_out(horizon_ms) => {
            (OutlookKind::MayRunOut, Some(decline))
        }
        Outlook::Declines(decline) => (OutlookKind::Lasts, Some(decline)),
    };
    LimitOutlook { kind, decline }
}

/// Returns who used a limit between two readings. `ours` counts the calls of ours after the first
/// reading, up to the last. None where the readings are of different windows, or where something
/// else than requests is counted.
pub fn use_share(first: &RateLimit, last: &RateLimit, ours: u64) -> Option<UseShare> {
    let is_one_window = match (first.reset_ms, last.reset_ms) {
        (Some(reset_ms), _) => reset_ms > last.ts_ms,
        (None, _) => false,
    };
    if !is_one_window || last.unit.is_some() || last.refill_per_hour.is_some() {
        return None;
    }
    let total = first.remaining?.checked_sub(last.remaining?)?;
    Some(UseShare {
        total,
        ours: ours.min(total),
        others: total.saturating_sub(ours),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(second: i64, remaining: u64) -> RateLimit {
        RateLimit {
            ts_ms: second * 1_000,
            remaining: Some(remaining),
            reset_ms: Some(3_600_000),
            ..RateLimit::default()
        }
    }

    #[test]
    fn the_words_follow_the_forecast() {
        let of = |pace: u64| {
            let readings: Vec<RateLimit> = (0..10)
                .map(|minute| reading(minute * 60, 5_000 - minute as u64 * pace))
                .collect();
            let readings: Vec<&RateLimit> = readings.iter().collect();
            outlook_of(&readings, 540_000).kind
        };
        assert_eq!(of(10), OutlookKind::Lasts);
        assert_eq!(of(300), OutlookKind::RunsOut);
    }

    #[test]
    fn what_goes_beyond_our_own_calls_is_by_others() {
        let share = use_share(&reading(0, 5_000), &reading(60, 4_900), 30);
        let wanted = UseShare {
            total: 100,
            ours: 30,
            others: 70,
        };
        assert_eq!(share, Some(wanted));
        assert_eq!(use_share(&reading(0, 10), &reading(3_700, 5), 1), None);
        assert_eq!(use_share(&reading(0, 10), &reading(60, 50), 1), None);
    }
}

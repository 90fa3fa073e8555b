//! When a rate limit will be used up, by its last readings: the median of the slopes between all
//! pairs of them (Theil and Sen), with the range in which nine of ten such slopes lie. Pure, without
//! a clock, and without dependencies: it runs in the host and in plugins.

mod slopes;

use slopes::Slopes;

/// Readings that are looked at, the last ones.
pub const MAX_READINGS: usize = 60;

/// Fewer readings make no line.
const LEAST_READINGS: usize = 4;

/// Readings over a shorter time say nothing of the next hour; of a short window, over a quarter of
/// it.
const LEAST_MS: u64 = 60_000;
const LEAST_OF_WINDOW: u64 = 4;
const LEAST_MS_EVER: u64 = 5_000;

/// Readings from which on a figure counts as one that does not move.
const FLAT_READINGS: usize = 10;

/// Readings in a hundred that have to be equal for that: Cloudflare's moved once in 131.
const FLAT_PERCENT: usize = 95;

/// Resets of one window differ by less: whole seconds are rounded.
const RESET_APART_MS: u64 = 1_500;

const MINUTE_MS: f64 = 60_000.0;

/// One reading of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub ts_ms: u64,
    pub remaining: u64,
    /// End of the window.
    pub reset_ms: Option<u64>,
}

/// What is known of a limit beside its readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    pub window_ms: Option<u64>,
    /// What comes back in an hour, of a limit that fills up continuously.
    pub refill_per_hour: Option<u64>,
}

/// What is to be expected of a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outlook {
    /// There are too few readings of the present window.
    Unknown,
    /// The window of the last reading is over.
    Anew,
    /// Nothing is left.
    Exhausted,
    /// The figure does not move, whatever is used: nothing follows from it.
    DoesNotFollow { readings: usize },
    /// It is not being used up.
    Unused,
    /// It becomes less.
    Declines(Decline),
}

/// A limit that becomes less, and when it would be used up if that goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decline {
    /// What it becomes less by in a minute; of a limit that fills up, beyond what comes back.
    pub per_minute: f64,
    /// The least and the most that the readings allow.
    pub per_minute_low: f64,
    pub per_minute_high: f64,
    pub earliest_ms: u64,
    pub likely_ms: u64,
    /// None: the readings allow as well that it is not being used up.
    pub latest_ms: Option<u64>,
    /// When it starts anew; none for a limit that does not say it, or that fills up.
    pub reset_ms: Option<u64>,
}

impl Decline {
    /// Whether it is used up before it starts anew, as far as the readings agree. `horizon_ms` is
    /// the moment up to which a limit has to last that does not say when it starts anew.
    pub fn runs_out(&self, horizon_ms: u64) -> bool {
        self.latest_ms.is_some() && self.likely_ms < self.reset_ms.unwrap_or(horizon_ms)
    }

    /// Whether the readings allow that it is used up before it starts anew.
    pub fn may_run_out(&self, horizon_ms: u64) -> bool {
        self.earliest_ms < self.reset_ms.unwrap_or(horizon_ms)
    }
}

/// Returns what is to be expected. Readings are of one limit, oldest first.
pub fn outlook(readings: &[Reading], limit: &Limit, now_ms: u64) -> Outlook {
    let readings = &readings[readings.len().saturating_sub(MAX_READINGS)..];
    let Some(last) = readings.last() else {
        return Outlook::Unknown;
    };
    let refills = limit.refill_per_hour.is_some();
    if last.reset_ms.is_some_and(|reset_ms| reset_ms <= now_ms) && !refills {
        return match flat(readings, limit) {
            Some(readings) => Outlook::DoesNotFollow { readings },
            None => Outlook::Anew,
        };
    }
    if last.remaining == 0 {
        return Outlook::Exhausted;
    }
    if let Some(readings) = flat(readings, limit) {
        return Outlook::DoesNotFollow { readings };
    }
    let window = if refills {
        readings
    } else {
        present_window(readings)
    };
    let spanned_ms = window
        .first()
        .map_or(0, |first| last.ts_ms.saturating_sub(first.ts_ms));
    let least_ms = limit.window_ms.map_or(LEAST_MS, |window_ms| {
        (window_ms / LEAST_OF_WINDOW).clamp(LEAST_MS_EVER, LEAST_MS)
    });
    if window.len() < LEAST_READINGS || spanned_ms < least_ms {
        return Outlook::Unknown;
    }
    let slopes = Slopes::of(window, last);
    let Some(slopes) = slopes.filter(|slopes| slopes.median < 0.0) else {
        return Outlook::Unused;
    };
    let lasts_until = |slope: f64| {
        let lasts_ms = last.remaining as f64 / -slope;
        last.ts_ms.saturating_add(lasts_ms as u64)
    };
    Outlook::Declines(Decline {
        per_minute: -slopes.median * MINUTE_MS,
        per_minute_low: (-slopes.high).max(0.0) * MINUTE_MS,
        per_minute_high: -slopes.low * MINUTE_MS,
        earliest_ms: lasts_until(slopes.low),
        likely_ms: lasts_until(slopes.median),
        latest_ms: (slopes.high < 0.0).then(|| lasts_until(slopes.high)),
        reset_ms: last.reset_ms.filter(|_| !refills),
    })
}

/// Returns the readings since the limit last started anew.
fn present_window(readings: &[Reading]) -> &[Reading] {
    let start = readings
        .windows(2)
        .rposition(|pair| !is_same_window(&pair[0], &pair[1]))
        .map_or(0, |index| index + 1);
    &readings[start..]
}

fn is_same_window(one: &Reading, next: &Reading) -> bool {
    if one.reset_ms.is_some_and(|reset_ms| reset_ms <= next.ts_ms) {
        return false;
    }
    // More is left than before: it started anew, unless the reset shows that it did not, and answers
    // overtook each other.
    next.remaining <= one.remaining
        || matches!((one.reset_ms, next.reset_ms), (Some(one), Some(next)) if next <= one + RESET_APART_MS)
}

/// Returns how many readings show that the figure stays where it is within one window, or together
/// with a reset that is always as far away.
fn flat(readings: &[Reading], limit: &Limit) -> Option<usize> {
    let last = readings.last()?;
    if readings.len() < FLAT_READINGS || last.remaining == 0 {
        return None;
    }
    let mut counts: Vec<u64> = readings.iter().map(|reading| reading.remaining).collect();
    counts.sort_unstable();
    let middle = counts[counts.len() / 2];
    let equal = counts.iter().filter(|count| **count == middle).count();
    if equal * 100 < readings.len() * FLAT_PERCENT {
        return None;
    }
    let ahead = |reading: &Reading| {
        reading
            .reset_ms
            .map(|reset_ms| reset_ms.saturating_sub(reading.ts_ms))
    };
    let is_as_far = readings
        .iter()
        .all(|reading| match (ahead(reading), ahead(last)) {
            (Some(one), Some(other)) => one.abs_diff(other) <= RESET_APART_MS,
            (None, None) => true,
            _ => false,
        });
    let is_within = |pair: &[Reading]| match limit.window_ms {
        Some(window_ms) => pair[1].ts_ms.saturating_sub(pair[0].ts_ms) < window_ms,
        None => is_same_window(&pair[0], &pair[1]),
    };
    let within = readings.windows(2).filter(|pair| is_within(pair)).count();
    let is_told = is_as_far || within + 1 >= FLAT_READINGS;
    is_told.then_some(readings.len())
}

#[cfg(test)]
mod tests;

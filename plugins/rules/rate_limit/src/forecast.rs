//! When a limit will be used up: `extrack-forecast` over the readings as rules get them.

use extrack_forecast::{Decline, Limit, Outlook, Reading, outlook};
use extrack_plugin::history::RateLimit;
use extrack_plugin::prelude::*;

/// Attribute of a reading of a limit that fills up continuously.
const REFILL: &str = "refill-per-hour";

/// Returns how a limit becomes less; none if it does not, or if that can't be said.
pub(crate) fn decline_of(readings: &[RateLimit], now_ms: u64) -> Option<Decline> {
    let last = readings.last()?;
    let refill = last
        .attributes
        .iter()
        .find(|entry| entry.key == REFILL)
        .and_then(|entry| match entry.value {
            Value::Integer(count) => u64::try_from(count).ok(),
            _ => None,
        });
    let limit = Limit {
        window_ms: last.window_ms,
        refill_per_hour: refill,
    };
    let readings: Vec<Reading> = readings
        .iter()
        .filter_map(|reading| {
            Some(Reading {
                ts_ms: reading.ts_ms,
                remaining: reading.remaining?,
                reset_ms: reading.reset_ms,
            })
        })
        .collect();
    match outlook(&readings, &limit, now_ms) {
        Outlook::Declines(decline) => Some(decline),
        _ => None,
    }
}

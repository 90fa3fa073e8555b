//! When a rule that could not be judged for a while is without data, and what is said about it.

use std::time::Duration;

use crate::domain::duration::format_duration;
use crate::domain::{AlertRule, Catalog, Finding, UnixMillis};

/// Runs of a probe that have to be missing before there is no data, unless the rule has a time of
/// its own.
const INTERVALS: u32 = 3;

/// Shortest time without data, whatever the interval: a restart of a network is no silence.
const LEAST: Duration = Duration::from_secs(300);

/// Returns the time that a rule may be neither `ok` nor `breached`; none for a rule that looks at
/// webhooks alone.
pub fn no_data_after(rule: &AlertRule, catalog: &Catalog) -> Option<Duration> {
    rule.options.no_data_after.or_else(|| {
        let probes = &catalog.services.get(&rule.service)?.probes;
        let interval = probes
            .iter()
            .filter(|probe| rule.looks_at(&probe.name))
            .map(|probe| probe.interval)
            .max()?;
        Some(interval.saturating_mul(INTERVALS).max(LEAST))
    })
}

/// `judged_ms`: as of when it last said either.
pub fn is_without_data(judged_ms: UnixMillis, after: Option<Duration>, now_ms: UnixMillis) -> bool {
    after.is_some_and(|after| {
        now_ms.saturating_sub(judged_ms) >= i64::try_from(after.as_millis()).unwrap_or(i64::MAX)
    })
}

pub fn no_data_finding(judged_ms: UnixMillis, now_ms: UnixMillis, reason: &str) -> Finding {
    let silence = Duration::from_millis(u64::try_from(now_ms - judged_ms).unwrap_or_default());
    Finding {
        summary: format!("no verdict for {}: {reason}", rounded(silence)),
        ..Finding::default()
    }
}

/// Rounds to the minute, or to the second where it is shorter.
fn rounded(silence: Duration) -> String {
    let seconds = silence.as_secs();
    format_duration(Duration::from_secs(if seconds < 120 {
        seconds
    } else {
        seconds - seconds % 60
    }))
}

//! The last 24 hours of a plugin: runs that failed, how long runs took, and when versions were
//! swapped.

use std::time::Duration;

use maud::{Markup, html};

use crate::api::http::moment::{self, hour};
use crate::api::http::state::ApiState;
use crate::api_types::plugins::VersionBody;
use crate::charts::{self, Bars, Column, Line, Mark, Unit, Zone};
use crate::domain::{UnixMillis, now_ms};
use crate::store::PluginHour;

const HOUR_MS: UnixMillis = 3_600_000;
const HOURS: i64 = 24;
/// The rest of the page does not wait longer for the results store.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the pictures of a plugin; none where it did not run or its runs can't be read now.
pub(super) async fn last_day(
    state: &ApiState,
    name: &str,
    versions: &[VersionBody],
) -> Option<Markup> {
    let until_ms = (now_ms() / HOUR_MS + 1) * HOUR_MS;
    let span = (until_ms - HOURS * HOUR_MS, until_ms);
    let reading = state.deps.results.plugin_run_hours(name, span);
    let hours = tokio::time::timeout(PATIENCE, reading).await.ok()?.ok()?;
    (!hours.is_empty()).then(|| pictures(&hours, span, versions))
}

fn pictures(
    hours: &[PluginHour],
    span: (UnixMillis, UnixMillis),
    versions: &[VersionBody],
) -> Markup {
    let starts = (0..HOURS).map(|number| span.0 + number * HOUR_MS);
    let of = |start_ms: UnixMillis| hours.iter().find(|hour| hour.start_ms == start_ms);
    let failed = |start_ms: UnixMillis| of(start_ms).map_or(0.0, |found| found.failed as f64);
    let columns: Vec<Column> = starts
        .clone()
        .map(|start_ms| Column {
            label: hour(start_ms),
            values: vec![failed(start_ms)],
            is_forecast: false,
        })
        .collect();
    let points: Vec<_> = starts
        .map(|start_ms| (start_ms, of(start_ms).map(|found| found.p95_us)))
        .collect();
    let swaps = swaps(versions);
    let marks: Vec<Mark<'_>> = swaps
        .iter()
        .filter(|(at_ms, _)| (span.0..span.1).contains(at_ms))
        .map(|(at_ms, text)| Mark {
            at_ms: *at_ms,
            text,
        })
        .collect();
    let bars = Bars {
        name: "runs that failed",
        unit: Unit::Count,
        series: &["failed"],
        columns: &columns,
    };
    let line = Line {
        name: "p95 of the duration",
        unit: Unit::Micros,
        span,
        points: &points,
        threshold: None,
        marks: &marks,
        zone: &Zone(moment::zone()),
    };
    html! {
        section.card.panel aria-label="Last 24 hours" {
            h2 { "Last 24 hours" }
            h3 { "Runs that failed, by hour" }
            div.wide tabindex="0" { (charts::bars(&bars)) }
            h3 { "Duration, p95, by hour" }
            div.wide tabindex="0" { (charts::line(&line)) }
        }
    }
}

/// Moments at which versions became active, oldest first. A bundled one that nobody chose is active
/// since the start of the program, which is no swap.
fn swaps(versions: &[VersionBody]) -> Vec<(UnixMillis, String)> {
    let chosen = versions
        .iter()
        .filter(|version| !version.bundled || version.activated_by.is_some());
    let mut swaps: Vec<_> = chosen
        .filter_map(|version| {
            let since: jiff::Timestamp = version.active_since.as_ref()?.parse().ok()?;
            let text = format!("{} active", version.version);
            Some((since.as_millisecond(), text))
        })
        .collect();
    swaps.sort_by_key(|(at_ms, _)| *at_ms);
    swaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: &str, bundled: bool, since: Option<&str>, by: Option<&str>) -> VersionBody {
        VersionBody {
            version: version.to_owned(),
            digest: version.to_owned(),
            state: "kept".to_owned(),
            bundled,
            size: 1,
            installed: "2026-11-20T00:00:00Z".to_owned(),
            installed_by: "ops".to_owned(),
            active_since: since.map(str::to_owned),
            active_until: None,
            activated_by: by.map(str::to_owned),
            rolled_back: None,
        }
    }

    #[test]
    fn failures_are_bars_durations_a_line_and_swaps_of_the_day_marks() {
        // 2026-11-22T08:00:00Z
        let since_ms = 1_795_334_400_000;
        let hours = [PluginHour {
            start_ms: since_ms + 3 * HOUR_MS,
            failed: 2,
            p95_us: 4_000.0,
        }];
        let versions = [
            version(
                "1.1.0",
                false,
                Some("2026-11-22T12:00:00.000Z"),
                Some("ops"),
            ),
            version(
                "1.0.0",
                false,
                Some("2026-11-01T00:00:00.000Z"),
                Some("ops"),
            ),
            version("0.9.0", true, Some("2026-11-22T13:00:00.000Z"), None),
            version("0.8.0", false, None, None),
        ];
        let span = (since_ms, since_ms + HOURS * HOUR_MS);
        let drawn = pictures(&hours, span, &versions).into_string();
        assert_eq!(drawn.matches(r#"class="column""#).count(), 24, "{drawn}");
        assert_eq!(drawn.matches("data-value").count(), 1, "{drawn}");
        assert!(drawn.contains("11:00 · 2"), "{drawn}");
        assert!(drawn.contains("22 Nov 12:00 UTC 1.1.0 active"), "{drawn}");
        for absent in ["1.0.0", "0.9.0", "0.8.0"] {
            assert!(!drawn.contains(absent), "{absent}: {drawn}");
        }
    }
}

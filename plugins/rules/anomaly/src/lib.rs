//! The rule `anomaly`: is the latency far from what is usual? Usual is what it was in the hours
//! before, and at this hour of the days before; only what is far from both is told, so that neither
//! a nightly backup nor a slow morning pages anybody.

mod usual;

use extrack_plugin::prelude::*;

use crate::usual::Usual;

const DAY: Duration = Duration::from_secs(86_400);
const HALF_HOUR: Duration = Duration::from_secs(1_800);

/// Days that have to be known before they count: two agree by chance.
const LEAST_DAYS: usize = 3;

#[derive(Settings)]
struct Settings {
    /// How many times the usual spread the latency may be away from its usual value (a robust
    /// z-score).
    #[setting(default = 5, min = 1)]
    sensitivity: f64,
    /// The latency of this window is judged.
    #[setting(default = "5m")]
    window: Duration,
    /// This quantile of it.
    #[setting(default = 0.5, min = 0, max = 1)]
    quantile: f64,
    /// What is usual just now: the time before the window.
    #[setting(default = "6h")]
    baseline: Duration,
    /// What is usual at this hour: so many days before; 0 looks at none.
    #[setting(default = 7, min = 0, max = 28)]
    days: u32,
    /// Windows of the baseline that have to have had answers.
    #[setting(default = 12, min = 3)]
    min_baseline: u64,
    /// Smaller differences are never told, in percent of the usual value.
    #[setting(default = 25, min = 0)]
    min_change: f64,
    /// Smaller differences are never told, in milliseconds.
    #[setting(default = 20, min = 0)]
    min_change_ms: f64,
    /// Which way.
    #[setting(default = "above")]
    direction: Direction,
}

#[derive(Settings, Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Above,
    Below,
    Both,
}

#[rule(look_back = look_back, check_settings = check_settings)]
fn evaluate(_evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let Some(found) = latency(settings.window, Duration::ZERO, settings).pop() else {
        return Verdict::no_opinion(format!(
            "no run in {} had an answer",
            time::format(settings.window)
        ));
    };
    let before = history::buckets(
        settings.baseline + settings.window,
        settings.window,
        settings.window,
        settings.quantile,
    );
    let before: Vec<f64> = before
        .iter()
        .filter_map(|bucket| Some(bucket.latency_us? as f64 / 1_000.0))
        .collect();
    if (before.len() as u64) < settings.min_baseline {
        return Verdict::no_opinion(format!(
            "{} windows of {} in the {} before had answers, wanted at least {}",
            before.len(),
            time::format(settings.window),
            time::format(settings.baseline),
            settings.min_baseline
        ));
    }
    let hour: Vec<f64> = (1..=settings.days)
        .flat_map(|day| latency(DAY * day + HALF_HOUR, DAY * day - HALF_HOUR, settings))
        .collect();
    let just_now = Usual::of(before);
    let this_hour = Usual::of(hour).filter(|usual| usual.count >= LEAST_DAYS);
    let Some(just_now) = just_now else {
        return Verdict::no_opinion("nothing is known of before");
    };
    let usuals = [
        Some((
            just_now,
            format!("the {} before", time::format(settings.baseline)),
        )),
        this_hour.map(|usual| (usual, format!("this hour of {} days", usual.count))),
    ];
    let usuals: Vec<(Usual, String)> = usuals.into_iter().flatten().collect();
    let is_breached = usuals
        .iter()
        .all(|(usual, _)| is_far(found, *usual, settings));
    let said: Vec<String> = usuals
        .iter()
        .map(|(usual, when)| format!("{when} {}", said(found, *usual)))
        .collect();
    let (usual, _) = usuals[0];
    Finding::new(format!(
        "p{} latency over {} is {} ms; {}; wanted within {} times the usual spread",
        (settings.quantile * 1_000.0).round() / 10.0,
        time::format(settings.window),
        shown(found),
        said.join(", "),
        settings.sensitivity
    ))
    .value(found)
    .wanted(usual.middle + settings.sensitivity * usual.spread)
    .detail("usual_ms", usual.middle)
    .detail("score", usual.score(found))
    .breached_if(is_breached)
}

/// Of the whole span, in milliseconds; none without answers.
fn latency(from_ago: Duration, to_ago: Duration, settings: &Settings) -> Vec<f64> {
    let buckets = history::buckets(
        from_ago,
        to_ago,
        from_ago.saturating_sub(to_ago),
        settings.quantile,
    );
    buckets
        .iter()
        .filter_map(|bucket| Some(bucket.latency_us? as f64 / 1_000.0))
        .collect()
}

fn is_far(found: f64, usual: Usual, settings: &Settings) -> bool {
    let away = found - usual.middle;
    let right_way = match settings.direction {
        Direction::Above => away > 0.0,
        Direction::Below => away < 0.0,
        Direction::Both => true,
    };
    right_way
        && usual.score(found).abs() > settings.sensitivity
        && away.abs() >= settings.min_change_ms
        && away.abs() * 100.0 >= settings.min_change * usual.middle
}

fn said(found: f64, usual: Usual) -> String {
    format!(
        "it was {} ± {} ms ({} times the spread away)",
        shown(usual.middle),
        shown(usual.spread),
        shown(usual.score(found).abs())
    )
}

fn shown(number: f64) -> f64 {
    if number.abs() >= 100.0 {
        number.round()
    } else {
        (number * 10.0).round() / 10.0
    }
}

fn look_back(settings: &Settings) -> Duration {
    (settings.baseline + settings.window).max(DAY * settings.days + HALF_HOUR)
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let windows = settings.baseline.as_millis() / settings.window.as_millis().max(1);
    if settings.window.is_zero() {
        return vec![Fault::new("/window", "has to be longer, e.g. `5m`")];
    }
    let message = if windows < u128::from(settings.min_baseline) {
        format!(
            "`baseline` holds {windows} windows, and `minBaseline` wants {}",
            settings.min_baseline
        )
    } else if windows > 1_000 {
        format!("`baseline` holds {windows} windows, more than 1000; make `window` longer")
    } else {
        return Vec::new();
    };
    vec![Fault::new("/baseline", message)]
}

#[cfg(test)]
mod tests;

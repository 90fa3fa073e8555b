//! The strip of a probe's last runs: inline SVG, light enough for a thousand rows. Good runs share
//! one path; each of the others is a bar of its own with a title. The worse a run, the higher its
//! bar, so that colour is never needed.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::bars::{self, HEIGHT};
use super::standing::Standing;
use super::wording::latency;
use crate::api::http::moment::clock;
use crate::monitoring::{RECENT, RecentRun};

/// Bars in a strip.
const BARS: usize = RECENT;
const STEP: usize = 5;

/// Oldest first; the newest stands at the right edge.
pub(super) fn strip(runs: &[RecentRun]) -> Markup {
    let runs = &runs[runs.len().saturating_sub(BARS)..];
    let first = BARS - runs.len();
    let good = |run: &RecentRun| Standing::from(run.status) == Standing::Healthy && !run.missed;
    let bars = runs.iter().zip(first..);
    html! {
        svg.strip viewBox={ "0 0 " (BARS * STEP) " " (HEIGHT) } role="img" aria-label=(label(runs)) {
            @if first > 0 { path.none d=(lines("none", 0..first)) {} }
            @if runs.iter().any(good) {
                path.healthy d=(lines("healthy", bars.clone().filter(|(run, _)| good(run)).map(|(_, slot)| slot))) {
                    title { (good_title(runs.iter().filter(|run| good(run)))) }
                }
            }
            @for (run, slot) in bars.filter(|(run, _)| !good(run)) {
                path class=(word(run)) d=(lines(word(run), [slot])) {
                    title { (title(run)) }
                }
            }
        }
    }
}

/// Returns the status that the run gives the service, if any.
fn word(run: &RecentRun) -> &'static str {
    match run {
        _ if run.missed => "missed",
        _ if run.broken => Standing::Unknown.word(),
        _ => Standing::from(run.status).word(),
    }
}

fn lines(word: &str, slots: impl IntoIterator<Item = usize>) -> String {
    bars::path(word, STEP, slots)
}

fn title(run: &RecentRun) -> String {
    let mut text = clock(run.ts_ms);
    text.push_str(" · ");
    text.push_str(word(run));
    if let Some(us) = run.latency_us {
        let _ = write!(text, " · {}", latency(us));
    }
    text
}

fn good_title<'a>(runs: impl Iterator<Item = &'a RecentRun>) -> String {
    let mut count = 0;
    let mut range: Option<(u64, u64)> = None;
    for run in runs {
        count += 1;
        if let Some(us) = run.latency_us {
            let (low, high) = range.unwrap_or((us, us));
            range = Some((low.min(us), high.max(us)));
        }
    }
    match range {
        Some((low, high)) => format!("{count} healthy · {} to {}", latency(low), latency(high)),
        None => format!("{count} healthy"),
    }
}

fn label(runs: &[RecentRun]) -> String {
    if runs.is_empty() {
        return "no runs yet".to_owned();
    }
    let mut text = match runs.len() {
        1 => "last run: ".to_owned(),
        count => format!("last {count} runs: "),
    };
    let words = [
        "healthy",
        "degraded",
        "unhealthy",
        "error",
        "unknown",
        "missed",
    ];
    let counted = words.map(|wanted| {
        (
            wanted,
            runs.iter().filter(|run| word(run) == wanted).count(),
        )
    });
    let parts: Vec<String> = counted
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    text.push_str(&parts.join(", "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Status;

    fn run(status: Status, missed: bool) -> RecentRun {
        RecentRun {
            ts_ms: 1_795_419_803_120,
            status,
            latency_us: (!missed).then_some(84_000),
            missed,
            broken: missed,
        }
    }

    #[test]
    fn good_runs_share_one_path_and_others_explain_themselves() {
        let runs = [
            run(Status::Healthy, false),
            run(Status::Unhealthy, false),
            run(Status::Error, true),
            run(Status::Healthy, false),
        ];
        let svg = strip(&runs).into_string();
        assert_eq!(svg.matches("<path").count(), 4, "{svg}");
        assert!(
            svg.contains("<title>07:43:23 UTC · unhealthy · 84 ms</title>"),
            "{svg}"
        );
        assert!(
            svg.contains("<title>07:43:23 UTC · missed</title>"),
            "{svg}"
        );
        assert!(
            svg.contains("last 4 runs: 2 healthy, 1 unhealthy, 1 missed"),
            "{svg}"
        );
        assert!(
            svg.contains(r#"class="healthy" d="M182.5 24v-10M197.5 24v-10""#),
            "{svg}"
        );
    }

    #[test]
    fn a_run_that_broke_is_no_outage() {
        let svg = strip(&[RecentRun {
            broken: true,
            ..run(Status::Error, false)
        }])
        .into_string();
        assert!(
            svg.contains("last run: 1 unknown") && svg.contains(r#"class="unknown""#),
            "{svg}"
        );
    }

    #[test]
    fn a_full_healthy_strip_is_light() {
        let svg = strip(&[run(Status::Healthy, false); 50]).into_string();
        assert!(svg.len() < 700, "{} bytes", svg.len());
        assert!(!svg.contains("none"));
    }
}

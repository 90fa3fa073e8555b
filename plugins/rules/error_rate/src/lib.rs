//! The rule `error_rate`: which share of the runs in a window failed?

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Percent of runs that may fail: be neither healthy nor degraded.
    #[setting(min = 0, max = 100)]
    threshold: f64,
    /// How far back to look.
    #[setting(default = "5m")]
    window: Duration,
    /// With fewer runs in the window there is no opinion: one failure of two says little.
    #[setting(default = 5, min = 1)]
    min_samples: u64,
    /// Counts degraded runs as failed.
    #[setting(default = false)]
    count_degraded: bool,
}

#[rule(look_back = look_back)]
fn evaluate(_evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let window = time::format(settings.window);
    let summary = history::summary(settings.window);
    if summary.count < settings.min_samples {
        return Verdict::no_opinion(format!(
            "{} runs in {window}, wanted at least {}",
            summary.count, settings.min_samples
        ));
    }
    let degraded = if settings.count_degraded {
        summary.degraded
    } else {
        0
    };
    let failed = summary.unhealthy + summary.errors + degraded;
    let found = failed as f64 * 100.0 / summary.count as f64;
    let wanted = settings.threshold;
    let count = summary.count;
    Finding::new(format!(
        "{} % of runs over {window} failed ({failed} of {count}), wanted at most {wanted} %",
        shown(found)
    ))
    .value(found)
    .wanted(wanted)
    .detail("runs", count)
    .detail("unhealthy", summary.unhealthy)
    .detail("errors", summary.errors)
    .detail("degraded", summary.degraded)
    .breached_if(found > wanted)
}

fn look_back(settings: &Settings) -> Duration {
    settings.window
}

/// Two decimals, rounded up: 0.001 % is not shown as 0 %.
fn shown(percent: f64) -> f64 {
    (percent * 100.0).ceil() / 100.0
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, sample};

    use super::*;

    /// The verdict on runs that ended one second apart, the last one now.
    fn judge(statuses: &[Status], settings: &str) -> Verdict {
        let host = Host::install();
        let start_ms = host.now_ms() - 1_000 * (statuses.len() as u64).saturating_sub(1);
        host.set_history(
            (start_ms..)
                .step_by(1_000)
                .zip(statuses)
                .map(|(ts_ms, status)| sample(ts_ms, *status, 10)),
        );
        evaluate(
            &Evaluation::of("shop-api", host.now_ms()),
            &Settings::from_json(settings).unwrap(),
        )
    }

    #[test]
    fn counts_what_failed() {
        use Status::{Degraded, Error, Healthy, Unhealthy};
        let runs = [
            Healthy, Healthy, Healthy, Degraded, Unhealthy, Error, Healthy, Healthy, Healthy,
            Healthy,
        ];
        for (settings, is_breached, summary) in [
            (
                r#"{"threshold": 20}"#,
                false,
                "20 % of runs over 5m failed (2 of 10), wanted at most 20 %",
            ),
            (
                r#"{"threshold": 19.5}"#,
                true,
                "20 % of runs over 5m failed (2 of 10), wanted at most 19.5 %",
            ),
            (
                r#"{"threshold": 20, "countDegraded": true}"#,
                true,
                "30 % of runs over 5m failed (3 of 10), wanted at most 20 %",
            ),
            (
                r#"{"threshold": 20, "window": "5s"}"#,
                false,
                "20 % of runs over 5s failed (1 of 5), wanted at most 20 %",
            ),
        ] {
            let verdict = judge(&runs, settings);
            assert_eq!(
                (verdict.is_breached(), verdict.summary()),
                (is_breached, summary)
            );
        }
    }

    #[test]
    fn has_no_opinion_on_few_runs() {
        let verdict = judge(&[Status::Error; 4], r#"{"threshold": 5}"#);
        assert_eq!(
            verdict,
            Verdict::no_opinion("4 runs in 5m, wanted at least 5")
        );
        assert!(judge(&[Status::Error; 4], r#"{"threshold": 5, "minSamples": 1}"#).is_breached());
    }
}

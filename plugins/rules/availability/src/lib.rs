//! The rule `availability`: which share of the runs in a window was healthy or degraded?

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Percent of runs that have to be healthy or degraded.
    #[setting(min = 0, max = 100)]
    threshold: f64,
    /// How far back to look.
    #[setting(default = "5m")]
    window: Duration,
    /// With fewer runs in the window there is no opinion.
    #[setting(default = 1, min = 1)]
    min_samples: u64,
}

#[rule(look_back = look_back)]
fn evaluate(_evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let window = time::format(settings.window);
    let summary = history::summary(settings.window);
    let Some(found) = summary
        .availability()
        .filter(|_| summary.count >= settings.min_samples)
    else {
        return Verdict::no_opinion(format!(
            "{} runs in {window}, wanted at least {}",
            summary.count, settings.min_samples
        ));
    };
    let wanted = settings.threshold;
    Finding::new(format!(
        "availability over {window} is {} %, wanted at least {wanted} %",
        shown(found)
    ))
    .value(found)
    .wanted(wanted)
    .detail("runs", summary.count)
    .detail("failed", summary.unhealthy + summary.errors)
    .breached_if(found < wanted)
}

fn look_back(settings: &Settings) -> Duration {
    settings.window
}

/// Two decimals, rounded down: 99.996 % is not shown as 100 %.
fn shown(percent: f64) -> f64 {
    (percent * 100.0).floor() / 100.0
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
    fn counts_healthy_and_degraded_runs() {
        use Status::{Degraded, Error, Healthy, Unhealthy};
        for (statuses, is_breached, summary) in [
            (
                vec![Healthy, Degraded],
                false,
                "availability over 5m is 100 %, wanted at least 99.5 %",
            ),
            (
                vec![Healthy, Healthy, Error],
                true,
                "availability over 5m is 66.66 %, wanted at least 99.5 %",
            ),
            (
                vec![Unhealthy],
                true,
                "availability over 5m is 0 %, wanted at least 99.5 %",
            ),
        ] {
            let verdict = judge(&statuses, r#"{"threshold": 99.5, "window": "5m"}"#);
            assert_eq!(
                (verdict.is_breached(), verdict.summary()),
                (is_breached, summary)
            );
        }
    }

    #[test]
    fn looks_no_further_back_than_the_window() {
        let statuses = [
            Status::Error,
            Status::Error,
            Status::Healthy,
            Status::Healthy,
        ];
        assert!(!judge(&statuses, r#"{"threshold": 99, "window": "2s"}"#).is_breached());
    }

    #[test]
    fn has_no_opinion_with_too_little_history() {
        assert_eq!(
            judge(&[], r#"{"threshold": 99}"#).summary(),
            "0 runs in 5m, wanted at least 1"
        );
        let verdict = judge(&[Status::Error], r#"{"threshold": 99, "minSamples": 3}"#);
        assert!(matches!(verdict, Verdict::NoOpinion(_)));
    }

    #[test]
    fn asks_for_its_window_of_history() {
        assert_eq!(
            look_back(&Settings::from_json(r#"{"threshold": 99, "window": "2h"}"#).unwrap()),
            Duration::from_secs(7_200)
        );
    }

    #[test]
    fn refuses_a_threshold_that_is_no_percentage() {
        for settings in ["{}", r#"{"threshold": 101}"#, r#"{"threshold": "99"}"#] {
            assert_eq!(
                Settings::from_json(settings).err().unwrap()[0].path,
                "/threshold",
                "{settings}"
            );
        }
    }
}

//! The rule `response_time`: how long do answers take?

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Milliseconds that an answer may take.
    #[setting(min = 0)]
    threshold: f64,
    /// How far back to look.
    #[setting(default = "1m")]
    window: Duration,
    /// Share of answers that have to be as quick: 0.95 leaves out the slowest twentieth, 0.5 is
    /// the median, 1 the slowest.
    #[setting(default = 0.95, min = 0, max = 1)]
    quantile: f64,
    /// With fewer runs in the window there is no opinion.
    #[setting(default = 1, min = 1)]
    min_samples: u64,
}

#[rule(look_back = look_back)]
fn evaluate(_evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let window = time::format(settings.window);
    let count = history::summary(settings.window).count;
    if count < settings.min_samples {
        return Verdict::no_opinion(format!(
            "{count} runs in {window}, wanted at least {}",
            settings.min_samples
        ));
    }
    let Some(latency) = history::latency(settings.window, settings.quantile) else {
        return Verdict::no_opinion(format!("no run in {window} had an answer"));
    };
    let (found, wanted) = (latency.as_micros() as f64 / 1_000.0, settings.threshold);
    let name = name(settings.quantile);
    Finding::new(format!(
        "{name} response time over {window} is {} ms, wanted at most {wanted} ms",
        shown(found)
    ))
    .value(found)
    .wanted(wanted)
    .detail("runs", count)
    .breached_if(found > wanted)
}

fn look_back(settings: &Settings) -> Duration {
    settings.window
}

/// `p95`, or `p99.9`.
fn name(quantile: f64) -> String {
    format!("p{}", (quantile * 100_000.0).round() / 1_000.0)
}

/// Tenths below a hundred, whole ones above, rounded up: 1,000.2 ms is more than 1,000 ms.
fn shown(ms: f64) -> f64 {
    if ms < 100.0 {
        (ms * 10.0).ceil() / 10.0
    } else {
        ms.ceil()
    }
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, sample};

    use super::*;

    fn judge(latencies_ms: &[u64], settings: &str) -> Verdict {
        let host = Host::install();
        host.set_history(
            latencies_ms
                .iter()
                .map(|ms| sample(host.now_ms(), Status::Healthy, *ms)),
        );
        evaluate(
            &Evaluation::of("shop-api", host.now_ms()),
            &Settings::from_json(settings).unwrap(),
        )
    }

    #[test]
    fn compares_the_quantile_with_the_threshold() {
        let latencies: Vec<u64> = (1..=100).map(|step| step * 20).collect();
        for (settings, is_breached, summary) in [
            (
                r#"{"threshold": 1000, "window": "1m"}"#,
                true,
                "p95 response time over 1m is 1900 ms, wanted at most 1000 ms",
            ),
            (
                r#"{"threshold": 1000, "quantile": 0.5}"#,
                false,
                "p50 response time over 1m is 1000 ms, wanted at most 1000 ms",
            ),
            (
                r#"{"threshold": 1999.5, "quantile": 1}"#,
                true,
                "p100 response time over 1m is 2000 ms, wanted at most 1999.5 ms",
            ),
        ] {
            let verdict = judge(&latencies, settings);
            assert_eq!(
                (verdict.is_breached(), verdict.summary()),
                (is_breached, summary)
            );
        }
    }

    #[test]
    fn has_no_opinion_with_too_little_history() {
        assert_eq!(
            judge(&[], r#"{"threshold": 1000}"#).summary(),
            "0 runs in 1m, wanted at least 1"
        );
        assert_eq!(
            judge(&[5_000], r#"{"threshold": 1000, "minSamples": 2}"#).summary(),
            "1 runs in 1m, wanted at least 2"
        );
    }

    #[test]
    fn has_no_opinion_on_runs_without_an_answer() {
        let host = Host::install();
        host.set_history([sample(host.now_ms(), Status::Error, None)]);
        let verdict = evaluate(
            &Evaluation::of("shop-api", host.now_ms()),
            &Settings::from_json(r#"{"threshold": 1000}"#).unwrap(),
        );
        assert_eq!(verdict.summary(), "no run in 1m had an answer");
    }
}

//! The rule `certificate`: is one about to end, or not trusted? Looks at what the probes `tls` and
//! `http` say of it.

use extrack_plugin::prelude::*;
use extrack_plugin::value;

/// As the bundled probes name it.
const DAYS_LEFT: &str = "certificate_days_left";

const DAY_MS: f64 = 86_400_000.0;

#[derive(Settings)]
struct Settings {
    /// Days that have to be left.
    #[setting(default = 14, min = 0)]
    threshold: f64,
    /// Breached as well while a probe does not trust the certificate, or can't agree on TLS.
    #[setting(default = true)]
    untrusted: bool,
}

#[rule]
fn evaluate(evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let latest = history::latest_by_probe();
    if settings.untrusted
        && let Some((probe, message)) = latest.iter().find_map(distrust)
    {
        return Finding::new(format!("probe `{probe}` says: {message}"))
            .detail("probe", probe)
            .breached();
    }
    let days = latest
        .iter()
        .filter_map(|sample| Some((sample.probe.as_str(), days_left(sample, evaluation.now_ms)?)));
    let Some((probe, found)) = days.min_by(|one, other| one.1.total_cmp(&other.1)) else {
        return Verdict::no_opinion(
            "no probe has seen a certificate; `tls`, and `http` with https, look at one",
        );
    };
    let wanted = settings.threshold;
    let left = if found >= 0.0 {
        format!("has {} days left", found.floor())
    } else {
        format!("ended {} days ago", found.abs().ceil())
    };
    Finding::new(format!(
        "the certificate that probe `{probe}` saw {left}, wanted at least {wanted}"
    ))
    .value(found.floor())
    .wanted(wanted)
    .detail("probe", probe)
    .breached_if(found < wanted)
}

/// As of now: what a probe saw may be hours ago.
fn days_left(sample: &history::Sample, now_ms: u64) -> Option<f64> {
    let metric = sample
        .metrics
        .iter()
        .find(|metric| metric.key == DAYS_LEFT)?;
    let days = match metric.value {
        value::Value::Integer(days) => days as f64,
        value::Value::Number(days) => days,
        _ => return None,
    };
    // The probe gave whole days, rounded down.
    Some(days - (now_ms.saturating_sub(sample.ts_ms) as f64 / DAY_MS).floor())
}

fn distrust(sample: &history::Sample) -> Option<(&str, &str)> {
    let failure = sample
        .failure
        .as_ref()
        .filter(|failure| failure.kind == ErrorKind::Tls)?;
    Some((sample.probe.as_str(), failure.message.as_str()))
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, sample};
    use extrack_plugin::history::Sample;
    use extrack_plugin::value::Entry;

    use super::*;

    fn saw(probe: &str, hours_ago: u64, days: i64) -> Sample {
        let host_now_ms = 1_767_225_600_000;
        Sample {
            probe: probe.to_owned(),
            metrics: vec![Entry {
                key: DAYS_LEFT.to_owned(),
                value: value::Value::Integer(days),
            }],
            ..sample(host_now_ms - hours_ago * 3_600_000, Status::Healthy, 10)
        }
    }

    fn judge(samples: Vec<Sample>, settings: &str) -> Verdict {
        let host = Host::install();
        host.set_history(samples);
        evaluate(
            &Evaluation::of("shop-api", host.now_ms()),
            &Settings::from_json(settings).unwrap(),
        )
    }

    #[test]
    fn the_certificate_that_ends_first_counts() {
        for (samples, is_breached, summary) in [
            (
                vec![saw("tls", 0, 14)],
                false,
                "the certificate that probe `tls` saw has 14 days left, wanted at least 14",
            ),
            (
                vec![saw("tls", 30, 14)],
                true,
                "the certificate that probe `tls` saw has 13 days left, wanted at least 14",
            ),
            (
                vec![saw("http", 1, 90), saw("tls", 1, 6), saw("http", 0, 90)],
                true,
                "the certificate that probe `tls` saw has 6 days left, wanted at least 14",
            ),
            (
                vec![saw("tls", 0, -2)],
                true,
                "the certificate that probe `tls` saw ended 2 days ago, wanted at least 14",
            ),
        ] {
            let verdict = judge(samples, "{}");
            assert_eq!(
                (verdict.is_breached(), verdict.summary()),
                (is_breached, summary)
            );
        }
        assert!(!judge(vec![saw("tls", 0, 8)], r#"{"threshold": 7}"#).is_breached());
    }

    #[test]
    fn an_untrusted_one_counts_unless_that_is_meant() {
        let failure = Failure::new(ErrorKind::Tls, "certificate is not trusted: unknown issuer");
        let samples = || {
            vec![Sample {
                failure: Some(failure.clone()),
                ..saw("tls", 0, 60)
            }]
        };
        let verdict = judge(samples(), "{}");
        assert!(verdict.is_breached());
        assert_eq!(
            verdict.summary(),
            "probe `tls` says: certificate is not trusted: unknown issuer"
        );
        assert!(!judge(samples(), r#"{"untrusted": false}"#).is_breached());
    }

    #[test]
    fn without_a_certificate_there_is_no_opinion() {
        let host = Host::install();
        let plain = sample(host.now_ms(), Status::Healthy, 10);
        assert!(matches!(judge(vec![plain], "{}"), Verdict::NoOpinion(_)));
    }
}

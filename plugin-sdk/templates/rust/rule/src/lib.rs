//! Judges the share of a service's runs that failed.

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Percent of runs that may fail.
    #[setting(default = 5, min = 0, max = 100)]
    threshold: f64,
    /// How far back to look.
    #[setting(default = "10m")]
    window: Duration,
}

#[rule(summary = "Breached when too many runs failed", look_back = look_back)]
fn evaluate(_evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let Some(found) = history::summary(settings.window).error_rate() else { return Verdict::no_opinion("no runs yet") };
    let wanted = settings.threshold;
    let window = time::format(settings.window);
    Finding::new(format!("{found:.1} % of the runs in {window} failed, wanted at most {wanted} %"))
        .value(found)
        .wanted(wanted)
        .breached_if(found > wanted)
}

fn look_back(settings: &Settings) -> Duration {
    settings.window
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, sample};

    use super::*;

    /// The verdict on runs that ended a second apart, the last one now.
    fn judged(statuses: &[Status]) -> Verdict {
        let host = Host::install();
        let start_ms = host.now_ms() - 1_000 * (statuses.len() as u64).saturating_sub(1);
        host.set_history((start_ms..).step_by(1_000).zip(statuses).map(|(ts_ms, status)| sample(ts_ms, *status, 10)));
        evaluate(&Evaluation::of("shop-api", host.now_ms()), &Settings::from_json("{}").unwrap())
    }

    #[test]
    fn is_breached_when_too_many_runs_failed() {
        assert!(matches!(judged(&[Status::Healthy, Status::Error]), Verdict::Breached(_)));
        assert!(matches!(judged(&[Status::Healthy, Status::Healthy]), Verdict::Ok(_)));
        assert!(matches!(judged(&[]), Verdict::NoOpinion(_)));
    }
}

//! The rule `absence`: has nothing been heard for too long? Broken and missed checks are no news of
//! a service either.

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Something has to be heard at least this often. Two intervals of the slowest probe are the
    /// least that makes sense.
    #[setting(default = "10m")]
    window: Duration,
    /// Counts time in which the program did not run, too. Without this, it has to have listened
    /// for the whole window.
    #[setting(default = false)]
    count_downtime: bool,
}

#[rule(look_back = look_back, over_time = true)]
fn evaluate(evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let wanted = time::format(settings.window);
    let latest = history::latest();
    let silent = latest
        .as_ref()
        .map(|latest| Duration::from_millis(evaluation.now_ms.saturating_sub(latest.ts_ms)));
    if let Some(silent) = silent.filter(|silent| *silent <= settings.window) {
        return Finding::new(format!(
            "last heard {} ago, wanted every {wanted}",
            time::rough(silent)
        ))
        .value(silent.as_secs_f64())
        .wanted(settings.window.as_secs_f64())
        .ok();
    }
    let watched = history::watched();
    if watched <= settings.window && !settings.count_downtime {
        return Verdict::no_opinion(format!(
            "nothing heard yet, listening for {}, wanted {wanted} before it counts",
            time::rough(watched)
        ));
    }
    let found = silent.unwrap_or(watched);
    let text = match latest {
        Some(latest) => format!(
            "nothing heard for {}, wanted every {wanted}; last it was `{}`, by `{}`",
            time::rough(found),
            latest.status.as_str(),
            latest.probe
        ),
        None => format!(
            "nothing heard for {} or longer, wanted every {wanted}",
            time::rough(found)
        ),
    };
    Finding::new(text)
        .value(found.as_secs_f64())
        .wanted(settings.window.as_secs_f64())
        .breached()
}

fn look_back(settings: &Settings) -> Duration {
    settings.window
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, sample};

    use super::*;

    fn judge(last_s_ago: Option<u64>, watched_s: u64, settings: &str) -> Verdict {
        let host = Host::install();
        host.set_history(
            last_s_ago.map(|ago| sample(host.now_ms() - ago * 1_000, Status::Healthy, 10)),
        );
        host.set_watched(Duration::from_secs(watched_s));
        evaluate(
            &Evaluation::of("shop-api", host.now_ms()),
            &Settings::from_json(settings).unwrap(),
        )
    }

    #[test]
    fn breaches_once_nothing_was_heard_for_the_window() {
        let ok = judge(Some(600), 10_000, "{}");
        assert_eq!(
            (ok.is_breached(), ok.summary()),
            (false, "last heard 10m ago, wanted every 10m")
        );
        let silent = judge(Some(601), 10_000, "{}");
        assert!(silent.is_breached());
        assert_eq!(
            silent.summary(),
            "nothing heard for 10m 1s, wanted every 10m; last it was `healthy`, by `http`"
        );
        let never = judge(None, 700, "{}");
        assert!(never.is_breached());
        assert_eq!(
            never.summary(),
            "nothing heard for 11m 40s or longer, wanted every 10m"
        );
    }

    #[test]
    fn a_start_is_no_absence_unless_asked_for() {
        for last in [None, Some(86_400)] {
            assert!(
                matches!(judge(last, 600, "{}"), Verdict::NoOpinion(_)),
                "{last:?}"
            );
            assert!(
                judge(last, 600, r#"{"countDowntime": true}"#).is_breached(),
                "{last:?}"
            );
        }
        assert!(!judge(Some(30), 0, "{}").is_breached());
    }

    #[test]
    fn asks_to_be_judged_as_time_passes() {
        assert_eq!(
            look_back(&Settings::from_json(r#"{"window": "1h"}"#).unwrap()),
            Duration::from_secs(3_600)
        );
        let info = extrack_plugin::export::describe::<ExtrackPlugin>();
        assert!(info.rule.is_some_and(|rule| rule.evaluated_over_time));
    }
}

//! The rule `burn_rate`: is the error budget of an objective used up too fast? Several windows,
//! each with a short one beside it that ends the alert soon after the trouble ends, as in the "SRE
//! Workbook", chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Percent of the time in which runs are to be healthy or degraded, e.g. 99.9.
    #[setting(min = 0, max = 100)]
    objective: f64,
    /// What the objective is for. Its error budget is the rest: 43 minutes of 30 days at 99.9 %.
    #[setting(default = "30d")]
    period: Duration,
    /// Breached while one of them is. None: 14.4 times over 1h and 5m (2 % of 30 days' budget
    /// gone), 6 times over 6h and 30m (5 %), once over 3d and 6h (10 %).
    #[setting(default)]
    windows: Vec<Window>,
    /// With fewer runs in a short window it says nothing.
    #[setting(default = 1, min = 1)]
    min_samples: u64,
}

#[derive(Settings, Debug, Clone, PartialEq)]
struct Window {
    /// So many times faster than what just uses up the budget in the period.
    #[setting(min = 0)]
    factor: f64,
    /// The burn rate counts over this.
    long: Duration,
    /// And over this, so that the alert ends when the trouble does. A twelfth of the long one is
    /// usual.
    short: Duration,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

impl Settings {
    fn windows(&self) -> Vec<Window> {
        let window = |factor, long_s, short_s| Window {
            factor,
            long: Duration::from_secs(long_s),
            short: Duration::from_secs(short_s),
        };
        match self.windows.as_slice() {
            [] => vec![
                window(14.4, HOUR, 5 * MINUTE),
                window(6.0, 6 * HOUR, 30 * MINUTE),
                window(1.0, 72 * HOUR, 6 * HOUR),
            ],
            given => given.to_vec(),
        }
    }

    /// Percent of the runs that may fail; 0.1 and not 0.09999999999999432 for 99.9.
    fn budget(&self) -> f64 {
        ((100.0 - self.objective) * 1e9).round() / 1e9
    }
}

/// How fast one window burns.
struct Burn {
    window: Window,
    long: f64,
    short: f64,
}

impl Burn {
    fn is_breached(&self) -> bool {
        self.long > self.window.factor && self.short > self.window.factor
    }

    /// How near it is to its bound.
    fn share(&self) -> f64 {
        self.long.min(self.short) / self.window.factor.max(f64::MIN_POSITIVE)
    }
}

#[rule(look_back = look_back, check_settings = check_settings)]
fn evaluate(_evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let burns: Vec<Burn> = settings
        .windows()
        .into_iter()
        .filter_map(|window| burn(settings, window))
        .collect();
    let Some(worst) = burns
        .iter()
        .max_by(|one, other| one.share().total_cmp(&other.share()))
    else {
        return Verdict::no_opinion(format!(
            "fewer than {} runs in each short window",
            settings.min_samples
        ));
    };
    let spent = burnt(settings.period, settings.budget());
    let left = 100.0 * (1.0 - spent);
    let Window {
        factor,
        long,
        short,
    } = &worst.window;
    let mut text = format!(
        "error budget of {} % over {} burns {} times as fast as it may over {}, {} over {}, wanted at most {factor}; ",
        settings.objective,
        time::format(settings.period),
        shown(worst.long),
        time::format(*long),
        shown(worst.short),
        time::format(*short),
    );
    if left > 0.0 {
        text.push_str(&format!("{} % of it is left", shown(left)));
        if worst.long > 0.0 {
            let lasts = settings
                .period
                .mul_f64((left / 100.0 / worst.long).min(1_000.0));
            text.push_str(&format!(
                ", which lasts {} at this pace",
                time::rough(lasts)
            ));
        }
    } else {
        text.push_str(&format!("it is used up, {} times over", shown(spent)));
    }
    let mut finding = Finding::new(text)
        .value(worst.long)
        .wanted(*factor)
        .detail("error_budget_left_percent", left);
    for burn in &burns {
        finding = finding
            .detail(
                format!("burn_rate_long_{}", time::format(burn.window.long)),
                burn.long,
            )
            .detail(
                format!("burn_rate_short_{}", time::format(burn.window.short)),
                burn.short,
            );
    }
    finding.breached_if(burns.iter().any(Burn::is_breached))
}

/// None without enough runs in the short window.
fn burn(settings: &Settings, window: Window) -> Option<Burn> {
    let short = history::summary(window.short);
    let rate = short
        .error_rate()
        .filter(|_| short.count >= settings.min_samples)?;
    Some(Burn {
        long: burnt(window.long, settings.budget()),
        short: rate / settings.budget(),
        window,
    })
}

/// The budget of a window that was used up in it: 1 is all of it. Time that nobody watched used up
/// nothing, so that the first failure after a start is not taken for a bad month.
fn burnt(window: Duration, budget: f64) -> f64 {
    let summary = history::summary(window);
    let watched = summary.covered_ms as f64 / time::millis(window).max(1) as f64;
    summary.error_rate().unwrap_or_default() * watched.min(1.0) / budget
}

fn look_back(settings: &Settings) -> Duration {
    settings
        .windows()
        .iter()
        .map(|window| window.long.max(window.short))
        .fold(settings.period, Duration::max)
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |path: String, message: &str| faults.push(Fault::new(path, message));
    if settings.budget() <= 0.0 {
        fault(
            "/objective".to_owned(),
            "leaves no budget; write less than 100, e.g. 99.9",
        );
    }
    if settings.period.is_zero() {
        fault("/period".to_owned(), "has to be longer, e.g. `30d`");
    }
    for (index, window) in settings.windows.iter().enumerate() {
        if window.short > window.long || window.short.is_zero() {
            fault(
                format!("/windows/{index}/short"),
                "has to lie within the long window, e.g. a twelfth of it",
            );
        }
        if window.factor <= 0.0 {
            fault(format!("/windows/{index}/factor"), "has to be more than 0");
        }
    }
    faults
}

/// Two figures that matter.
fn shown(number: f64) -> f64 {
    if number.abs() >= 10.0 {
        (number * 10.0).round() / 10.0
    } else {
        (number * 100.0).round() / 100.0
    }
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, sample};

    use super::*;

    /// A run a minute over so many minutes, of which those fail; the first number is the minutes
    /// ago.
    fn judge(minutes: u64, fails: impl Fn(u64) -> bool, settings: &str) -> Verdict {
        let host = Host::install();
        let now_ms = host.now_ms();
        host.set_history((0..minutes).rev().map(|ago| {
            sample(
                now_ms - ago * 60_000,
                if fails(ago) {
                    Status::Error
                } else {
                    Status::Healthy
                },
                10,
            )
        }));
        evaluate(
            &Evaluation::of("shop-api", now_ms),
            &Settings::from_json(settings).unwrap(),
        )
    }

    #[test]
    fn breaches_when_both_windows_burn_too_fast() {
        const MONTH: u64 = 30 * 24 * 60;
        let settings = r#"{"objective": 99.9}"#;
        let quiet = judge(MONTH, |_| false, settings);
        assert!(!quiet.is_breached());
        assert!(
            quiet.summary().ends_with("100 % of it is left"),
            "{}",
            quiet.summary()
        );

        // One minute of the last hour: 16 times as fast, and the month's budget of 43 minutes as
        // good as whole.
        let burning = judge(MONTH, |ago| ago == 2, settings);
        assert!(burning.is_breached());
        assert_eq!(
            burning.summary(),
            "error budget of 99.9 % over 30d burns 16.4 times as fast as it may over 1h, 200 over 5m, wanted at most 14.4; \
             97.7 % of it is left, which lasts 1d 18h at this pace"
        );
        // It ended ten minutes ago: the short window says so.
        assert!(!judge(MONTH, |ago| ago == 10, settings).is_breached());
        // A slow fire: one run of 500 over three days, twice as fast as it may.
        let slow = judge(MONTH, |ago| ago % 400 == 0, settings);
        assert!(slow.is_breached(), "{}", slow.summary());
        assert!(slow.summary().contains("over 3d"), "{}", slow.summary());
        assert!(
            slow.summary().ends_with("it is used up, 2.5 times over"),
            "{}",
            slow.summary()
        );
        // What a looser objective takes calmly.
        assert!(!judge(MONTH, |ago| ago % 400 == 0, r#"{"objective": 99}"#).is_breached());
    }

    #[test]
    fn the_first_failure_after_a_start_is_no_bad_month() {
        assert!(!judge(1, |_| true, r#"{"objective": 99.9}"#).is_breached());
        assert!(
            judge(5, |_| true, r#"{"objective": 99.9}"#).is_breached(),
            "four minutes of an hour are 67 times too fast"
        );
        assert!(matches!(
            judge(0, |_| true, r#"{"objective": 99.9}"#),
            Verdict::NoOpinion(_)
        ));
    }

    #[test]
    fn windows_can_be_given() {
        let settings = r#"{"objective": 90, "period": "1h", "windows": [{"factor": 2, "long": "10m", "short": "1m"}]}"#;
        let verdict = judge(60, |ago| ago < 3, settings);
        assert!(verdict.is_breached(), "{}", verdict.summary());
        assert!(
            verdict
                .summary()
                .contains("burns 2.7 times as fast as it may over 10m, 10 over 1m"),
            "{}",
            verdict.summary()
        );
        let parsed = Settings::from_json(settings).unwrap();
        assert_eq!(look_back(&parsed), Duration::from_secs(3_600));
        assert_eq!(
            look_back(&Settings::from_json(r#"{"objective": 99}"#).unwrap()),
            Duration::from_secs(30 * 86_400)
        );
    }

    #[test]
    fn faults_are_found_when_settings_are_saved() {
        for (settings, path) in [
            (r#"{"objective": 100}"#, "/objective"),
            (r#"{"objective": 99, "period": "0s"}"#, "/period"),
            (
                r#"{"objective": 99, "windows": [{"factor": 2, "long": "5m", "short": "1h"}]}"#,
                "/windows/0/short",
            ),
            (
                r#"{"objective": 99, "windows": [{"factor": 0, "long": "1h", "short": "5m"}]}"#,
                "/windows/0/factor",
            ),
        ] {
            let faults = check_settings(&Settings::from_json(settings).unwrap());
            assert_eq!(
                faults.first().map(|fault| fault.path.as_str()),
                Some(path),
                "{settings}"
            );
        }
        assert_eq!(
            check_settings(&Settings::from_json(r#"{"objective": 99.95}"#).unwrap()),
            []
        );
    }
}

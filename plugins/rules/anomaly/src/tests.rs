use extrack_plugin::fake::{Host, sample};

use super::*;

/// A run a minute over so many hours; the latency in milliseconds by the minutes ago.
fn judge(hours: u64, latency_ms: impl Fn(u64) -> u64, settings: &str) -> Verdict {
    let host = Host::install();
    let now_ms = host.now_ms();
    host.set_history(
        (0..hours * 60)
            .rev()
            .map(|ago| sample(now_ms - ago * 60_000, Status::Healthy, latency_ms(ago))),
    );
    evaluate(
        &Evaluation::of("shop-api", now_ms),
        &Settings::from_json(settings).unwrap(),
    )
}

/// 100 ms, a little up and down.
fn calm(ago: u64) -> u64 {
    95 + ago * 7 % 11
}

#[test]
fn says_why() {
    let verdict = judge(12, |ago| if ago < 5 { 400 } else { calm(ago) }, "{}");
    assert!(verdict.is_breached());
    assert_eq!(
        verdict.summary(),
        "p50 latency over 5m is 400 ms; the 6h before it was 100 ± 5 ms (60 times the spread away); wanted within 5 times the \
         usual spread"
    );
    assert!(!judge(12, calm, "{}").is_breached());
}

#[test]
fn small_differences_are_never_told() {
    let rises = |ago: u64| if ago < 5 { 145 } else { calm(ago) };
    assert!(judge(12, rises, "{}").is_breached());
    assert!(!judge(12, rises, r#"{"minChange": 60}"#).is_breached());
    assert!(!judge(12, rises, r#"{"minChangeMs": 60}"#).is_breached());
    assert!(!judge(12, rises, r#"{"sensitivity": 20}"#).is_breached());
}

#[test]
fn what_is_usual_at_this_hour_is_no_anomaly() {
    // Each day is slow around what is now.
    let nightly = |ago: u64| {
        if (ago + 30) % 1_440 < 45 && ago > 0 || ago < 15 {
            400
        } else {
            calm(ago)
        }
    };
    let verdict = judge(5 * 24, nightly, "{}");
    assert!(!verdict.is_breached(), "{}", verdict.summary());
    assert!(
        verdict.summary().contains("this hour of 5 days it was 400"),
        "{}",
        verdict.summary()
    );
    assert!(
        judge(5 * 24, nightly, r#"{"days": 0}"#).is_breached(),
        "the hours before alone were quick"
    );
    let worse = judge(5 * 24, |ago| if ago < 5 { 900 } else { nightly(ago) }, "{}");
    assert!(worse.is_breached(), "{}", worse.summary());
}

#[test]
fn directions_can_be_chosen() {
    let drops = |ago: u64| if ago < 5 { 10 } else { calm(ago) };
    for (direction, is_breached) in [("above", false), ("below", true), ("both", true)] {
        let settings = format!(r#"{{"direction": "{direction}"}}"#);
        assert_eq!(
            judge(12, drops, &settings).is_breached(),
            is_breached,
            "{direction}"
        );
    }
}

#[test]
fn has_no_opinion_before_it_knows_what_is_usual() {
    let verdict = judge(1, calm, "{}");
    assert_eq!(
        verdict,
        Verdict::no_opinion("11 windows of 5m in the 6h before had answers, wanted at least 12")
    );
    assert!(matches!(judge(0, calm, "{}"), Verdict::NoOpinion(_)));
}

#[test]
fn settings_have_to_fit_each_other() {
    for (settings, message) in [
        (
            r#"{"baseline": "30m"}"#,
            "`baseline` holds 6 windows, and `minBaseline` wants 12",
        ),
        (r#"{"window": "0s"}"#, "has to be longer, e.g. `5m`"),
        (
            r#"{"window": "10s"}"#,
            "`baseline` holds 2160 windows, more than 1000; make `window` longer",
        ),
    ] {
        assert_eq!(
            check_settings(&Settings::from_json(settings).unwrap())[0].message,
            message
        );
    }
    let settings = Settings::from_json("{}").unwrap();
    assert_eq!(check_settings(&settings), []);
    assert_eq!(look_back(&settings), 7 * DAY + HALF_HOUR);
}

use extrack_plugin::fake::{Host, rate_limit, sample};

use super::*;

const MINUTE: u64 = 60_000;

fn judge_readings(readings: impl Fn(u64) -> Vec<RateLimit>, settings: &str) -> Verdict {
    let host = Host::install();
    let now_ms = host.now_ms();
    host.set_rate_limits(readings(now_ms));
    evaluate(
        &Evaluation::of("shop-api", now_ms),
        &Settings::from_json(settings).unwrap(),
    )
}

#[test]
fn too_little_left_is_a_breach() {
    for (left, quota, settings, is_breached, summary) in [
        (
            500,
            Some(5_000),
            "{}",
            false,
            "rate limit `default` of api.example.com has 500 of 5000 left (10 %), wanted at least 10 %; it starts anew in 12m",
        ),
        (
            412,
            Some(5_000),
            "{}",
            true,
            "rate limit `default` of api.example.com has 412 of 5000 left (8.2 %), wanted at least 10 %; it starts anew in 12m",
        ),
        (
            40,
            None,
            r#"{"minRemaining": 50}"#,
            true,
            "rate limit `default` of api.example.com has 40 left, wanted at least 50; it starts anew in 12m",
        ),
        (
            0,
            None,
            "{}",
            true,
            "rate limit `default` of api.example.com has 0 left, wanted at least 10 %; it starts anew in 12m",
        ),
        (
            1,
            None,
            "{}",
            false,
            "rate limit `default` of api.example.com has 1 left, wanted at least 10 %; it starts anew in 12m",
        ),
    ] {
        let verdict = judge_readings(
            |now_ms| vec![rate_limit(now_ms, left, quota, now_ms + 12 * MINUTE)],
            settings,
        );
        assert_eq!(
            (verdict.is_breached(), verdict.summary()),
            (is_breached, summary)
        );
    }
}

#[test]
fn running_out_before_it_starts_anew_is_a_breach() {
    // 100 a minute of what are 2,000 left: twenty minutes.
    let readings = |reset_in: Option<u64>| {
        move |now_ms: u64| {
            (0..10)
                .rev()
                .map(|ago| {
                    rate_limit(
                        now_ms - ago * MINUTE,
                        2_000 + ago * 100,
                        5_000,
                        reset_in.map(|reset| now_ms + reset),
                    )
                })
                .collect()
        }
    };
    let verdict = judge_readings(readings(Some(50 * MINUTE)), "{}");
    assert!(verdict.is_breached());
    assert!(
        verdict
            .summary()
            .ends_with("it starts anew in 50m; at 100 a minute it is used up in 20m"),
        "{}",
        verdict.summary()
    );
    assert!(
        !judge_readings(readings(Some(15 * MINUTE)), "{}").is_breached(),
        "it starts anew in time"
    );
    assert!(!judge_readings(readings(Some(50 * MINUTE)), r#"{"forecast": false}"#).is_breached());
    assert!(
        judge_readings(readings(None), "{}").is_breached(),
        "it does not last an hour"
    );
    assert!(!judge_readings(readings(None), r#"{"horizon": "10m"}"#).is_breached());
}

#[test]
fn the_worst_of_several_limits_is_told() {
    let named = |name: &str, reading: RateLimit| RateLimit {
        name: name.to_owned(),
        ..reading
    };
    let readings = |now_ms: u64| {
        vec![
            named("core", rate_limit(now_ms, 4_000, 5_000, now_ms + MINUTE)),
            named("search", rate_limit(now_ms, 1, 30, now_ms + MINUTE)),
        ]
    };
    let verdict = judge_readings(readings, "{}");
    assert!(verdict.is_breached());
    assert!(
        verdict.summary().starts_with("rate limit `search`"),
        "{}",
        verdict.summary()
    );
    assert!(!judge_readings(readings, r#"{"limit": "core"}"#).is_breached());
    assert!(matches!(
        judge_readings(readings, r#"{"host": "other.example.com"}"#),
        Verdict::NoOpinion(_)
    ));
}

#[test]
fn what_is_over_or_old_is_not_held_against_it() {
    let over = judge_readings(
        |now_ms| vec![rate_limit(now_ms - MINUTE, 0, 100, now_ms - 1)],
        "{}",
    );
    assert!(!over.is_breached());
    let old = judge_readings(
        |now_ms| vec![rate_limit(now_ms - 61 * MINUTE, 0, 100, now_ms + MINUTE)],
        "{}",
    );
    assert!(matches!(old, Verdict::NoOpinion(_)));
    assert!(matches!(
        judge_readings(|_| Vec::new(), "{}"),
        Verdict::NoOpinion(_)
    ));
    // A refusal without a moment, and an answer after it that says nothing.
    let host = Host::install();
    let refused = rate_limit(host.now_ms() - 1_000, 0, None, None);
    let run = |ts_ms| sample(ts_ms, Status::Healthy, 10);
    for (last_ms, is_breached) in [(host.now_ms() - 1_500, true), (host.now_ms(), false)] {
        host.set_rate_limits([refused.clone()]);
        host.set_history([run(last_ms)]);
        let verdict = evaluate(
            &Evaluation::of("shop-api", host.now_ms()),
            &Settings::from_json("{}").unwrap(),
        );
        assert_eq!(verdict.is_breached(), is_breached, "{}", verdict.summary());
    }
}

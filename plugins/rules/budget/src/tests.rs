use extrack_plugin::fake::Host;
use extrack_plugin::value::Entry;

use super::*;

const DAY: u64 = 86_400_000;

/// A budget of 100 euros of which so many millionths are used.
fn budget(name: &str, used: Option<i64>, attributes: &[(&str, Value)]) -> Usage {
    let entry = |(key, value): &(&str, Value)| Entry {
        key: (*key).to_owned(),
        value: value.clone(),
    };
    let name_entry = ("budget", Value::Text(name.to_owned()));
    Usage {
        meter: name.to_lowercase(),
        period_start_ms: 0,
        period_end_ms: 30 * DAY,
        used: 0.0,
        quota: None,
        cost_micros: used,
        budget_micros: Some(100_000_000),
        currency: "EUR".to_owned(),
        attributes: std::iter::once(&name_entry)
            .chain(attributes)
            .map(entry)
            .collect(),
    }
}

fn verdict(budgets: Vec<Usage>, settings: &str) -> Verdict {
    let host = Host::install();
    host.set_usage(budgets);
    let now_ms = host.now_ms();
    evaluate(
        &Evaluation::of("budget:tokens", now_ms),
        &Settings::from_json(settings).unwrap(),
    )
}

#[test]
fn a_threshold_is_breached_from_the_last_millionth_on() {
    for (used, settings, is_breached, summary) in [
        (
            79_999_999,
            r#"{"at": 80}"#,
            false,
            "budget `Tokens` has used 79.999999 of 100 EUR (79.9 %), alert at 80 %",
        ),
        (
            80_000_000,
            r#"{"at": 80}"#,
            true,
            "budget `Tokens` has used 80 of 100 EUR (80 %), alert at 80 %",
        ),
        (
            80_000_000,
            "{}",
            false,
            "budget `Tokens` has used 80 of 100 EUR (80 %), alert at 100 %",
        ),
        (
            312_500_000,
            r#"{"budget": "Tokens"}"#,
            true,
            "budget `Tokens` has used 312.5 of 100 EUR (312.5 %), alert at 100 %",
        ),
    ] {
        let found = verdict(vec![budget("Tokens", Some(used), &[])], settings);
        assert_eq!(
            (found.is_breached(), found.summary()),
            (is_breached, summary)
        );
    }
}

#[test]
fn a_forecast_is_breached_above_the_amount_and_says_when_it_is_used_up() {
    let settings = r#"{"of": "forecast"}"#;
    let host_now_ms = Host::install().now_ms();
    let foreseen = |likely: i64| {
        let used_up = i64::try_from(host_now_ms + 4 * DAY).unwrap();
        let attributes = [
            ("forecast-micros", Value::Integer(likely)),
            ("forecast-low-micros", Value::Integer(likely - 5_000_000)),
            ("forecast-high-micros", Value::Integer(likely + 5_250_000)),
            ("used-up-ms", Value::Integer(used_up)),
        ];
        verdict(vec![budget("Tokens", Some(1), &attributes)], settings)
    };
    assert!(!foreseen(100_000_000).is_breached());
    let breached = foreseen(120_000_000);
    assert!(breached.is_breached());
    assert_eq!(
        breached.summary(),
        "budget `Tokens` will be at 120 of 100 EUR at the end of its period (120 %, 115 to 125.25), alert above 100 %; \
         it will be used up in 4d"
    );
}

#[test]
fn without_figures_there_is_no_opinion_with_the_reason() {
    let missing = [("missing", Value::Text("the store is away".to_owned()))];
    let unread = || budget("Tokens", None, &missing);
    let few = [("forecast-missing", Value::Text("too few days".to_owned()))];
    let full = || budget("Full", Some(200_000_000), &[]);
    let little = || budget("Little", Some(1), &few);
    for (budgets, settings, reason) in [
        (vec![], "{}", "there is no budget here"),
        (
            vec![full()],
            r#"{"budget": "x"}"#,
            "there is no budget `x` here",
        ),
        (
            vec![little(), unread()],
            "{}",
            "no figures of budget `Tokens`: the store is away",
        ),
        (
            vec![little()],
            r#"{"of": "forecast"}"#,
            "no forecast for budget `Little`: too few days",
        ),
    ] {
        let found = verdict(budgets, settings);
        assert!(matches!(found, Verdict::NoOpinion(_)), "{found:?}");
        assert_eq!(found.summary(), reason);
    }
    let found = verdict(vec![unread(), full(), little()], "{}");
    assert!(found.is_breached(), "{found:?}");
    assert!(found.summary().contains("`Full`"), "{found:?}");
}

#[test]
fn amounts_have_no_zeros_that_mean_nothing() {
    for (micros, text) in [
        (0, "0"),
        (1, "0.000001"),
        (1_500_000, "1.5"),
        (-20_250_000, "-20.25"),
        (i64::MAX, "9223372036854.775807"),
    ] {
        assert_eq!(money(micros), text);
    }
}

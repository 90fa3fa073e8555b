//! The rule `invoice`: is the last invoice of the service far from what its calls were counted to cost?
//! The host compares them, and says what may explain the difference.

use extrack_plugin::history::Usage;
use extrack_plugin::prelude::*;
use extrack_plugin::value;

#[derive(Settings)]
struct Settings {
    /// Percent of what is billed that may be missing or too much.
    #[setting(default = 5, min = 0)]
    threshold: f64,
    /// Smaller differences are never an alert, in the invoice's currency.
    #[setting(default = 1, min = 0)]
    min_amount: f64,
}

#[rule(over_time = true)]
fn evaluate(_evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let usage = history::usage();
    let judged = usage.iter().filter_map(|usage| judge(usage, settings));
    let worst = judged.max_by(|one, other| {
        one.is_breached
            .cmp(&other.is_breached)
            .then(one.percent.total_cmp(&other.percent))
    });
    match worst {
        Some(worst) => worst.finding.breached_if(worst.is_breached),
        None => Verdict::no_opinion("no invoice of the service was imported"),
    }
}

/// One invoice, with what can be said of it.
struct Judged {
    finding: Finding,
    /// Size of the difference.
    percent: f64,
    is_breached: bool,
}

/// None for usage that no invoice is for.
fn judge(usage: &Usage, settings: &Settings) -> Option<Judged> {
    let billed = integer_of(usage, "billed-micros")?;
    let drift = integer_of(usage, "drift-micros")?;
    let counted = usage.cost_micros?;
    // What was counted and is not billed at all is all of it.
    let percent = match value::find(&usage.attributes, "drift-percent") {
        Some(Value::Number(percent)) => *percent,
        Some(Value::Integer(percent)) => *percent as f64,
        _ if drift == 0 => 0.0,
        _ => -100.0,
    };
    let is_breached = percent.abs() > settings.threshold
        && drift.unsigned_abs() as f64 >= settings.min_amount * 1_000_000.0;
    let currency = &usage.currency;
    let mut text = format!(
        "invoice `{}` bills {} {currency}, and {} {currency} were counted: ",
        usage.meter,
        money(billed),
        money(counted)
    );
    if drift == 0 {
        text.push_str("they agree");
    } else {
        text.push_str(&format!(
            "{} {currency} {} ({} %), wanted at most {} %",
            money(drift).abs(),
            if drift > 0 { "more" } else { "less" },
            percent.abs(),
            settings.threshold
        ));
    }
    if let Some(reasons) = value::text(&usage.attributes, "reasons").filter(|it| !it.is_empty()) {
        text.push_str(&format!("; {reasons}"));
    }
    let finding = Finding::new(text)
        .value(percent)
        .wanted(settings.threshold)
        .detail("invoice", usage.meter.as_str())
        .detail("currency", currency.as_str());
    Some(Judged {
        finding,
        percent: percent.abs(),
        is_breached,
    })
}

fn integer_of(usage: &Usage, key: &str) -> Option<i64> {
    match value::find(&usage.attributes, key) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    }
}

/// Returns an amount for people.
fn money(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::Host;
    use extrack_plugin::value::Entry;

    use super::*;

    fn invoice(
        (billed, counted): (i64, i64),
        (drift, percent): (i64, Option<f64>),
        reasons: &str,
    ) -> Usage {
        let entry = |key: &str, value: Value| Entry {
            key: key.to_owned(),
            value,
        };
        let mut attributes = vec![
            entry("billed-micros", Value::Integer(billed)),
            entry("drift-micros", Value::Integer(drift)),
            entry("reasons", Value::Text(reasons.to_owned())),
        ];
        attributes.extend(percent.map(|percent| entry("drift-percent", Value::Number(percent))));
        Usage {
            meter: "INV-1".to_owned(),
            period_start_ms: 0,
            period_end_ms: 1,
            used: 0.0,
            quota: None,
            cost_micros: Some(counted),
            budget_micros: None,
            currency: "EUR".to_owned(),
            attributes,
        }
    }

    fn verdict(usage: Vec<Usage>, settings: &str) -> Verdict {
        let host = Host::install();
        host.set_usage(usage);
        evaluate(
            &Evaluation::of("pay", host.now_ms()),
            &Settings::from_json(settings).unwrap(),
        )
    }

    #[test]
    fn a_difference_above_the_threshold_is_a_breach_with_its_reasons() {
        let much = ((120_500_000, 100_000_000), (20_500_000, Some(17.01)));
        let found = verdict(vec![invoice(much.0, much.1, "3 calls have no cost")], "{}");
        assert!(found.is_breached());
        assert_eq!(
            found.summary(),
            "invoice `INV-1` bills 120.5 EUR, and 100 EUR were counted: 20.5 EUR more (17.01 %), wanted at most 5 %; \
             3 calls have no cost"
        );
        for (settings, is_breached) in [
            (r#"{"threshold": 17.01}"#, false),
            (r#"{"threshold": 17}"#, true),
            (r#"{"minAmount": 20.5}"#, true),
            (r#"{"minAmount": 21}"#, false),
        ] {
            let found = verdict(vec![invoice(much.0, much.1, "")], settings);
            assert_eq!(found.is_breached(), is_breached, "{settings}");
        }
    }

    #[test]
    fn what_agrees_is_fine_and_what_is_not_billed_is_missing() {
        let agrees = verdict(
            vec![invoice((5_000_000, 5_000_000), (0, Some(0.0)), "")],
            "{}",
        );
        assert!(!agrees.is_breached());
        assert!(agrees.summary().ends_with("they agree"), "{agrees:?}");
        let unbilled = invoice((0, 5_000_000), (-5_000_000, None), "");
        let found = verdict(vec![invoice((1, 1), (0, None), ""), unbilled], "{}");
        assert!(found.is_breached(), "{found:?}");
        assert!(found.summary().contains("5 EUR less (100 %)"), "{found:?}");
    }

    #[test]
    fn without_an_invoice_there_is_no_opinion() {
        let budget = Usage {
            budget_micros: Some(1),
            attributes: Vec::new(),
            ..invoice((1, 1), (0, None), "")
        };
        for usage in [vec![], vec![budget]] {
            assert!(matches!(verdict(usage, "{}"), Verdict::NoOpinion(_)));
        }
    }
}

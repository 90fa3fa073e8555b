//! The worked amounts of `examples.json`: each model is translated into a price list, and has to
//! yield the amount that was worked out by hand.

mod models;
mod run;

use std::collections::BTreeMap;

use serde_json::Value;

use self::run::*;

/// One worked amount.
struct Example {
    model: Value,
    usage: Vec<Value>,
    expected: Vec<Value>,
}

fn examples() -> BTreeMap<String, Example> {
    let read: Vec<Value> = serde_json::from_str(include_str!("examples.json")).unwrap();
    let all = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        single => vec![single.clone()],
    };
    let examples = read.into_iter().map(|example| {
        let id = example["id"].as_str().unwrap().to_owned();
        let example = Example {
            model: example["model"].clone(),
            usage: all(&example["usage"]),
            expected: all(&example["expect"]),
        };
        (id, example)
    });
    examples.collect()
}

type Check = fn(&Example);

/// The tests that hold the examples, by their ids.
const HELD: &[(&str, Check)] = &[
    ("annual-commitment-true-up", year_of_a_commitment),
    ("anthropic-cached-tokens", calls_with_units),
    ("aws-egress-allowance", sums_of_a_cycle),
    ("commitment-and-overage", commitment_of_a_cycle),
    ("cycle-bound-that-does-not-exist", bound_in_a_gap),
    ("cycle-in-a-time-zone", calls_by_cycle),
    ("fraction-between-tiers", sums_of_a_cycle),
    ("google-geocoding-price-change", versions_by_cycle),
    ("openai-cached-tokens", calls_with_units),
    ("proration-change", fees_of_a_cycle),
    ("proration-start", fees_of_a_cycle),
    ("sendgrid-pro-statement", statement_with_lines),
    ("stripe-ach-cap", calls_with_amounts),
    ("stripe-domestic-cards", calls_with_amounts),
    ("two-currencies", lists_of_two_currencies),
    ("volume-cost-falls", sums_of_a_cycle),
    ("what-is-billed", calls_by_status),
];

#[test]
fn every_worked_amount_comes_out() {
    let examples = examples();
    for (id, example) in &examples {
        let Some((_, hold)) = HELD.iter().find(|(held, _)| held == id) else {
            panic!("no test holds the example `{id}`");
        };
        hold(example);
    }
    assert_eq!(examples.len(), HELD.len());
}

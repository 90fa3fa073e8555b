use serde_json::json;

use super::*;
use crate::domain::cost::{Bounds, CycleState, Sums, YearToDate};
use crate::domain::fault::Fault;

fn compiled(spec: serde_json::Value) -> (Option<PriceList>, Vec<Fault>) {
    let spec: CostSpec = serde_json::from_value(spec).unwrap();
    let mut report = FaultReport::default();
    let list = price_list(&spec, "/cost", &mut report);
    (list, report.faults)
}

/// Returns what this quantity of the first price costs in January 2026.
fn cost(list: &PriceList, quantity: &str) -> String {
    let span = list.cycle.around(1_768_000_000_000).unwrap();
    let sums = Sums {
        quantity: Bounds::exactly(Decimal::from_str_exact(quantity).unwrap()),
        ..Sums::default()
    };
    let name = list.versions[0].prices[0].name.clone();
    let state = CycleState {
        from_ms: span.from_ms,
        used: [(String::new(), [(name, sums)].into())].into(),
    };
    let bill = list.bill(&span, &state, YearToDate::default()).unwrap();
    bill.owed.low.normalize().to_string()
}

#[test]
fn a_price_list_means_what_it_says() {
    let (list, faults) = compiled(json!({
        "currency": "USD",
        "cycle": {"day": 5, "timeZone": "America/Los_Angeles"},
        "monthly": 10,
        "prices": [{
            "unit": "input_tokens", "price": "2.50", "per": 1_000_000, "allowance": 2_000_000,
        }],
        "changes": [{"from": "2026-06-01", "monthly": "12.50"}],
    }));
    assert_eq!(faults, []);
    let list = list.unwrap();
    assert_eq!(cost(&list, "5000000"), "17.5");
    assert_eq!((list.cycle.day, list.rounding.digits), (5, 2));
    assert_eq!(list.versions[1].prices, list.versions[0].prices);
    assert_eq!(
        list.versions[1].fee.as_ref().unwrap().amount.to_string(),
        "12.5"
    );
}

#[test]
fn an_overage_is_a_price_of_what_is_above_the_commitment() {
    let (list, faults) = compiled(json!({
        "currency": "USD",
        "prices": [{"price": 20, "per": 1000}],
        "commitment": {"amount": 1000, "overage": 25},
    }));
    assert_eq!(faults, []);
    assert_eq!(cost(&list.unwrap(), "60000"), "1250");
}

#[test]
fn faults_name_the_key_and_the_remedy() {
    let cases = [
        (
            json!({"currency": "EURO"}),
            "/cost/currency",
            "is no currency of ISO 4217",
        ),
        (
            json!({"currency": "EUR", "cycle": {"day": 32}}),
            "/cost/cycle/day",
            "from 1 to 31",
        ),
        (
            json!({"currency": "EUR", "cycle": {"timeZone": "Berlin"}}),
            "/cost/cycle/timeZone",
            "`Europe/Berlin`",
        ),
        (
            json!({"currency": "EUR", "prices": [{"price": 1e-7}]}),
            "/cost/prices/0/price",
            "write it in quotes",
        ),
        (
            json!({"currency": "EUR", "prices": [{"price": "-1"}]}),
            "/cost/prices/0/price",
            "without sign",
        ),
        (
            json!({"currency": "EUR", "prices": [{"unit": "sms"}]}),
            "/cost/prices/0",
            "has no price",
        ),
        (
            json!({"currency": "EUR", "prices": [{"price": 1, "tiers": [{"price": 1}]}]}),
            "/cost/prices/0/price",
            "remove one",
        ),
        (
            json!({"currency": "EUR", "prices": [{"price": 1}, {"price": 2}]}),
            "/cost/prices/1",
            "is never taken",
        ),
        (
            json!({"currency": "EUR", "prices": [{"price": 1, "per": 0}]}),
            "/cost/prices/0/per",
            "above zero",
        ),
        (
            json!({"currency": "EUR", "prices": [{"price": 1, "status": ["2x"]}]}),
            "/cost/prices/0/status",
            "`2xx`",
        ),
        (
            json!({"currency": "EUR", "prices": [{"percent": 1, "tiers": [{"price": 1}]}]}),
            "/cost/prices/0/tiers",
            "not for a `percent`",
        ),
        (
            json!({"currency": "EUR", "prices": [{"percent": 1, "minimum": 2, "maximum": 1}]}),
            "/cost/prices/0/maximum",
            "below `minimum`",
        ),
        (
            json!({"currency": "EUR", "prices": [{"tiers": [{"price": 1}, {"price": 2}]}]}),
            "/cost/prices/0/tiers/0",
            "only the last tier",
        ),
        (
            json!({"currency": "EUR", "prices": [
                {"tiers": [{"upTo": 5, "price": 1}, {"upTo": 5, "price": 1}, {"price": 2}]},
            ]}),
            "/cost/prices/0/tiers/1/upTo",
            "above the end",
        ),
        (
            json!({"currency": "EUR", "prices": [{"tiers": [{"upTo": 5, "price": 1}]}]}),
            "/cost/prices/0/tiers/0/upTo",
            "left out",
        ),
        (
            json!({"currency": "EUR", "commitment": {"amount": 5, "overage": 2}}),
            "/cost/commitment/overage",
            "one `price`",
        ),
        (
            json!({"currency": "EUR", "changes": [{"from": "2026-02-30"}]}),
            "/cost/changes/0/from",
            "is no day",
        ),
        (
            json!({"currency": "EUR", "changes": [{"from": "2026-02-01"}, {"from": "2026-02-01"}]}),
            "/cost/changes/1/from",
            "later",
        ),
        (
            json!({"currency": "EUR", "monthly": 5, "monthlyDiscount": 101}),
            "/cost/monthlyDiscount",
            "at most 100",
        ),
    ];
    for (spec, pointer, part) in cases {
        let (_, faults) = compiled(spec.clone());
        let found: Vec<String> = faults.iter().map(Fault::to_string).collect();
        assert!(
            faults.len() == 1 && faults[0].pointer == pointer && faults[0].message.contains(part),
            "{spec}: {found:?}"
        );
    }
}

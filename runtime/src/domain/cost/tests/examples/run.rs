//! Bills the sums and meters the calls of the models.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::Value;

use super::Example;
use super::models::{amount, cycle_of, list_of, text};
use crate::domain::cost::tests::lists::*;
use crate::domain::cost::*;
use crate::domain::{CallEnd, CallUnits};

fn expected(value: &Value, key: &str) -> Decimal {
    amount(&value[key]).unwrap_or_else(|| panic!("`{key}` is expected"))
}

/// Quantities of one cycle, each under the name of its unit, perhaps in the plural.
fn quantities(list: &PriceList, usage: &Value) -> Vec<(String, String)> {
    let prices = list.versions[0].prices.iter();
    let used = prices.filter_map(|price| {
        let unit = price.unit.to_lowercase();
        let found = usage.get(&unit).or(usage.get(format!("{unit}s")))?;
        Some((price.name.clone(), amount(found).unwrap().to_string()))
    });
    used.collect()
}

fn billed(list: &PriceList, usage: &Value) -> Bill {
    let used = quantities(list, usage);
    assert!(!used.is_empty() || list.versions[0].fee.is_some());
    let used: Vec<(&str, &str)> = used
        .iter()
        .map(|(price, quantity)| (price.as_str(), quantity.as_str()))
        .collect();
    bill(list, "2026-01-10", &used)
}

pub(super) fn sums_of_a_cycle(example: &Example) {
    for (usage, expect) in example.usage.iter().zip(&example.expected) {
        let mut model = example.model.clone();
        if let Some(mode) = usage.get("mode") {
            model["mode"] = mode.clone();
        }
        let bill = billed(&list_of(&model), usage);
        assert_eq!(
            bill.owed,
            Bounds::exactly(expected(expect, "amount")),
            "{usage}"
        );
    }
}

pub(super) fn commitment_of_a_cycle(example: &Example) {
    let list = list_of(&example.model);
    for (usage, expect) in example.usage.iter().zip(&example.expected) {
        let bill = billed(&list, usage);
        assert_eq!(bill.owed, Bounds::exactly(expected(expect, "amount")));
        let sum = |kind| -> Decimal {
            let lines = bill.lines.iter().filter(|line| line.kind == kind);
            lines.map(|line| line.amount.low).sum()
        };
        let lines = &expect["lines"];
        if let Some(true_up) = lines.get("true_up") {
            assert_eq!(bill.true_up, amount(true_up).unwrap());
            assert_eq!(sum(LineKind::Usage), expected(lines, "usage"));
        }
        if let Some(overage) = lines.get("overage") {
            // Ours keeps the line of usage at its usual price, and adds what is dearer.
            let committed = amount(&example.model["commitment_per_cycle"]).unwrap();
            assert_eq!(bill.used.low - committed, amount(overage).unwrap());
            assert_eq!(
                sum(LineKind::Usage) + sum(LineKind::Overage),
                expected(expect, "amount")
            );
        }
    }
}

pub(super) fn year_of_a_commitment(example: &Example) {
    let list = list_of(&example.model);
    let months = example.usage[0]["months"].as_array().unwrap();
    let (mut year, mut owed) = (YearToDate::default(), Decimal::ZERO);
    let mut span = list.cycle.around(ms("2026-01-01T00:00:00Z")).unwrap();
    for (at, month) in months.iter().enumerate() {
        let used = amount(month).unwrap();
        let bill = list.settle(&span, Bounds::exactly(used), year).unwrap();
        let lines = &example.expected[0]["lines"];
        let true_up = match at {
            11 => expected(lines, "true_up_in_2026-12"),
            _ => Decimal::ZERO,
        };
        assert_eq!(bill.true_up, true_up, "{}", span.label());
        assert_eq!(
            list.commitment_year(&span).unwrap().to_string(),
            "2026-01-01"
        );
        owed += bill.owed.low;
        year.used += used;
        span = list.cycle.next(&span).unwrap();
    }
    assert_eq!(owed, expected(&example.expected[0], "amount"));
    assert_eq!(
        list.commitment_year(&span).unwrap().to_string(),
        "2027-01-01"
    );
}

pub(super) fn bound_in_a_gap(example: &Example) {
    let cycle = cycle_of(&example.model["cycle"]);
    let day = text(&example.usage[0], "cycle_from").unwrap();
    let span = cycle.around(ms(&format!("{day}T12:00:00Z"))).unwrap();
    assert_eq!(
        span.from_ms,
        ms(text(&example.expected[0], "bound_utc").unwrap())
    );
    assert_eq!(span.label(), day);
}

pub(super) fn calls_by_cycle(example: &Example) {
    let list = list_of(&example.model);
    let none = units(&[]);
    let mut meter = meter(list.clone());
    for moment in example.usage[0]["calls_at"].as_array().unwrap() {
        let call = MeteredCall {
            ts_ms: ms(moment.as_str().unwrap()),
            ..call(&none)
        };
        take(&mut meter, &call);
    }
    let priced: BTreeMap<String, Decimal> = meter
        .cycles()
        .map(|(span, _, price)| (span.label(), price.low))
        .collect();
    for cycle in example.expected[0]["cycles"].as_array().unwrap() {
        let label = text(cycle, "cycle").unwrap();
        assert_eq!(priced[label], expected(cycle, "amount"), "{label}");
    }
    for (label, hours) in example.expected[0]["hours"].as_object().unwrap() {
        let span = list.cycle.around(ms(&format!("{label}-15T00:00:00Z")));
        let span = span.unwrap();
        assert_eq!(
            (span.until_ms - span.from_ms) / 3_600_000,
            hours.as_i64().unwrap()
        );
    }
}

pub(super) fn versions_by_cycle(example: &Example) {
    let list = list_of(&example.model);
    for (usage, expect) in example.usage.iter().zip(&example.expected) {
        let day = format!("{}-15", text(usage, "cycle").unwrap());
        let requests = amount(&usage["requests"]).unwrap().to_string();
        let bill = bill(&list, &day, &[("call", &requests)]);
        assert_eq!(bill.owed, Bounds::exactly(expected(expect, "amount")));
    }
}

/// Reads the units of one answer as its vendor means them.
fn units_of(model: &Value, usage: &Value) -> CallUnits {
    let mut read = BTreeMap::new();
    for (unit, _) in model["per_unit"].as_object().unwrap() {
        let place = |path: &str| {
            let pointer = path.trim_start_matches("usage").replace('.', "/");
            amount(usage.pointer(&pointer).unwrap()).unwrap()
        };
        let quantity = match model["units_from"].get(unit).and_then(Value::as_str) {
            None => amount(&usage[unit]).unwrap(),
            Some(from) => match from.split_once(" - cached") {
                None => place(from),
                Some((from, _)) => {
                    let cached = model["units_from"]["cached_input_tokens"].as_str();
                    place(from) - place(cached.unwrap())
                }
            },
        };
        read.insert(unit.clone(), quantity);
    }
    CallUnits::Known(read)
}

pub(super) fn calls_with_units(example: &Example) {
    let list = list_of(&example.model);
    let units = units_of(&example.model, &example.usage[0]["each"]["usage"]);
    let mut meter = meter(list.clone());
    let expect = &example.expected[0];
    for _ in 0..example.usage[0]["calls"].as_u64().unwrap() {
        let cost = take(&mut meter, &call(&units));
        if let Some(each) = expect.get("each") {
            assert_eq!(cost, Bounds::exactly(amount(each).unwrap()));
        }
    }
    let (span, state, _) = meter.cycles().next().unwrap();
    let bill = list.bill(span, state, YearToDate::default()).unwrap();
    assert_eq!(bill.owed, Bounds::exactly(expected(expect, "amount")));
}

pub(super) fn calls_with_amounts(example: &Example) {
    let mut meter = meter(list_of(&example.model));
    let mut sum = Decimal::ZERO;
    let each = example.expected[0]["each"].as_array();
    let each = each.cloned().unwrap_or_default();
    let same = text(&example.expected[0], "each").map(decimal);
    let calls = example.usage[0]["calls"].as_array().unwrap();
    for (at, moved) in calls.iter().enumerate() {
        let units = units(&[("amount", text(moved, "amount").unwrap())]);
        let cost = take(&mut meter, &call(&units));
        let wanted = each.get(at).and_then(amount).or(same).unwrap();
        assert_eq!(cost, Bounds::exactly(wanted));
        sum += cost.low;
    }
    assert_eq!(sum, expected(&example.expected[0], "amount"));
    let (_, _, price) = meter.cycles().next().unwrap();
    assert_eq!(price, Bounds::exactly(sum));
}

pub(super) fn calls_by_status(example: &Example) {
    let list = Arc::new(list_of(&example.model));
    let mut meter = CycleMeter::new(list.clone());
    let none = units(&[]);
    let (mut retries, mut unknown, mut at_most) = (Decimal::ZERO, 0, Decimal::ZERO);
    for group in example.usage[0]["calls"].as_array().unwrap() {
        let status = group["status"].as_u64().map(|status| status as u16);
        let call = MeteredCall {
            status,
            ended: match group["error"].as_str() {
                Some(_) => CallEnd::Timeout,
                None => CallEnd::Complete,
            },
            ..call(&none)
        };
        for _ in 0..group["count"].as_u64().unwrap() {
            let cost = take(&mut meter, &call);
            if group["retry"].as_bool() == Some(true) {
                retries += cost.low;
            }
            if cost.low != cost.high {
                unknown += 1;
                at_most += cost.high;
            }
        }
    }
    let (span, state, _) = meter.cycles().next().unwrap();
    let bill = list.bill(span, state, YearToDate::default()).unwrap();
    let expect = &example.expected[0];
    assert_eq!(bill.owed.low, expected(expect, "amount"));
    assert_eq!(retries, expected(expect, "of_which_retries"));
    assert_eq!(unknown, expect["unknown_calls"].as_u64().unwrap());
    assert_eq!(at_most, decimal("0.0581"));
}

pub(super) fn fees_of_a_cycle(example: &Example) {
    let mut list = list_of(&example.model);
    let usage = &example.usage[0];
    list.contract_from = text(usage, "starts").map(|day| day.parse().unwrap());
    let label = text(usage, "cycle").or(text(usage, "starts")).unwrap();
    let bill = bill(&list, &format!("{}-15", &label[..7]), &[]);
    let expect = &example.expected[0];
    assert_eq!(bill.owed, Bounds::exactly(expected(expect, "amount")));
    if let Some(lines) = expect["lines"].as_array() {
        let lines: Vec<Decimal> = lines.iter().filter_map(amount).collect();
        let found: Vec<Decimal> = bill.lines.iter().map(|line| line.amount.low).collect();
        assert_eq!(found, lines);
    }
}

pub(super) fn statement_with_lines(example: &Example) {
    let bill = billed(&list_of(&example.model), &example.usage[0]);
    let expect = &example.expected[0];
    assert_eq!(bill.owed, Bounds::exactly(expected(expect, "amount")));
    for (ours, theirs) in [
        ("monthly", "monthly"),
        ("email", "overage"),
        ("contact", "contacts"),
    ] {
        let line = bill.lines.iter().find(|line| line.name == ours).unwrap();
        assert_eq!(
            line.amount.low,
            expected(&expect["lines"], theirs),
            "{ours}"
        );
    }
}

pub(super) fn lists_of_two_currencies(example: &Example) {
    let none = units(&[]);
    let mut found = BTreeMap::new();
    for (name, model) in example.model["services"].as_object().unwrap() {
        let mut meter = meter(list_of(model));
        for _ in 0..example.usage[0][name].as_u64().unwrap() {
            let cost = meter.take(&call(&none)).unwrap().unwrap();
            *found
                .entry(cost.currency.to_string())
                .or_insert(Decimal::ZERO) += cost.min;
        }
    }
    for each in example.expected[0]["amounts"].as_array().unwrap() {
        let currency = text(each, "currency").unwrap();
        assert_eq!(found[currency], expected(each, "amount"));
    }
    assert_eq!(found.len(), 2);
}

//! Translates the neutral words of the examples into price lists.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::domain::cost::tests::lists::{decimal, flat, price};
use crate::domain::cost::*;

pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str()
}

pub(super) fn amount(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => Some(decimal(text)),
        Value::Number(number) => Some(decimal(&number.to_string())),
        _ => None,
    }
}

fn day(value: &Value) -> Option<NaiveDate> {
    value.as_str().map(|text| text.parse().unwrap())
}

pub(super) fn list_of(model: &Value) -> PriceList {
    let mut versions: Vec<PriceVersion> = match model["versions"].as_array() {
        Some(versions) => versions.iter().map(version_of).collect(),
        None => vec![version_of(model)],
    };
    versions.sort_by_key(|version| version.from);
    PriceList {
        currency: Currency::parse(text(model, "currency").unwrap_or("USD")).unwrap(),
        cycle: cycle_of(&model["cycle"]),
        rounding: rounding_of(text(model, "round")),
        contract_from: None,
        prorates: text(model, "prorate") == Some("days"),
        versions,
    }
}

pub(super) fn cycle_of(model: &Value) -> Cycle {
    Cycle {
        day: model["day"].as_u64().unwrap_or(1) as u8,
        zone: text(model, "time_zone").unwrap_or("UTC").parse().unwrap(),
    }
}

fn rounding_of(words: Option<&str>) -> Rounding {
    let at = match words.and_then(|words| words.split(',').next()) {
        Some("each call") => RoundAt::Call,
        Some("each line") => RoundAt::Line,
        Some("none") => RoundAt::None,
        Some("once") | None => RoundAt::Total,
        Some(other) => panic!("`{other}` is no place to round at"),
    };
    Rounding {
        at,
        mode: RoundMode::HalfUp,
        digits: 2,
    }
}

fn version_of(model: &Value) -> PriceVersion {
    let per_year = amount(&model["commitment_per_year"]).map(|amount| Commitment {
        amount,
        period: CommitmentPeriod::Year {
            from: day(&model["year_from"]).unwrap(),
        },
        overage: None,
    });
    let overage = model.get("overage_price").and_then(amount);
    let per_cycle = amount(&model["commitment_per_cycle"]).map(|committed| Commitment {
        amount: committed,
        period: CommitmentPeriod::Cycle,
        overage: overage.zip(amount(&model["price"])),
    });
    PriceVersion {
        from: day(&model["from"]),
        prices: prices_of(model),
        fee: amount(&model["monthly"]).map(|amount_due| Fee {
            amount: amount_due,
            discount: amount(&model["discount_percent"]).unwrap_or_default(),
        }),
        credit: amount(&model["credit_per_cycle"]),
        commitment: per_year.or(per_cycle),
    }
}

fn prices_of(model: &Value) -> Vec<Price> {
    let mut prices = Vec::new();
    if let Some(per_unit) = model["per_unit"].as_object() {
        let per_unit = per_unit.iter();
        prices.extend(per_unit.map(|(unit, price)| flat(unit, price.as_str().unwrap())));
    }
    match &model["per_call"] {
        Value::Array(rules) => {
            prices.extend(rules.iter().enumerate().map(|(at, rule)| guarded(at, rule)));
        }
        Value::Object(_) => prices.push(per_call(&model["per_call"])),
        _ => {}
    }
    let unit = text(model, "unit").unwrap_or("call");
    if model["tiers"].is_array() || model["price"].is_string() {
        prices.push(price(unit, Charge::Tiers(tiers_of(model))));
    }
    if let Some(overage) = amount(&model["overage"]) {
        let tiers = Tiers {
            allowance: allowance_of(model),
            ..Tiers::flat(overage, Decimal::ONE)
        };
        prices.push(price(unit, Charge::Tiers(tiers)));
    }
    if let Some(packages) = model["packages"].as_object() {
        let tiers = Tiers {
            whole_blocks: true,
            allowance: Some(Allowance {
                quantity: amount(&packages["free"]).unwrap(),
                place: AllowancePlace::BeforeTiers,
            }),
            ..Tiers::flat(
                amount(&packages["price"]).unwrap(),
                amount(&packages["size"]).unwrap(),
            )
        };
        prices.push(price(
            packages["unit"].as_str().unwrap(),
            Charge::Tiers(tiers),
        ));
    }
    prices
}

fn per_call(rule: &Value) -> Price {
    match text(rule, "percent_of") {
        None => flat("call", text(rule, "fixed").unwrap()),
        Some(unit) => price(
            unit,
            Charge::Percent(Percent {
                percent: amount(&rule["percent"]).unwrap(),
                plus: amount(&rule["fixed"]).unwrap_or_default(),
                minimum: amount(&rule["minimum"]),
                maximum: amount(&rule["maximum"]),
            }),
        ),
    }
}

/// `status >= 200 && status < 300`, or `true`.
fn guarded(at: usize, rule: &Value) -> Price {
    let mut price = flat("call", text(rule, "fixed").unwrap());
    price.name = format!("call {}", at + 1);
    let words = text(rule, "when").unwrap();
    let class = words.strip_prefix("status >= ").map(|rest| &rest[..1]);
    let set = match class {
        Some(class) => StatusSet::parse([format!("{class}xx").as_str()]),
        None => StatusSet::parse(["100-599"]),
    };
    price.guard.status = Some(set.unwrap());
    price
}

fn tiers_of(model: &Value) -> Tiers {
    let tiers = match model["tiers"].as_array() {
        None => vec![Tier {
            up_to: None,
            price: amount(&model["price"]).unwrap(),
        }],
        Some(tiers) => {
            let tiers = tiers.iter().map(|tier| Tier {
                up_to: amount(&tier["up_to"]),
                price: amount(&tier["price"]).unwrap(),
            });
            tiers.collect()
        }
    };
    Tiers {
        mode: match text(model, "mode") {
            Some("volume") => TierMode::Volume,
            _ => TierMode::Graduated,
        },
        per: Decimal::ONE,
        whole_blocks: false,
        allowance: allowance_of(model),
        tiers,
    }
}

fn allowance_of(model: &Value) -> Option<Allowance> {
    amount(&model["allowance"]).map(|quantity| Allowance {
        quantity,
        place: AllowancePlace::BeforeTiers,
    })
}

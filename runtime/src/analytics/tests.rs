//! Tests of what is made of stored sums.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rust_decimal::Decimal;

use super::*;
use crate::domain::cost::{
    Charge, Commitment, CommitmentPeriod, Currency, Cycle, Fee, Guard, Price, PriceList,
    PriceVersion, RoundAt, RoundMode, Rounding, Tiers,
};
use crate::store::UsageKey;

pub(super) fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

pub(super) fn ms(text: &str) -> UnixMillis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

pub(super) fn list(zone: &str) -> PriceList {
    PriceList {
        currency: Currency::parse("EUR").unwrap(),
        cycle: Cycle {
            day: 1,
            zone: zone.parse().unwrap(),
        },
        rounding: Rounding {
            at: RoundAt::Total,
            mode: RoundMode::HalfUp,
            digits: 2,
        },
        contract_from: None,
        prorates: false,
        versions: vec![PriceVersion {
            from: None,
            prices: vec![Price {
                name: "call".to_owned(),
                unit: "call".to_owned(),
                guard: Guard::default(),
                charge: Charge::Tiers(Tiers::flat(Decimal::ONE, Decimal::ONE)),
                most_per_call: None,
            }],
            fee: Some(Fee {
                amount: decimal("9"),
                discount: Decimal::ZERO,
            }),
            credit: None,
            commitment: Some(Commitment {
                amount: decimal("100"),
                period: CommitmentPeriod::Cycle,
                overage: None,
            }),
        }],
    }
}

pub(super) fn sum(
    service: &str,
    currency: Option<&str>,
    calls: i64,
    low: &str,
    high: &str,
) -> UsageSum {
    let key = UsageKey {
        service: service.to_owned(),
        consumer: None,
        route: None,
        day: None,
    };
    let none = CallSum::default();
    UsageSum {
        key,
        currency: currency.map(str::to_owned),
        all: CallSum {
            calls,
            cost: Bounds {
                low: decimal(low),
                high: decimal(high),
            },
        },
        attempts: calls,
        bytes_in: 0,
        bytes_out: 0,
        failed: none,
        timed_out: none,
        cut: none,
        checks: none,
    }
}

#[test]
fn currencies_are_rows_of_their_own_and_calls_without_a_cost_are_shown() {
    let mut table = CostTable::default();
    let all = GroupKey::default();
    table.add(
        &sum("a", Some("USD"), 10, "1.00", "1.50"),
        vec![all.clone()],
    );
    table.add(
        &sum("b", Some("EUR"), 10, "1.00", "1.00"),
        vec![all.clone()],
    );
    table.add(&sum("b", None, 5, "0", "0"), vec![all]);
    let alone = GroupKey::of_service("c");
    table.add(&sum("c", None, 7, "0", "0"), vec![alone]);
    let rows = table.finish().rows;
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.currency.as_deref(),
                row.calls,
                row.metered,
                row.used.high,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (Some("EUR"), 25, 10, decimal("1")),
            (Some("USD"), 25, 10, decimal("1.5")),
            (None, 7, 0, Decimal::ZERO),
        ]
    );
}

#[test]
fn services_are_asked_for_together_where_their_cycles_are_the_same() {
    let priced = [
        ("utc", "UTC"),
        ("iceland", "Atlantic/Reykjavik"),
        ("la", "America/Los_Angeles"),
    ];
    let priced = priced.map(|(slug, zone)| (slug.to_owned(), Arc::new(list(zone))));
    let catalog = Catalog {
        prices: BTreeMap::from(priced),
        ..Catalog::default()
    };
    let question = Question {
        by: BTreeSet::from([Group::Service]),
        ..Question::default()
    };
    let parts = cycles::parts(&catalog, &question, ms("2026-11-15T12:00:00Z"));
    let found: Vec<_> = parts
        .iter()
        .map(|part| {
            (
                part.question.from_ms,
                part.holds("utc"),
                part.holds("iceland"),
                part.holds("la"),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (ms("2026-11-01T00:00:00Z"), true, true, false),
            (ms("2026-11-01T07:00:00Z"), false, false, true),
        ]
    );
}

#[test]
fn what_is_owed_holds_the_fee_and_the_commitment_and_the_forecast_them_too() {
    let list = list("UTC");
    let now_ms = ms("2026-11-11T00:00:00Z");
    // Ten euros a day, since the first of the month.
    let first = ms("2026-11-01T00:00:00Z") / 86_400_000;
    let ten: BTreeMap<i64, Decimal> = (first..first + 10)
        .map(|day| (day, decimal("10")))
        .collect();
    let used = Bounds {
        low: decimal("100"),
        high: decimal("104.5"),
    };
    let cycle = cycles::cycle_of(&list, used, Some(&ten), Decimal::ZERO, now_ms).unwrap();
    assert_eq!(cycle.owed.low, decimal("109"));
    assert_eq!(cycle.owed.high, decimal("113.5"));
    let foreseen = cycle.forecast.unwrap();
    assert_eq!(foreseen.likely, decimal("309"));
    assert_eq!((foreseen.days, foreseen.by_weekday), (10, false));

    let little = Bounds::exactly(decimal("1"));
    let cycle = cycles::cycle_of(&list, little, None, Decimal::ZERO, now_ms).unwrap();
    assert_eq!(
        (cycle.owed.low, cycle.true_up),
        (decimal("109"), decimal("99"))
    );
    let reason = cycle.forecast.unwrap_err();
    assert!(reason.contains("0 whole days"), "{reason}");
}

#[test]
fn a_service_counts_under_each_of_its_tags() {
    let key = GroupKey::of_service("a");
    let tags = ["red", "blue", "red"].map(str::to_owned);
    let keys = groups::with_each_tag(&key, &tags);
    let tags: Vec<_> = keys.iter().map(|key| key.tag.as_deref()).collect();
    assert_eq!(tags, [Some("blue"), Some("red")]);
    assert_eq!(groups::with_each_tag(&key, &[]), [key]);
}

#[test]
fn each_row_has_what_brought_nothing_and_all_together_count_once() {
    let mut table = CostTable::default();
    let failed = CallSum {
        calls: 2,
        cost: Bounds {
            low: Decimal::ZERO,
            high: decimal("0.5"),
        },
    };
    let with_failures = UsageSum {
        failed,
        ..sum("a", Some("EUR"), 10, "1.00", "1.50")
    };
    let tagged = ["red", "blue"].map(|tag| GroupKey {
        tag: Some(tag.to_owned()),
        ..GroupKey::default()
    });
    table.add(&with_failures, tagged.to_vec());
    let retries = RetrySum {
        key: with_failures.key.clone(),
        currency: "EUR".to_owned(),
        attempts: 3,
        at_most: decimal("0.3"),
    };
    table.add_retries(&retries, tagged.to_vec());
    let costs = table.finish();
    let wanted = Overhead {
        retries: (3, decimal("0.3")),
        failed,
        ..Overhead::default()
    };
    let found: Vec<&Overhead> = costs.rows.iter().map(|row| &row.overhead).collect();
    assert_eq!(found, [&wanted, &wanted]);
    assert_eq!(costs.overhead["EUR"], wanted);
}

//! Behaviour of the meter: what is known of a call decides on the two ends of its cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::lists::*;
use crate::domain::cost::*;
use crate::domain::{CacheUse, CallEnd, CallUnits};

fn bounds(low: &str, high: &str) -> Bounds {
    Bounds {
        low: decimal(low),
        high: decimal(high),
    }
}

#[test]
fn a_call_without_a_certain_end_costs_at_least_nothing() {
    let none = units(&[]);
    let cases = [
        (Some(200), 1, CallEnd::Complete, bounds("0.5", "0.5")),
        (Some(404), 1, CallEnd::Complete, bounds("0.5", "0.5")),
        (Some(429), 1, CallEnd::Complete, bounds("0", "0.5")),
        (Some(503), 1, CallEnd::Complete, bounds("0", "0.5")),
        (None, 1, CallEnd::Timeout, bounds("0", "0.5")),
        (Some(200), 1, CallEnd::Timeout, bounds("0", "0.5")),
        (None, 1, CallEnd::Cancelled, bounds("0", "0.5")),
        (Some(200), 1, CallEnd::Cancelled, bounds("0.5", "0.5")),
        (Some(200), 3, CallEnd::Complete, bounds("0.5", "1.5")),
        (None, 3, CallEnd::Timeout, bounds("0", "1.5")),
        (Some(403), 0, CallEnd::Refused, bounds("0", "0")),
    ];
    for (status, attempts, ended, cost) in cases {
        let call = MeteredCall {
            status,
            attempts,
            ended,
            ..call(&none)
        };
        let mut meter = meter(priced(vec![flat("call", "0.5")]));
        assert_eq!(
            take(&mut meter, &call),
            cost,
            "{status:?} {attempts} {ended:?}"
        );
    }
}

#[test]
fn an_answer_of_the_cache_costs_nothing() {
    let none = units(&[]);
    let mut meter = meter(priced(vec![flat("call", "0.5")]));
    let call = MeteredCall {
        cache: CacheUse::Hit,
        attempts: 0,
        ..call(&none)
    };
    assert_eq!(take(&mut meter, &call), Bounds::default());
}

#[test]
fn what_was_cut_costs_what_was_seen_up_to_what_one_call_can_use() {
    let seen = CallUnits::AtLeast(BTreeMap::from([("token".to_owned(), decimal("300"))]));
    let whole = units(&[("token", "2000")]);
    let cut = MeteredCall {
        ended: CallEnd::Cancelled,
        ..call(&seen)
    };
    let mut price = flat("token", "0.01");
    let mut learning = meter(priced(vec![price.clone()]));
    assert_eq!(take(&mut learning, &cut), bounds("3", "3"));
    take(&mut learning, &call(&whole));
    assert_eq!(take(&mut learning, &cut), bounds("3", "20"));

    price.most_per_call = Some(decimal("4096"));
    let mut knowing = meter(priced(vec![price]));
    assert_eq!(take(&mut knowing, &cut), bounds("3", "40.96"));
}

#[test]
fn a_call_that_no_price_is_for_has_no_cost() {
    let none = units(&[]);
    let mut token = flat("token", "0.01");
    token.guard.routes = vec!["/v1/*".to_owned()];
    let mut meter = meter(priced(vec![token]));
    for route in ["/v1/models", "/other"] {
        let call = MeteredCall {
            route,
            ..call(&none)
        };
        assert_eq!(meter.take(&call), Ok(None), "{route}");
    }
}

#[test]
fn the_first_price_of_a_unit_that_fits_is_the_one() {
    let none = units(&[]);
    let mut posts = flat("call", "2");
    posts.name = "posts".to_owned();
    posts.guard.methods = vec!["POST".to_owned()];
    let mut large = flat("call", "7");
    large.name = "large".to_owned();
    large.guard.tags = BTreeMap::from([("model".to_owned(), "large-*".to_owned())]);
    let mut meter = meter(priced(vec![posts, large, flat("call", "1")]));
    let large = BTreeMap::from([("model".to_owned(), "large-3".to_owned())]);
    let get = call(&none);
    let post = MeteredCall {
        method: "POST",
        ..get
    };
    let tagged = MeteredCall {
        tags: &large,
        ..get
    };
    assert_eq!(take(&mut meter, &get), bounds("1", "1"));
    assert_eq!(take(&mut meter, &post), bounds("2", "2"));
    assert_eq!(take(&mut meter, &tagged), bounds("7", "7"));
}

#[test]
fn bytes_are_units_of_every_call() {
    let none = units(&[]);
    let gigabyte = Tiers::flat(decimal("0.09"), decimal("1073741824"));
    let egress = price(Price::BYTES_OUT, Charge::Tiers(gigabyte));
    let mut meter = meter(priced(vec![egress]));
    let call = MeteredCall {
        bytes_out: 1_073_741_824,
        ..call(&none)
    };
    assert_eq!(take(&mut meter, &call), bounds("0.09", "0.09"));
}

#[test]
fn one_more_call_may_cost_less_than_nothing() {
    let none = units(&[]);
    let tiers = Tiers {
        mode: TierMode::Volume,
        tiers: vec![
            Tier {
                up_to: Some(decimal("2")),
                price: decimal("0.10"),
            },
            Tier {
                up_to: None,
                price: decimal("0.05"),
            },
        ],
        ..Tiers::flat(Decimal::ZERO, Decimal::ONE)
    };
    let mut meter = meter(priced(vec![price("call", Charge::Tiers(tiers))]));
    take(&mut meter, &call(&none));
    take(&mut meter, &call(&none));
    assert_eq!(take(&mut meter, &call(&none)), bounds("-0.05", "-0.05"));
    let (_, _, price) = meter.cycles().next().unwrap();
    assert_eq!(price, bounds("0.15", "0.15"));
}

#[test]
fn a_restored_meter_goes_on_where_it_was() {
    let none = units(&[]);
    let list = Arc::new(priced(vec![price(
        "call",
        Charge::Tiers(Tiers {
            allowance: Some(Allowance {
                quantity: decimal("2"),
                place: AllowancePlace::BeforeTiers,
            }),
            ..Tiers::flat(decimal("1"), Decimal::ONE)
        }),
    )]));
    let mut first = CycleMeter::new(list.clone());
    take(&mut first, &call(&none));
    let kept = serde_json::to_string(&first.state()).unwrap();
    let mut second = CycleMeter::restore(list, serde_json::from_str(&kept).unwrap()).unwrap();
    assert_eq!(take(&mut second, &call(&none)), bounds("0", "0"));
    assert_eq!(take(&mut second, &call(&none)), bounds("1", "1"));
    assert_eq!(second.state().cycles.len(), 1);
}

#[test]
fn a_late_call_belongs_to_its_own_cycle_until_that_is_closed() {
    let none = units(&[]);
    let mut meter = meter(priced(vec![flat("call", "1")]));
    let on = |moment: &str| MeteredCall {
        ts_ms: ms(moment),
        ..call(&none)
    };
    take(&mut meter, &on("2026-05-02T00:00:00Z"));
    take(&mut meter, &on("2026-03-31T23:59:59Z"));
    let labels: Vec<String> = meter.cycles().map(|(span, ..)| span.label()).collect();
    assert_eq!(labels, ["2026-03", "2026-05"]);
    let refused = meter.take(&on("2026-02-28T23:59:59Z"));
    assert_eq!(refused, Err(CostError::Closed { kept: 3 }));
    take(&mut meter, &on("2026-06-01T00:00:00Z"));
    let refused = meter.take(&on("2026-03-31T23:59:59Z"));
    assert_eq!(refused, Err(CostError::Closed { kept: 3 }));
}

#[test]
fn what_can_not_be_counted_changes_nothing() {
    let mut meter = meter(priced(vec![flat("token", "1")]));
    take(&mut meter, &call(&units(&[("token", "5")])));
    let before = meter.state();
    for wrong in [
        -Decimal::ONE,
        Decimal::MAX,
        Decimal::from_i128_with_scale(1, 20),
    ] {
        let units = CallUnits::Known(BTreeMap::from([("token".to_owned(), wrong)]));
        assert!(meter.take(&call(&units)).is_err(), "{wrong}");
    }
    let most = units(&[("token", "999999999999999")]);
    assert!(meter.take(&call(&most)).is_err());
    assert_eq!(meter.state(), before);
}

#[test]
fn sums_of_calls_restore_what_tiers_have_counted() {
    let tiers = Tiers {
        allowance: Some(Allowance {
            quantity: decimal("1000"),
            place: AllowancePlace::BeforeTiers,
        }),
        ..Tiers::flat(decimal("0.01"), Decimal::ONE)
    };
    let mut list = priced(vec![
        price("token", Charge::Tiers(tiers)),
        flat("call", "0.5"),
    ]);
    list.versions[0].prices[1].guard.status = Some(StatusSet::parse(["2xx"]).unwrap());
    let mut single = meter(list.clone());
    let units = units(&[("token", "300")]);
    for status in [200, 200, 201, 404] {
        let status = Some(status);
        take(
            &mut single,
            &MeteredCall {
                status,
                ..call(&units)
            },
        );
    }
    let mut restored = meter(list);
    for (status, calls) in [(200, 3), (400, 1)] {
        let token = decimal("300") * Decimal::from(calls);
        let group = CallGroup {
            ts_ms: ms("2026-01-31T23:59:00Z"),
            method: "GET".to_owned(),
            route: "/".to_owned(),
            status: Some(status),
            ended: CallEnd::Complete,
            units: BTreeMap::from([("token".to_owned(), token)]),
            calls,
            attempts: calls,
            bytes_in: 0,
            bytes_out: 0,
        };
        restored.recall(&group).unwrap();
    }
    let prices = |meter: &CycleMeter| -> Vec<Bounds> { meter.cycles().map(|it| it.2).collect() };
    assert_eq!(prices(&restored), prices(&single));
    let next = take(&mut single, &call(&units));
    assert_eq!(take(&mut restored, &call(&units)), next);
    assert_eq!(next, bounds("3.5", "3.5"));
}

//! A month worked by hand: 15 March to 14 April 2026 in Berlin, 31 days, of which one has 23 hours.
//!
//! Messages are free up to 1,000, cost 0.0075 up to 5,000 and 0.005 above. Lookups cost 0.01 if
//! they find something, payments 1.4 % and 0.25. The plan costs 30.00 a month, from April on 45.00.
//! Usage is free up to 10.00. Each line is rounded.
//!
//! | line | at least | at most |
//! |---|---|---|
//! | 5,250 messages: 4,000 x 0.0075 + 250 x 0.005; 20 of two failed attempts | 31.25 | 31.35 |
//! | 120 lookups that found something, 30 that did not, 2 time-outs | 1.20 | 1.22 |
//! | 0.81 + 0.425 + 1.64986 = 2.88486 | 2.88 | 2.88 |
//! | credit | -10.00 | -10.00 |
//! | used | 25.33 | 25.45 |
//! | 30.00 x 17 / 31 = 16.4516… | 16.45 | 16.45 |
//! | 45.00 x 14 / 31 = 20.3225… | 20.32 | 20.32 |
//! | owed | 62.10 | 62.22 |

use rust_decimal::Decimal;

use super::lists::*;
use crate::domain::CallEnd;
use crate::domain::cost::*;

fn on_route(mut price: Price, route: &str) -> Price {
    price.guard.routes = vec![route.to_owned()];
    price
}

fn plan(from: Option<&str>, monthly: &str) -> PriceVersion {
    let tier = |up_to: Option<&str>, amount: &str| Tier {
        up_to: up_to.map(decimal),
        price: decimal(amount),
    };
    let messages = Tiers {
        tiers: vec![
            tier(Some("1000"), "0"),
            tier(Some("5000"), "0.0075"),
            tier(None, "0.005"),
        ],
        ..Tiers::flat(Decimal::ZERO, Decimal::ONE)
    };
    let mut lookups = on_route(flat("call", "0.01"), "/lookups/*");
    lookups.guard.status = Some(StatusSet::parse(["2xx"]).unwrap());
    let payments = Percent {
        percent: decimal("1.4"),
        plus: decimal("0.25"),
        minimum: None,
        maximum: None,
    };
    PriceVersion {
        from: from.map(|day| day.parse().unwrap()),
        prices: vec![
            on_route(price("message", Charge::Tiers(messages)), "/messages"),
            lookups,
            on_route(price("amount", Charge::Percent(payments)), "/payments"),
        ],
        fee: Some(Fee {
            amount: decimal(monthly),
            discount: Decimal::ZERO,
        }),
        credit: Some(decimal("10.00")),
        commitment: None,
    }
}

fn golden_list() -> PriceList {
    PriceList {
        currency: Currency::parse("EUR").unwrap(),
        cycle: Cycle {
            day: 15,
            zone: "Europe/Berlin".parse().unwrap(),
        },
        rounding: Rounding {
            at: RoundAt::Line,
            mode: RoundMode::HalfUp,
            digits: 2,
        },
        contract_from: None,
        prorates: true,
        versions: vec![plan(None, "30.00"), plan(Some("2026-04-01"), "45.00")],
    }
}

#[test]
fn a_month_comes_out_as_worked_by_hand() {
    let list = golden_list();
    let mut meter = meter(list.clone());
    let mut spent = Bounds::default();
    let mut count = |meter: &mut CycleMeter, call: MeteredCall<'_>| {
        spent = spent.plus(take(meter, &call)).unwrap();
    };
    let ten = units(&[("message", "10")]);
    let message = MeteredCall {
        route: "/messages",
        ..call(&ten)
    };
    // 3,000 before the change of the plan, 2,250 behind it; the first and the last possible moment.
    for (moment, calls) in [
        ("2026-03-14T23:00:00Z", 100),
        ("2026-03-29T01:30:00Z", 200),
        ("2026-03-31T22:00:00Z", 124),
        ("2026-04-14T21:59:59.999Z", 100),
    ] {
        for _ in 0..calls {
            let ts_ms = ms(moment);
            count(&mut meter, MeteredCall { ts_ms, ..message });
        }
    }
    count(
        &mut meter,
        MeteredCall {
            ts_ms: ms("2026-04-02T10:00:00Z"),
            attempts: 3,
            ..message
        },
    );
    let none = units(&[]);
    let lookup = MeteredCall {
        ts_ms: ms("2026-04-02T10:00:00Z"),
        route: "/lookups/{id}",
        ..call(&none)
    };
    for (status, calls) in [(Some(200), 120), (Some(404), 30), (None, 2)] {
        for _ in 0..calls {
            let ended = match status {
                Some(_) => CallEnd::Complete,
                None => CallEnd::Timeout,
            };
            let lookup = MeteredCall {
                status,
                ended,
                ..lookup
            };
            count(&mut meter, lookup);
        }
    }
    for amount in ["40.00", "12.50", "99.99"] {
        let paid = units(&[("amount", amount)]);
        let payment = MeteredCall {
            ts_ms: ms("2026-03-20T10:00:00Z"),
            route: "/payments",
            ..call(&paid)
        };
        count(&mut meter, payment);
    }
    // The first moment of the next cycle.
    let next = MeteredCall {
        ts_ms: ms("2026-04-14T22:00:00Z"),
        ..message
    };
    take(&mut meter, &next);

    let (span, state, price) = meter.cycles().next().unwrap();
    assert_eq!((span.label().as_str(), span.days()), ("2026-03-15", 31));
    assert_eq!((span.until_ms - span.from_ms) / 3_600_000, 31 * 24 - 1);
    let bill = list.bill(span, state, YearToDate::default()).unwrap();
    let bounds = |low, high| Bounds {
        low: decimal(low),
        high: decimal(high),
    };
    assert_eq!(bill.used, bounds("25.33", "25.45"));
    assert_eq!(bill.owed, bounds("62.10", "62.22"));
    assert_eq!(spent, price);
    let fees = bill.lines.iter().filter(|line| line.kind == LineKind::Fee);
    let fees: Vec<(&str, Decimal)> = fees
        .map(|line| (line.name.as_str(), line.amount.low))
        .collect();
    assert_eq!(
        fees,
        [
            ("monthly, 17 of 31 days", decimal("16.45")),
            ("monthly, 14 of 31 days", decimal("20.32"))
        ]
    );
}

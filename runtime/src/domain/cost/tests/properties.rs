//! Properties, held against integers of 128 bits.

use chrono::{Datelike, NaiveDate};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::lists::*;
use crate::domain::cost::*;
use crate::domain::{CallEnd, CallUnits};

const ZONES: [&str; 8] = [
    "UTC",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Havana",
];

/// Widths of tiers in thousandths, and prices in millionths; the last one has no end.
fn tiers() -> impl Strategy<Value = (Vec<(i64, i64)>, i64, bool)> {
    let tier = (1..2_000_000_i64, 0..5_000_000_i64);
    (
        prop::collection::vec(tier, 0..5),
        0..5_000_000_i64,
        any::<bool>(),
    )
}

fn build((bounded, last, is_volume): &(Vec<(i64, i64)>, i64, bool)) -> Tiers {
    let mut end = 0;
    let mut tiers: Vec<Tier> = Vec::new();
    for (width, price) in bounded {
        end += width;
        tiers.push(Tier {
            up_to: Some(Decimal::new(end, 3)),
            price: Decimal::new(*price, 6),
        });
    }
    tiers.push(Tier {
        up_to: None,
        price: Decimal::new(*last, 6),
    });
    Tiers {
        mode: if *is_volume {
            TierMode::Volume
        } else {
            TierMode::Graduated
        },
        tiers,
        ..Tiers::flat(Decimal::ZERO, Decimal::ONE)
    }
}

/// Returns the amount in billionths.
fn by_integers((bounded, last, is_volume): &(Vec<(i64, i64)>, i64, bool), quantity: i64) -> i128 {
    let (mut from, mut sum) = (0_i64, 0_i128);
    for (width, price) in bounded {
        let end = from + width;
        if *is_volume && quantity <= end {
            return i128::from(quantity) * i128::from(*price);
        }
        let part = quantity.min(end) - from;
        sum += i128::from(part.max(0)) * i128::from(*price);
        from = end;
    }
    if *is_volume {
        return i128::from(quantity) * i128::from(*last);
    }
    sum + i128::from((quantity - from).max(0)) * i128::from(*last)
}

/// A call whose end may be anything.
fn calls() -> impl Strategy<Value = Vec<(i64, Option<u16>, u32, bool)>> {
    let status = prop_oneof![
        4 => Just(Some(200)),
        1 => Just(Some(404)),
        1 => Just(Some(503)),
        1 => Just(None),
    ];
    prop::collection::vec((0..400_000_i64, status, 1..4_u32, any::<bool>()), 1..40)
}

proptest! {
    #[test]
    fn tiers_agree_with_integers(tiers in tiers(), quantity in 0..20_000_000_i64) {
        let amount = build(&tiers).amount(Decimal::new(quantity, 3)).unwrap();
        let whole = Decimal::from_i128_with_scale(by_integers(&tiers, quantity), 9);
        prop_assert_eq!(amount, whole);
    }

    #[test]
    fn more_never_costs_less_by_graduated_tiers(
        (bounded, last, _) in tiers(), one in 0..20_000_000_i64, more in 0..5_000_000_i64,
        allowance in 0..2_000_i64, inside in any::<bool>(), whole_blocks in any::<bool>(), per in 1..500_i64,
    ) {
        let tiers = Tiers {
            per: Decimal::from(per),
            whole_blocks,
            allowance: Some(Allowance {
                quantity: Decimal::from(allowance),
                place: if inside { AllowancePlace::InsideTiers } else { AllowancePlace::BeforeTiers },
            }),
            ..build(&(bounded, last, false))
        };
        let less = tiers.amount(Decimal::new(one, 3)).unwrap();
        let greater = tiers.amount(Decimal::new(one + more, 3)).unwrap();
        prop_assert!(less <= greater);
        if one <= allowance * 1_000 {
            prop_assert!(less.is_zero());
        }
    }

    #[test]
    fn every_amount_between_two_quantities_lies_within_their_bounds(
        tiers in tiers(), low in 0..8_000_000_i64, more in 0..4_000_000_i64, share in 0..=1_000_i64,
    ) {
        let tiers = build(&tiers);
        let bounds = tiers.bounds(Bounds {
            low: Decimal::new(low, 3),
            high: Decimal::new(low + more, 3),
        }).unwrap();
        let between = tiers.amount(Decimal::new(low + more * share / 1_000, 3)).unwrap();
        prop_assert!((bounds.low..=bounds.high).contains(&between), "{:?} {}", bounds, between);
    }

    #[test]
    fn costs_of_calls_add_up_to_the_price_of_their_sum(
        tiers in tiers(), calls in calls(), credit in 0..500_i64, per in 1..7_i64,
    ) {
        let tiers = Tiers { per: Decimal::from(per), ..build(&tiers) };
        let mut list = priced(vec![price("token", Charge::Tiers(tiers)), flat("call", "0.0123")]);
        list.versions[0].credit = Some(Decimal::new(credit, 2));
        let mut meter = meter(list.clone());
        let mut sum = Bounds::default();
        for (quantity, status, attempts, is_cut) in calls {
            let amounts = [("token".to_owned(), Decimal::new(quantity, 3))].into();
            let units = if is_cut { CallUnits::AtLeast(amounts) } else { CallUnits::Known(amounts) };
            let ended = if is_cut { CallEnd::Cancelled } else { CallEnd::Complete };
            let call = MeteredCall { status, attempts, ended, ..call(&units) };
            sum = sum.plus(take(&mut meter, &call)).unwrap();
        }
        let (span, state, price) = meter.cycles().next().unwrap();
        prop_assert_eq!(sum, price);
        prop_assert!(price.low <= price.high);
        let mut unrounded = list.clone();
        unrounded.rounding.at = RoundAt::None;
        let bill = unrounded.bill(span, state, YearToDate::default()).unwrap();
        prop_assert_eq!(bill.used, price);
        prop_assert!(price.high.scale() <= MAX_SCALE);
    }

    #[test]
    fn rounding_agrees_with_integers(amount in -9_000_000_000_i64..9_000_000_000, digits in 0..6_u32) {
        let rounding = Rounding { at: RoundAt::Total, mode: RoundMode::HalfUp, digits };
        let unit = 10_i64.pow(6 - digits);
        let away = (amount.abs() + unit / 2) / unit * amount.signum();
        let found = rounding.round(Decimal::new(amount, 6));
        // Without a digit to cut, nothing is rounded.
        let away = if unit == 1 { amount } else { away };
        prop_assert_eq!(found, Decimal::new(away, digits));
    }

    #[test]
    fn cycles_adjoin_and_hold_their_moments(
        ts_ms in 0..7_000_000_000_000_i64, day in 1..=31_u8, zone in prop::sample::select(&ZONES),
    ) {
        let cycle = Cycle { day, zone: zone.parse().unwrap() };
        let span = cycle.around(ts_ms).unwrap();
        prop_assert!(span.contains(ts_ms));
        prop_assert!((28..=31).contains(&span.days()));
        let next = cycle.next(&span).unwrap();
        prop_assert_eq!(next.from_ms, span.until_ms);
        prop_assert_eq!(next.first_day, span.end_day);
        prop_assert_eq!(cycle.around(span.until_ms - 1).unwrap(), span);
        if span.from_ms > 0 {
            prop_assert_eq!(cycle.around(span.from_ms).unwrap(), span);
        }
        // The anchor does not drift: it is the same day in every month, or the month's last.
        let first = span.first_day;
        let is_last = first.succ_opt().unwrap().day() == 1;
        prop_assert!(first.day() == u32::from(day) || is_last);
    }

    #[test]
    fn parts_of_a_fee_add_up_to_the_fee(cents in 0..10_000_000_i64, change in 1..=31_u32) {
        let fee = |from| PriceVersion {
            from,
            fee: Some(Fee { amount: Decimal::new(cents, 2), discount: Decimal::ZERO }),
            ..PriceVersion::default()
        };
        let mut list = list(fee(None));
        list.rounding.at = RoundAt::None;
        list.prorates = true;
        list.versions.push(fee(NaiveDate::from_ymd_opt(2026, 1, change)));
        let bill = bill(&list, "2026-01-10", &[]);
        let parts: Vec<Decimal> = bill.lines.iter().map(|line| line.amount.low).collect();
        let whole = Decimal::new(cents, 2);
        prop_assert!((bill.owed.low - whole).abs() <= Decimal::new(1, 12), "{}", bill.owed.low);
        if change > 1 {
            let days = i128::from(change - 1);
            let by_integers = i128::from(cents) * days * 10_000_000_000 / 31;
            let first = parts[0] - Decimal::from_i128_with_scale(by_integers, 12);
            prop_assert!(first.abs() <= Decimal::new(1, 12));
        }
    }

    #[test]
    fn no_quantity_makes_it_panic(
        low in any::<u32>(), middle in any::<u32>(), high in any::<u32>(), negative in any::<bool>(),
        scale in 0..=28_u32, bytes in any::<u64>(), attempts in any::<u32>(), tiers in tiers(),
    ) {
        let quantity = Decimal::from_parts(low, middle, high, negative, scale);
        let percent = Percent {
            percent: decimal("2.9"),
            plus: decimal("0.30"),
            minimum: None,
            maximum: None,
        };
        let list = priced(vec![
            price("token", Charge::Tiers(build(&tiers))),
            price("amount", Charge::Percent(percent)),
            flat("call", "999999999999"),
            flat(Price::BYTES_OUT, "0.000000000001"),
        ]);
        let mut meter = meter(list);
        let units = CallUnits::Known([("token".to_owned(), quantity), ("amount".to_owned(), quantity)].into());
        for status in [Some(200), None, Some(500)] {
            let call = MeteredCall { status, attempts, bytes_out: bytes, ..call(&units) };
            let _ = meter.take(&call);
        }
    }
}

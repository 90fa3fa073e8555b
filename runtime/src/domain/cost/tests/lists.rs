//! Price lists and calls, as tests write them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::domain::cost::*;
use crate::domain::{CacheUse, CallEnd, CallUnits, UnixMillis};

pub(super) fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

pub(super) fn ms(text: &str) -> UnixMillis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

pub(super) fn list(version: PriceVersion) -> PriceList {
    PriceList {
        currency: Currency::parse("USD").unwrap(),
        cycle: Cycle::default(),
        rounding: Rounding {
            at: RoundAt::Total,
            mode: RoundMode::HalfUp,
            digits: 2,
        },
        contract_from: None,
        prorates: false,
        versions: vec![version],
    }
}

pub(super) fn price(unit: &str, charge: Charge) -> Price {
    Price {
        name: unit.to_owned(),
        unit: unit.to_owned(),
        guard: Guard::default(),
        charge,
        most_per_call: None,
    }
}

pub(super) fn flat(unit: &str, amount: &str) -> Price {
    price(
        unit,
        Charge::Tiers(Tiers::flat(decimal(amount), Decimal::ONE)),
    )
}

pub(super) fn priced(prices: Vec<Price>) -> PriceList {
    list(PriceVersion {
        prices,
        ..PriceVersion::default()
    })
}

pub(super) fn units(amounts: &[(&str, &str)]) -> CallUnits {
    let amounts = amounts.iter();
    CallUnits::Known(
        amounts
            .map(|(unit, amount)| ((*unit).to_owned(), decimal(amount)))
            .collect(),
    )
}

/// A call in January 2026 that was answered.
pub(super) fn call(units: &CallUnits) -> MeteredCall<'_> {
    static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();
    MeteredCall {
        ts_ms: ms("2026-01-10T12:00:00Z"),
        method: "GET",
        route: "/",
        status: Some(200),
        units,
        bytes_in: 0,
        bytes_out: 0,
        attempts: 1,
        cache: CacheUse::None,
        ended: CallEnd::Complete,
        tags: &NO_TAGS,
    }
}

pub(super) fn take(meter: &mut CycleMeter, call: &MeteredCall<'_>) -> Bounds {
    let cost = meter.take(call).unwrap().unwrap();
    Bounds {
        low: cost.min,
        high: cost.max,
    }
}

/// State of a cycle that certainly used so much of each price.
pub(super) fn state(span: &CycleSpan, version: &PriceVersion, used: &[(&str, &str)]) -> CycleState {
    let sums = used.iter().map(|(price, quantity)| {
        let quantity = Bounds::exactly(decimal(quantity));
        let sums = Sums {
            quantity,
            ..Sums::default()
        };
        ((*price).to_owned(), sums)
    });
    CycleState {
        from_ms: span.from_ms,
        used: BTreeMap::from([(version.key(), sums.collect())]),
    }
}

pub(super) fn bill(list: &PriceList, day: &str, used: &[(&str, &str)]) -> Bill {
    let span = list.cycle.around(ms(&format!("{day}T12:00:00Z"))).unwrap();
    let state = state(&span, list.version_of(&span), used);
    list.bill(&span, &state, YearToDate::default()).unwrap()
}

pub(super) fn meter(list: PriceList) -> CycleMeter {
    CycleMeter::new(Arc::new(list))
}

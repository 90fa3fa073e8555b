//! Tests of what a budget comes to.

use super::*;
use crate::domain::cost::{
    BudgetScope, Charge, Currency, Fee, Guard, Price, PriceVersion, RoundAt, RoundMode, Rounding,
    Tiers,
};
use crate::domain::{CacheUse, CallEnd, CallSource, TotalFigures, TotalKey};

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

fn ms(text: &str) -> UnixMillis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn budget(per: BudgetPeriod, scope: BudgetScope) -> Arc<CostBudget> {
    Arc::new(CostBudget {
        slug: "b".to_owned(),
        name: "B".to_owned(),
        amount: decimal("100"),
        currency: Currency::parse("EUR").unwrap(),
        per,
        scope,
        alert_at: vec![decimal("80")],
        alerts_on_forecast: true,
    })
}

fn total(service: &str, at: &str, currency: Option<&str>, cost: &str) -> UsageTotal {
    UsageTotal {
        key: TotalKey {
            minute_ms: ms(at),
            service: service.to_owned(),
            consumer: None,
            method: "GET".to_owned(),
            route: "/a".to_owned(),
            status_class: None,
            cache: CacheUse::None,
            source: CallSource::Api,
            ended: CallEnd::Complete,
            currency: currency.map(str::to_owned),
            unit: None,
        },
        figures: TotalFigures {
            calls: 2,
            cost_min: decimal(cost),
            cost_max: decimal(cost) + Decimal::ONE,
            ..TotalFigures::default()
        },
    }
}

/// A fee of nine euros a month.
fn list() -> Arc<PriceList> {
    Arc::new(PriceList {
        currency: Currency::parse("EUR").unwrap(),
        cycle: Cycle::default(),
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
            commitment: None,
        }],
    })
}

fn catalog() -> Catalog {
    Catalog {
        prices: BTreeMap::from([("a".to_owned(), list())]),
        ..Catalog::default()
    }
}

#[test]
fn costs_of_the_period_in_the_currency_are_used_and_others_are_calls_without_a_price() {
    let services = BudgetScope {
        services: vec!["a".to_owned(), "b".to_owned()],
        ..BudgetScope::default()
    };
    let mut account = BudgetAccount::new(budget(BudgetPeriod::Day, services), &catalog());
    for total in [
        total("a", "2026-11-15T00:00:00Z", Some("EUR"), "30"),
        total("b", "2026-11-15T11:59:00Z", Some("EUR"), "20.25"),
        total("b", "2026-11-15T11:59:00Z", Some("USD"), "1000"),
        total("b", "2026-11-15T11:59:00Z", None, "0"),
        total("c", "2026-11-15T11:59:00Z", Some("EUR"), "1000"),
        total("a", "2026-11-14T23:59:00Z", Some("EUR"), "1000"),
        total("a", "2026-11-16T00:00:00Z", Some("EUR"), "1000"),
    ] {
        account.count(&total);
    }
    let figures = account.figures(ms("2026-11-15T12:00:00Z")).unwrap();
    assert_eq!(
        (figures.used.low, figures.used.high, figures.fees),
        (decimal("50.25"), decimal("52.25"), Decimal::ZERO)
    );
    assert_eq!((figures.priced, figures.unpriced), (4, 4));
    assert_eq!(figures.share(account.budget()), decimal("50.25"));
    assert_eq!(figures.state(account.budget()), BudgetState::Within);
}

#[test]
fn fees_of_whole_services_are_used_from_the_beginning_of_the_cycle() {
    let now_ms = ms("2026-11-02T00:00:00Z");
    let of_all = BudgetAccount::new(
        budget(BudgetPeriod::Month, BudgetScope::default()),
        &catalog(),
    );
    let figures = of_all.figures(now_ms).unwrap();
    assert_eq!(
        (figures.used.low, figures.fees),
        (decimal("9"), decimal("9"))
    );
    let scope = BudgetScope {
        routes: vec!["/a".to_owned()],
        ..BudgetScope::default()
    };
    let of_route = BudgetAccount::new(budget(BudgetPeriod::Month, scope), &catalog());
    assert_eq!(of_route.figures(now_ms).unwrap().used.low, Decimal::ZERO);
}

#[test]
fn a_forecast_above_the_amount_is_a_risk_with_the_day_on_which_it_is_used_up() {
    let mut account = BudgetAccount::new(
        budget(BudgetPeriod::Month, BudgetScope::default()),
        &catalog(),
    );
    for day in 1..=10 {
        let at = format!("2026-11-{day:02}T10:00:00Z");
        account.count(&total("a", &at, Some("EUR"), "4"));
    }
    let now_ms = ms("2026-11-11T00:00:00Z");
    let figures = account.figures(now_ms).unwrap();
    // Forty and the fee so far, four a day for twenty more days.
    assert_eq!(figures.used.low, decimal("49"));
    assert_eq!(figures.forecast.as_ref().unwrap().likely, decimal("129"));
    assert_eq!(figures.state(account.budget()), BudgetState::AtRisk);
    // 51 are left: twelve days and three quarters of one.
    assert_eq!(figures.used_up_ms, Some(ms("2026-11-23T18:00:00Z")));

    account.count(&total("a", "2026-11-11T00:00:00Z", Some("EUR"), "51"));
    let figures = account.figures(now_ms).unwrap();
    assert_eq!(figures.state(account.budget()), BudgetState::Exceeded);
    assert_eq!(figures.used_up_ms, None);
}

#[test]
fn days_that_nothing_looks_at_are_forgotten() {
    let mut account = BudgetAccount::new(
        budget(BudgetPeriod::Month, BudgetScope::default()),
        &catalog(),
    );
    for at in ["2026-08-01T00:00:00Z", "2026-11-01T00:00:00Z"] {
        account.count(&total("a", at, Some("EUR"), "4"));
    }
    account.forget_before(ms("2026-11-30T00:00:00Z"));
    assert_eq!(account.days.len(), 1);
    let (from_ms, span) = account.range(ms("2026-11-30T12:00:00Z")).unwrap();
    assert_eq!(span.from_ms, ms("2026-11-01T00:00:00Z"));
    assert_eq!(from_ms, ms("2026-11-01T00:00:00Z"));
    let (from_ms, _) = account.range(ms("2026-11-05T12:00:00Z")).unwrap();
    assert_eq!(from_ms, ms("2026-10-07T00:00:00Z"));
}

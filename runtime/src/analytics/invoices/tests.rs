use super::*;
use crate::analytics::tests::{decimal, list, ms, sum as usage};

/// November 2026, a cycle of the list.
fn invoice(billed: &str) -> InvoiceSum {
    InvoiceSum {
        invoice: "INV-1".to_owned(),
        service: "a".to_owned(),
        currency: "EUR".to_owned(),
        from_ms: ms("2026-11-01T00:00:00Z"),
        until_ms: ms("2026-12-01T00:00:00Z"),
        lines: 1,
        billed: decimal(billed),
        together: 1,
        billed_together: decimal(billed),
        tax: Decimal::ZERO,
        imported_ms: 0,
    }
}

fn on_day(mut usage: UsageSum, day: &str) -> UsageSum {
    usage.key.day = Some(ms(day) / 86_400_000);
    usage
}

fn eur(low: &str, high: &str) -> UsageSum {
    on_day(
        usage("a", Some("EUR"), 10, low, high),
        "2026-11-01T00:00:00Z",
    )
}

#[test]
fn what_is_billed_is_compared_with_usage_and_fees_of_the_cycle() {
    let list = list("UTC");
    // Nine euros a month, and a hundred at least.
    for (billed, low, high, drift, percent) in [
        ("209", "200", "200", "0", "0"),
        ("211", "200", "202.5", "0", "0"),
        ("250", "200", "202.5", "38.5", "15.4"),
        ("200", "200", "202.5", "-9", "-4.5"),
        ("109", "1", "1", "0", "0"),
    ] {
        let found = compared(
            invoice(billed),
            &[eur(low, high)],
            Some(&list),
            Decimal::ZERO,
        );
        assert_eq!(
            (found.drift, found.drift_percent),
            (decimal(drift), Some(decimal(percent))),
            "{billed} {low} {high}"
        );
    }
    // Two invoices of a period, one of which would be far too little.
    let one_of_two = InvoiceSum {
        together: 2,
        billed_together: decimal("211"),
        ..invoice("100")
    };
    let found = compared(
        one_of_two,
        &[eur("200", "202.5")],
        Some(&list),
        Decimal::ZERO,
    );
    assert_eq!(found.drift, Decimal::ZERO);
    assert!(found.reasons.contains(&DriftReason::Together(2)));
    let nothing = compared(invoice("0"), &[], None, Decimal::ZERO);
    assert_eq!(
        (nothing.drift, nothing.drift_percent),
        (Decimal::ZERO, None)
    );
}

#[test]
fn what_may_explain_a_difference_is_said() {
    let list = list("UTC");
    let kinds = |sum: InvoiceSum, usage: &[UsageSum], list: Option<&PriceList>| -> Vec<&str> {
        let found = compared(sum, usage, list, Decimal::ZERO);
        found.reasons.iter().map(DriftReason::kind).collect()
    };
    let first = "2026-11-01T00:00:00Z";
    let all = [
        on_day(usage("a", None, 7, "0", "0"), first),
        on_day(usage("a", Some("USD"), 3, "1", "1"), first),
        eur("10", "12"),
    ];
    assert_eq!(
        kinds(invoice("20"), &all, Some(&list)),
        ["unpriced", "otherCurrency", "uncertain"]
    );
    assert_eq!(kinds(invoice("20"), &[], None), ["noPriceList", "noCalls"]);
    let late = [on_day(eur("1", "1"), "2026-11-03T00:00:00Z")];
    let half = InvoiceSum {
        until_ms: ms("2026-11-15T00:00:00Z"),
        ..invoice("20")
    };
    assert_eq!(kinds(half, &late, Some(&list)), ["countedSince", "noFees"]);
    let found = compared(invoice("20"), &late, Some(&list), Decimal::ZERO);
    let text = found.reasons[0].detail();
    assert_eq!(text, "no calls of the period are counted before 2026-11-03");
}

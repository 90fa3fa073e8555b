//! What vendors say that they bill: the time that is asked for, and the lines of the invoice that
//! the figures become.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InvoiceLine, USAGE_CATEGORY, UnixMillis};

/// Days of a month on which the month before is read once more: vendors correct the last days.
const LATE_DAYS: i8 = 5;

/// Meter that reads what the vendor of a service bills. Settings may hold secrets: printed as `***`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VendorMeter {
    /// Unique among the meters of its service.
    pub name: String,
    pub plugin: String,
    /// JSON object that the plugin has accepted.
    pub settings: Value,
    pub interval: Duration,
}

impl std::fmt::Debug for VendorMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            plugin,
            interval,
            settings: _,
        } = self;
        f.debug_struct("VendorMeter")
            .field("name", name)
            .field("plugin", plugin)
            .field("interval", interval)
            .finish()
    }
}

/// Whole days of a month of UTC that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterSpan {
    /// e.g. `2026-11`
    pub month: String,
    pub from_ms: UnixMillis,
    /// First moment behind it.
    pub until_ms: UnixMillis,
}

impl MeterSpan {
    /// Returns the id of the invoice that a reading of the month is, the same for each reading.
    pub fn invoice_id(&self, service: &str, meter: &str) -> String {
        format!("{service}.{meter}.{}", self.month)
    }
}

/// An amount that the vendor bills for a part of the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeterFigure {
    /// Vendor's name of what is billed.
    pub name: String,
    pub quantity: Option<Decimal>,
    /// Unit of the quantity; may be empty.
    pub unit: String,
    pub amount: Decimal,
    /// ISO 4217
    pub currency: String,
}

/// Returns what is read now: the days of this month that are over, and in its first days the month
/// before.
pub fn meter_spans(now_ms: UnixMillis) -> Vec<MeterSpan> {
    let Ok(now) = Timestamp::from_millisecond(now_ms) else {
        return Vec::new();
    };
    let today = now.to_zoned(TimeZone::UTC).date();
    let first = today.first_of_month();
    let before = first.yesterday().ok().map(Date::first_of_month);
    let before = before.filter(|_| today.day() <= LATE_DAYS);
    let spans = [before.map(|before| (before, first)), Some((first, today))];
    spans
        .into_iter()
        .flatten()
        .filter(|(from, until)| from < until)
        .filter_map(|(from, until)| {
            Some(MeterSpan {
                month: from.strftime("%Y-%m").to_string(),
                from_ms: midnight_ms(from)?,
                until_ms: midnight_ms(until)?,
            })
        })
        .collect()
}

fn midnight_ms(day: Date) -> Option<UnixMillis> {
    let zoned = day.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// Amount and quantity of one name in one currency.
struct Sum<'a> {
    amount: Decimal,
    /// None: the units differ, or not all have a quantity.
    quantity: Option<(Decimal, &'a str)>,
}

/// Returns the lines of the invoice that the figures of a span are: one for each name and currency,
/// each for the whole span.
pub fn meter_lines(
    service: &str,
    meter: &str,
    span: &MeterSpan,
    figures: &[MeterFigure],
    now_ms: UnixMillis,
) -> Result<Vec<InvoiceLine>, String> {
    let mut sums: BTreeMap<(&str, &str), Sum<'_>> = BTreeMap::new();
    for figure in figures {
        let quantity = figure.quantity.map(|count| (count, figure.unit.as_str()));
        let key = (figure.name.as_str(), figure.currency.as_str());
        let Some(sum) = sums.get_mut(&key) else {
            let amount = figure.amount;
            sums.insert(key, Sum { amount, quantity });
            continue;
        };
        sum.amount = sum
            .amount
            .checked_add(figure.amount)
            .ok_or_else(|| format!("the amounts of `{}` are too large", figure.name))?;
        sum.quantity = match (sum.quantity, quantity) {
            (Some((one, unit)), Some((other, same))) if unit == same => {
                one.checked_add(other).map(|sum| (sum, unit))
            }
            _ => None,
        };
    }
    let lines = (1_i64..).zip(sums);
    let lines = lines.map(|(line, ((name, currency), sum))| InvoiceLine {
        invoice: span.invoice_id(service, meter),
        line,
        service: service.to_owned(),
        name: match sum.quantity {
            Some((count, unit)) => format!("{name}: {} {unit}", count.normalize())
                .trim_end()
                .to_owned(),
            None => name.to_owned(),
        },
        category: USAGE_CATEGORY.to_owned(),
        from_ms: span.from_ms,
        until_ms: span.until_ms,
        amount: sum.amount,
        currency: currency.to_owned(),
        imported_ms: now_ms,
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(now: &str) -> Vec<(String, String, String)> {
        let now: Timestamp = now.parse().unwrap();
        let text = |ms| Timestamp::from_millisecond(ms).unwrap().to_string();
        meter_spans(now.as_millisecond())
            .into_iter()
            .map(|span| (span.month, text(span.from_ms), text(span.until_ms)))
            .collect()
    }

    #[test]
    fn days_that_are_over_are_read_and_in_the_first_days_the_month_before() {
        let span = |month: &str, from: &str, until: &str| {
            let midnight = |day: &str| format!("{day}T00:00:00Z");
            (month.to_owned(), midnight(from), midnight(until))
        };
        let november = span("2026-11", "2026-11-01", "2026-12-01");
        assert_eq!(
            spans("2026-12-01T14:00:00Z"),
            std::slice::from_ref(&november)
        );
        assert_eq!(
            spans("2026-12-05T23:59:59Z"),
            [november, span("2026-12", "2026-12-01", "2026-12-05")]
        );
        assert_eq!(
            spans("2027-01-06T00:00:00Z"),
            [span("2027-01", "2027-01-01", "2027-01-06")]
        );
    }

    #[test]
    fn figures_of_one_name_and_currency_are_one_line_of_the_whole_span() {
        let figure = |name: &str, amount: &str, quantity: Option<&str>, unit: &str| MeterFigure {
            name: name.to_owned(),
            quantity: quantity.map(|text| Decimal::from_str_exact(text).unwrap()),
            unit: unit.to_owned(),
            amount: Decimal::from_str_exact(amount).unwrap(),
            currency: "USD".to_owned(),
        };
        let span = MeterSpan {
            month: "2026-11".to_owned(),
            from_ms: 1_793_491_200_000,
            until_ms: 1_796_083_200_000,
        };
        let figures = [
            figure("sms", "0.1", Some("2"), "messages"),
            figure("calls", "3", Some("1"), "minutes"),
            figure("sms", "0.2", Some("4"), "messages"),
            figure("calls", "-1", Some("9"), "seconds"),
        ];
        let lines = meter_lines("pay", "usage", &span, &figures, 7).unwrap();
        let shown: Vec<(i64, &str, String)> = lines
            .iter()
            .map(|line| (line.line, line.name.as_str(), line.amount.to_string()))
            .collect();
        assert_eq!(
            shown,
            [
                (1, "calls", "2".to_owned()),
                (2, "sms: 6 messages", "0.3".to_owned())
            ]
        );
        assert!(lines.iter().all(|line| {
            line.invoice == "pay.usage.2026-11"
                && (line.from_ms, line.until_ms) == (span.from_ms, span.until_ms)
        }));
    }
}

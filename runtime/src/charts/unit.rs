//! Units of values, and how a value is written in them.

use super::words::latency;

/// Unit of the values of a chart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit<'a> {
    Micros,
    Count,
    /// Share, 0 to 1.
    Percent,
    /// Money in a currency.
    Amount(&'a str),
}

impl Unit<'_> {
    /// Value as it stands in a sentence: `84 ms`, `1.2 k`, `99.86 %`, `12.40 EUR`.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Unit::Micros => latency(value.max(0.0).round() as u64),
            Unit::Count => compact(value),
            Unit::Percent => format!("{:.2} %", hundredths(value)),
            Unit::Amount(currency) if value.abs() < 10_000.0 => format!("{value:.2} {currency}"),
            Unit::Amount(currency) => format!("{} {currency}", compact(value)),
        }
    }

    /// Value as it stands at an axis.
    pub(super) fn tick(self, value: f64) -> String {
        match self {
            _ if value == 0.0 => "0".to_owned(),
            Unit::Percent => format!("{} %", short(hundredths(value))),
            Unit::Amount(currency) => format!("{} {currency}", compact(value)),
            Unit::Micros | Unit::Count => self.text(value),
        }
    }

    /// The least upper end of an axis.
    pub(super) fn least(self) -> f64 {
        match self {
            Unit::Micros => 1_000.0,
            Unit::Count => 1.0,
            Unit::Percent | Unit::Amount(_) => 0.01,
        }
    }
}

/// Rounded down, as percentages are everywhere; the little that binary fractions lack is given back.
fn hundredths(share: f64) -> f64 {
    (share * 10_000.0 + 1e-6).floor() / 100.0
}

fn compact(value: f64) -> String {
    match value.abs() {
        small if small < 1e3 => short(value),
        thousands if thousands < 1e6 => format!("{} k", short(value / 1e3)),
        millions if millions < 1e9 => format!("{} M", short(value / 1e6)),
        _ => format!("{} G", short(value / 1e9)),
    }
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_their_unit() {
        for (unit, value, text, tick) in [
            (Unit::Micros, 84_300.0, "84 ms", "84 ms"),
            (Unit::Count, 0.0, "0", "0"),
            (Unit::Count, 12_400.0, "12.4 k", "12.4 k"),
            (Unit::Count, 3_000_000.0, "3 M", "3 M"),
            (Unit::Percent, 0.99999, "99.99 %", "99.99 %"),
            (Unit::Percent, 0.29, "29.00 %", "29 %"),
            (Unit::Percent, 1.0, "100.00 %", "100 %"),
            (Unit::Amount("EUR"), 12.4, "12.40 EUR", "12.4 EUR"),
        ] {
            assert_eq!(unit.text(value), text);
            assert_eq!(unit.tick(value), tick);
        }
    }
}

//! Values of columns. Every conversion is total: a value out of range is cut, so that no row can
//! block the ones behind it.

use std::borrow::Cow;
use std::sync::Arc;

use duckdb::arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray, UInt16Array, UInt32Array, UInt64Array,
};
use duckdb::arrow::datatypes::DataType;
use rust_decimal::{Decimal, RoundingStrategy};

use super::ColumnType;
use crate::domain::{Metric, MetricValue, UnixMillis};

/// Value of one column in one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    /// Microseconds since 1970.
    Timestamp(i64),
    Text(Cow<'a, str>),
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    /// In units of the last of the digits behind the point.
    Decimal(i128),
}

pub(super) const DECIMAL_DIGITS: u8 = 38;
pub(super) const DECIMAL_SCALE: i8 = 12;

impl<'a> Cell<'a> {
    /// DuckDB's range is some 290,000 years, Arrow's readers expect years of four digits.
    pub(super) fn moment(ms: UnixMillis) -> Self {
        Cell::Timestamp(ms.clamp(-62_135_596_800_000, 253_402_300_799_999) * 1_000)
    }

    /// NUL is replaced: text functions stop at it.
    pub(super) fn text(value: &'a str) -> Self {
        Cell::Text(if value.contains('\0') {
            Cow::Owned(value.replace('\0', "\u{fffd}"))
        } else {
            Cow::Borrowed(value)
        })
    }

    /// JSON object by name; null without metrics.
    pub(super) fn metrics(metrics: &[Metric]) -> Self {
        metrics_json(metrics).map_or(Cell::Null, |json| Cell::Text(Cow::Owned(json)))
    }

    pub(super) fn decimal(value: Decimal) -> Self {
        let places = DECIMAL_SCALE.unsigned_abs().into();
        let value = value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
        let factor = 10_i128.pow(places - value.scale());
        let most = 10_i128.pow(DECIMAL_DIGITS.into()) - 1;
        Cell::Decimal(value.mantissa().saturating_mul(factor).clamp(-most, most))
    }

    pub(super) fn json(value: serde_json::Value) -> Self {
        Cell::Text(Cow::Owned(value.to_string()))
    }

    pub(super) fn optional<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Cell::Null, cell)
    }

    fn unsigned<T: TryFrom<u64>>(&self, max: T) -> Option<T> {
        match self {
            Cell::Unsigned(value) => Some(T::try_from(*value).unwrap_or(max)),
            _ => None,
        }
    }
}

/// Returns the values of one column. A cell of another type than the column's counts as null.
pub(super) fn array<'a>(kind: ColumnType, cells: impl Iterator<Item = Cell<'a>>) -> ArrayRef {
    match kind {
        ColumnType::Timestamp => {
            let moments = cells.map(|cell| match cell {
                Cell::Timestamp(us) => Some(us),
                _ => None,
            });
            Arc::new(moments.collect::<TimestampMicrosecondArray>())
        }
        ColumnType::Text | ColumnType::Json => {
            let texts = cells.map(|cell| match cell {
                Cell::Text(text) => Some(text),
                _ => None,
            });
            Arc::new(texts.collect::<StringArray>())
        }
        ColumnType::Boolean => {
            let booleans = cells.map(|cell| match cell {
                Cell::Boolean(value) => Some(value),
                _ => None,
            });
            Arc::new(booleans.collect::<BooleanArray>())
        }
        ColumnType::U16 => Arc::new(
            cells
                .map(|cell| cell.unsigned(u16::MAX))
                .collect::<UInt16Array>(),
        ),
        // Durations: 71 minutes at most, longer than any timeout.
        ColumnType::U32 => Arc::new(
            cells
                .map(|cell| cell.unsigned(u32::MAX))
                .collect::<UInt32Array>(),
        ),
        ColumnType::U64 => Arc::new(
            cells
                .map(|cell| cell.unsigned(u64::MAX))
                .collect::<UInt64Array>(),
        ),
        ColumnType::I64 => {
            let numbers = cells.map(|cell| match cell {
                Cell::Signed(value) => Some(value),
                _ => None,
            });
            Arc::new(numbers.collect::<Int64Array>())
        }
        ColumnType::F64 => {
            let numbers = cells.map(|cell| match cell {
                Cell::Float(value) => Some(value),
                _ => None,
            });
            Arc::new(numbers.collect::<Float64Array>())
        }
        ColumnType::Decimal => {
            let numbers = cells.map(|cell| match cell {
                Cell::Decimal(value) => Some(value),
                _ => None,
            });
            let kind = DataType::Decimal128(DECIMAL_DIGITS, DECIMAL_SCALE);
            Arc::new(numbers.collect::<Decimal128Array>().with_data_type(kind))
        }
    }
}

fn metrics_json(metrics: &[Metric]) -> Option<String> {
    if metrics.is_empty() {
        return None;
    }
    let object: serde_json::Map<_, _> = metrics
        .iter()
        .map(|metric| {
            (
                metric.name.clone(),
                serde_json::to_value(&metric.value).unwrap_or_default(),
            )
        })
        .collect();
    Some(serde_json::Value::Object(object).to_string())
}

/// Returns the metrics of a JSON object. A number that JSON can't hold (not a number, infinite) was
/// stored as null, and is left out.
pub(super) fn metrics_from_json(text: &str) -> Vec<Metric> {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else {
        return Vec::new();
    };
    object
        .into_iter()
        .filter_map(|(name, value)| {
            let value: MetricValue = serde_json::from_value(value).ok()?;
            Some(Metric { name, value })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_twelve_digits_and_are_cut_where_they_have_no_room() {
        for (text, wanted) in [
            ("0", 0),
            ("-1.5", -1_500_000_000_000),
            ("0.0000000000005", 1),
            ("79228162514264337593543950335", 10_i128.pow(38) - 1),
            ("0.1234567890123456789012345678", 123_456_789_012),
        ] {
            let cell = Cell::decimal(text.parse().unwrap());
            assert_eq!(cell, Cell::Decimal(wanted), "{text}");
        }
    }

    #[test]
    fn metrics_are_read_as_they_were_stored() {
        let metrics = [
            ("a", MetricValue::Boolean(true)),
            ("b", MetricValue::Integer(i64::MAX)),
            ("c", MetricValue::Number(0.5)),
            ("d", MetricValue::Text("ü\"\\".to_owned())),
        ]
        .map(|(name, value)| Metric {
            name: name.to_owned(),
            value,
        });
        assert_eq!(metrics_from_json(&metrics_json(&metrics).unwrap()), metrics);
        assert_eq!(metrics_json(&[]), None);
        let nan = [Metric {
            name: "n".to_owned(),
            value: MetricValue::Number(f64::NAN),
        }];
        assert_eq!(metrics_from_json(&metrics_json(&nan).unwrap()), []);
    }
}

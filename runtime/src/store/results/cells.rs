//! Values of an answer for faces that are not JSON: typed, exact, without Arrow.

use std::borrow::Cow;

use duckdb::arrow::array::{Array, ArrayRef, AsArray};
use duckdb::arrow::datatypes::{self as types, DataType, IntervalUnit, TimeUnit};
use duckdb::arrow::record_batch::RecordBatch;
use serde_json::Value;

use super::query::SqlColumn;
use super::value::{Form, cell};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    /// `value / 10^scale`
    Decimal {
        value: i128,
        scale: u8,
    },
    Float(f32),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01 in UTC. The ends of the range are infinite.
    Timestamp(i64),
    Interval {
        months: i32,
        days: i32,
        micros: i64,
    },
}

/// Reader of the values of an answer's batches.
pub struct Cells {
    forms: Vec<Form>,
}

impl Cells {
    pub fn new(columns: &[SqlColumn]) -> Self {
        let forms = columns.iter().map(|column| Form::of(&column.kind));
        Self {
            forms: forms.collect(),
        }
    }

    /// Returns a value; lists and the like as JSON.
    pub fn cell<'a>(
        &self,
        batch: &'a RecordBatch,
        row: usize,
        column: usize,
    ) -> Result<Cell<'a>, String> {
        let array = batch.column(column);
        let form = self.forms.get(column).copied().unwrap_or(Form::Plain);
        if array.is_null(row) {
            return Ok(Cell::Null);
        }
        let plain = match form {
            Form::Plain | Form::Json => scalar(array, row).or_else(|| moment(array, row)),
            Form::Bits | Form::UnsignedHuge => None,
        };
        match plain {
            Some(found) => Ok(found),
            None => nested(array, row, form),
        }
    }
}

fn scalar(array: &ArrayRef, row: usize) -> Option<Cell<'_>> {
    macro_rules! integer {
        ($type:ident) => {
            Cell::Integer(array.as_primitive::<types::$type>().value(row).into())
        };
    }
    macro_rules! decimal {
        ($type:ident, $scale:expr) => {
            decimal(
                array.as_primitive::<types::$type>().value(row).into(),
                $scale,
            )
        };
    }
    Some(match array.data_type() {
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => integer!(UInt64Type),
        DataType::Float32 => Cell::Float(array.as_primitive::<types::Float32Type>().value(row)),
        DataType::Float64 => Cell::Double(array.as_primitive::<types::Float64Type>().value(row)),
        DataType::Decimal32(_, scale) => decimal!(Decimal32Type, *scale),
        DataType::Decimal64(_, scale) => decimal!(Decimal64Type, *scale),
        DataType::Decimal128(_, scale) => decimal!(Decimal128Type, *scale),
        DataType::Utf8 => text(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(row)),
        DataType::Utf8View => text(array.as_string_view().value(row)),
        DataType::Binary => Cell::Bytes(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Cell::Bytes(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => Cell::Bytes(array.as_binary_view().value(row)),
        _ => return None,
    })
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

fn decimal(value: i128, scale: i8) -> Cell<'static> {
    match u8::try_from(scale) {
        Ok(0) | Err(_) => Cell::Integer(value),
        Ok(scale) => Cell::Decimal { value, scale },
    }
}

fn moment(array: &ArrayRef, row: usize) -> Option<Cell<'_>> {
    macro_rules! primitive {
        ($type:ident) => {
            array.as_primitive::<types::$type>().value(row)
        };
    }
    Some(match array.data_type() {
        DataType::Date32 => Cell::Date(primitive!(Date32Type)),
        DataType::Time64(TimeUnit::Microsecond) => Cell::Time(primitive!(Time64MicrosecondType)),
        DataType::Time64(TimeUnit::Nanosecond) => {
            Cell::Time(primitive!(Time64NanosecondType) / 1_000)
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            Cell::Timestamp(primitive!(TimestampSecondType).saturating_mul(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Cell::Timestamp(primitive!(TimestampMillisecondType).saturating_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Cell::Timestamp(primitive!(TimestampMicrosecondType))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Cell::Timestamp(match primitive!(TimestampNanosecondType) {
                infinite @ (i64::MAX | i64::MIN) => infinite,
                nanos => nanos.div_euclid(1_000),
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = primitive!(IntervalMonthDayNanoType);
            Cell::Interval {
                months: value.months,
                days: value.days,
                micros: value.nanoseconds / 1_000,
            }
        }
        _ => return None,
    })
}

fn nested(array: &ArrayRef, row: usize, form: Form) -> Result<Cell<'static>, String> {
    let value = cell(array, row, form, &mut 0)?;
    Ok(match value {
        Value::Null => Cell::Null,
        Value::String(text) => Cell::Text(Cow::Owned(text)),
        other => Cell::Text(Cow::Owned(other.to_string())),
    })
}

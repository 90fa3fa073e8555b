//! DuckDB's values as JSON: moments as RFC 3339 in UTC, blobs in hex, intervals as ISO 8601
//! durations, exact numbers of more than 15 digits as text, what JSON can't say (not a number,
//! infinite) as null.

use duckdb::arrow::array::{self as arrow, Array, ArrayRef, AsArray};
use duckdb::arrow::datatypes::{self as types, DataType, IntervalUnit, TimeUnit};
use duckdb::core::{LogicalTypeHandle, LogicalTypeId};
use serde_json::{Map, Number, Value};

/// A value in a nest deeper than this is refused.
const MAX_DEPTH: usize = 32;
/// Integers up to here are exact in every reader of JSON.
const EXACT: i128 = 999_999_999_999_999;

/// Types of DuckDB that Arrow does not tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Json,
    Bits,
    UnsignedHuge,
}

impl Form {
    /// Returns the form of a type, by its name.
    pub(super) fn of(type_name: &str) -> Self {
        match type_name {
            "JSON" => Self::Json,
            "BIT" => Self::Bits,
            "UHUGEINT" => Self::UnsignedHuge,
            _ => Self::Plain,
        }
    }
}

/// One cell, and what it adds to the answer's size.
pub(super) fn cell(
    column: &ArrayRef,
    row: usize,
    form: Form,
    bytes: &mut usize,
) -> Result<Value, String> {
    let value = match (form, column.data_type()) {
        // Arrow has no unsigned 128-bit integer; the bits come in a signed one.
        (Form::UnsignedHuge, DataType::Decimal128(..)) if column.is_valid(row) => {
            let value = column.as_primitive::<types::Decimal128Type>().value(row) as u128;
            i128::try_from(value).map_or_else(|_| Value::String(value.to_string()), integer)
        }
        (Form::Bits, DataType::Binary) if column.is_valid(row) => {
            bits(column.as_binary::<i32>().value(row))
        }
        (Form::Bits, DataType::LargeBinary) if column.is_valid(row) => {
            bits(column.as_binary::<i64>().value(row))
        }
        _ => json(column.as_ref(), row, 0)?,
    };
    let value = match value {
        Value::String(text) if form == Form::Json => {
            *bytes += text.len();
            return Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
        value => value,
    };
    *bytes += size(&value);
    Ok(value)
}

/// DuckDB's own form: how many bits of the first byte are padding, then the bytes.
fn bits(bytes: &[u8]) -> Value {
    let Some((padding, bytes)) = bytes.split_first() else {
        return Value::Null;
    };
    let text: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    Value::String(text.chars().skip(usize::from(*padding)).collect())
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 3,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 2,
        Value::Object(object) => {
            object
                .iter()
                .map(|(key, value)| key.len() + 4 + size(value))
                .sum::<usize>()
                + 2
        }
        _ => 8,
    }
}

fn json(array: &dyn Array, row: usize, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err(format!("a value is nested deeper than {MAX_DEPTH} levels"));
    }
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    match array.data_type() {
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref(), depth),
        DataType::LargeList(_) => list(array.as_list::<i64>().value(row).as_ref(), depth),
        DataType::FixedSizeList(..) => list(array.as_fixed_size_list().value(row).as_ref(), depth),
        DataType::Struct(_) => structure(array.as_struct(), row, depth),
        DataType::Map(..) => map(&array.as_map().value(row), depth),
        DataType::Dictionary(..) => dictionary(array, row, depth),
        DataType::Union(..) => {
            let union = array
                .as_any()
                .downcast_ref::<arrow::UnionArray>()
                .ok_or("an unreadable union")?;
            json(union.value(row).as_ref(), 0, depth + 1)
        }
        other => number(array, row)
            .or_else(|| plain(array, row))
            .or_else(|| moment(array, row))
            .ok_or_else(|| format!("a value of type `{other}` can't be shown; cast it to VARCHAR")),
    }
}

/// Returns a number; none: the value is of another type.
fn number(array: &dyn Array, row: usize) -> Option<Value> {
    macro_rules! primitive {
        ($type:ident) => {
            array.as_primitive::<types::$type>().value(row)
        };
    }
    Some(match array.data_type() {
        DataType::Int8 => primitive!(Int8Type).into(),
        DataType::Int16 => primitive!(Int16Type).into(),
        DataType::Int32 => primitive!(Int32Type).into(),
        DataType::Int64 => primitive!(Int64Type).into(),
        DataType::UInt8 => primitive!(UInt8Type).into(),
        DataType::UInt16 => primitive!(UInt16Type).into(),
        DataType::UInt32 => primitive!(UInt32Type).into(),
        DataType::UInt64 => primitive!(UInt64Type).into(),
        DataType::Float32 => short_float(primitive!(Float32Type)),
        DataType::Float64 => primitive!(Float64Type).into(),
        DataType::Decimal32(_, scale) => decimal(primitive!(Decimal32Type).into(), *scale),
        DataType::Decimal64(_, scale) => decimal(primitive!(Decimal64Type).into(), *scale),
        DataType::Decimal128(_, scale) => decimal(primitive!(Decimal128Type), *scale),
        _ => return None,
    })
}

/// Returns a truth value, a text or bytes; none: the value is of another type.
fn plain(array: &dyn Array, row: usize) -> Option<Value> {
    Some(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Value::from(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Value::from(array.as_string_view().value(row)),
        DataType::Binary => Value::String(hex::encode(array.as_binary::<i32>().value(row))),
        DataType::LargeBinary => Value::String(hex::encode(array.as_binary::<i64>().value(row))),
        DataType::BinaryView => Value::String(hex::encode(array.as_binary_view().value(row))),
        DataType::FixedSizeBinary(_) => {
            Value::String(hex::encode(array.as_fixed_size_binary().value(row)))
        }
        _ => return None,
    })
}

/// Returns a date, a time of day, a timestamp or an interval; none: the value is of another type.
fn moment(array: &dyn Array, row: usize) -> Option<Value> {
    macro_rules! primitive {
        ($type:ident) => {
            array.as_primitive::<types::$type>().value(row)
        };
    }
    Some(match array.data_type() {
        DataType::Date32 => date(primitive!(Date32Type)),
        DataType::Time64(TimeUnit::Microsecond) => {
            time(i128::from(primitive!(Time64MicrosecondType)) * 1_000)
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            time(i128::from(primitive!(Time64NanosecondType)))
        }
        DataType::Timestamp(unit, _) => timestamp(array, row, *unit),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            interval(primitive!(IntervalMonthDayNanoType))
        }
        _ => return None,
    })
}

fn list(items: &dyn Array, depth: usize) -> Result<Value, String> {
    (0..items.len())
        .map(|index| json(items, index, depth + 1))
        .collect::<Result<Vec<_>, _>>()
        .map(Value::Array)
}

fn structure(array: &arrow::StructArray, row: usize, depth: usize) -> Result<Value, String> {
    let mut object = Map::new();
    for (name, column) in array.column_names().into_iter().zip(array.columns()) {
        object.insert(name.to_owned(), json(column.as_ref(), row, depth + 1)?);
    }
    Ok(Value::Object(object))
}

/// An object; keys that are no text are written as JSON.
fn map(entries: &arrow::StructArray, depth: usize) -> Result<Value, String> {
    let mut object = Map::new();
    for row in 0..entries.len() {
        let key = match json(entries.column(0).as_ref(), row, depth + 1)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        object.insert(key, json(entries.column(1).as_ref(), row, depth + 1)?);
    }
    Ok(Value::Object(object))
}

fn dictionary(array: &dyn Array, row: usize, depth: usize) -> Result<Value, String> {
    let dictionary = array.as_any_dictionary();
    let key = dictionary
        .normalized_keys()
        .get(row)
        .copied()
        .ok_or("an unreadable enum")?;
    json(dictionary.values().as_ref(), key, depth + 1)
}

/// As DuckDB prints it: 0.1, not 0.10000000149011612.
fn short_float(value: f32) -> Value {
    value
        .to_string()
        .parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map_or(Value::Null, Value::Number)
}

fn integer(value: i128) -> Value {
    match i64::try_from(value) {
        Ok(small) if value.abs() <= EXACT => Value::from(small),
        _ => Value::String(value.to_string()),
    }
}

fn decimal(value: i128, scale: i8) -> Value {
    let Some(scale) = u32::try_from(scale).ok().filter(|scale| *scale > 0) else {
        return integer(value);
    };
    let unit = 10_i128.pow(scale.min(38));
    let sign = if value < 0 { "-" } else { "" };
    let (whole, fraction) = (
        value.unsigned_abs() / unit.unsigned_abs(),
        value.unsigned_abs() % unit.unsigned_abs(),
    );
    let text = format!("{sign}{whole}.{fraction:0width$}", width = scale as usize);
    match text
        .parse::<f64>()
        .ok()
        .filter(|_| value.abs() <= EXACT)
        .and_then(Number::from_f64)
    {
        Some(number) => Value::Number(number),
        None => Value::String(text),
    }
}

fn timestamp(array: &dyn Array, row: usize, unit: TimeUnit) -> Value {
    let (value, per_second) = match unit {
        TimeUnit::Second => (
            array
                .as_primitive::<types::TimestampSecondType>()
                .value(row),
            1,
        ),
        TimeUnit::Millisecond => (
            array
                .as_primitive::<types::TimestampMillisecondType>()
                .value(row),
            1_000,
        ),
        TimeUnit::Microsecond => (
            array
                .as_primitive::<types::TimestampMicrosecondType>()
                .value(row),
            1_000_000,
        ),
        TimeUnit::Nanosecond => (
            array
                .as_primitive::<types::TimestampNanosecondType>()
                .value(row),
            1_000_000_000,
        ),
    };
    let nanos = i128::from(value) * (1_000_000_000 / per_second);
    match jiff::Timestamp::from_nanosecond(nanos) {
        Ok(moment) => Value::String(moment.to_string()),
        // DuckDB keeps infinity at the ends of its range, which lies beyond the years that RFC 3339
        // can write.
        Err(_) => Value::String(if value > 0 { "infinity" } else { "-infinity" }.to_owned()),
    }
}

fn date(days: i32) -> Value {
    let moment = jiff::Timestamp::from_second(i64::from(days) * 86_400);
    Value::String(match moment {
        Ok(moment) => moment
            .to_string()
            .chars()
            .take_while(|c| *c != 'T')
            .collect(),
        Err(_) => if days > 0 { "infinity" } else { "-infinity" }.to_owned(),
    })
}

fn time(nanos: i128) -> Value {
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let mut text = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
    if fraction != 0 {
        text.push_str(format!(".{fraction:09}").trim_end_matches('0'));
    }
    Value::String(text)
}

/// `P1Y2M3DT4.5S`; each part carries its own sign.
fn interval(value: types::IntervalMonthDayNano) -> Value {
    let mut text = String::from("P");
    for (count, unit) in [
        (value.months / 12, 'Y'),
        (value.months % 12, 'M'),
        (value.days, 'D'),
    ] {
        if count != 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if value.nanoseconds != 0 || text.len() == 1 {
        let sign = if value.nanoseconds < 0 { "-" } else { "" };
        let nanos = value.nanoseconds.unsigned_abs();
        let fraction = format!("{:09}", nanos % 1_000_000_000);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        text.push_str(&format!(
            "T{sign}{}{point}{fraction}S",
            nanos / 1_000_000_000
        ));
    }
    Value::String(text)
}

/// As DuckDB writes it.
pub(super) fn type_name(logical: &LogicalTypeHandle) -> String {
    if let Some(alias) = logical.get_alias() {
        return alias;
    }
    use LogicalTypeId as Id;
    match logical.id() {
        Id::Decimal => format!(
            "DECIMAL({},{})",
            logical.decimal_width(),
            logical.decimal_scale()
        ),
        Id::List => format!("{}[]", type_name(&logical.child(0))),
        Id::Array => format!("{}[]", type_name(&logical.child(0))),
        Id::Struct | Id::Union => {
            let fields: Vec<_> = (0..logical.num_children())
                .map(|index| {
                    format!(
                        "{} {}",
                        logical.child_name(index),
                        type_name(&logical.child(index))
                    )
                })
                .collect();
            let word = if logical.id() == Id::Struct {
                "STRUCT"
            } else {
                "UNION"
            };
            format!("{word}({})", fields.join(", "))
        }
        Id::Map => format!(
            "MAP({}, {})",
            type_name(&logical.child(0)),
            type_name(&logical.child(1))
        ),
        Id::TimestampTZ => "TIMESTAMP WITH TIME ZONE".to_owned(),
        Id::TimeTZ => "TIME WITH TIME ZONE".to_owned(),
        Id::TimestampS => "TIMESTAMP_S".to_owned(),
        Id::TimestampMs => "TIMESTAMP_MS".to_owned(),
        Id::TimestampNs => "TIMESTAMP_NS".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    }
}

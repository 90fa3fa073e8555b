//! Values as PostgreSQL writes them, in text and in binary.

use std::fmt::Write as _;

use super::types::PgType;
use crate::store::Cell;

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's time begins.
const EPOCH_US: i64 = 946_684_800_000_000;
/// The same in days.
const EPOCH_DAYS: i32 = 10_957;

/// A value can't be written as its column's type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit;

/// Writes a value that is not NULL as text.
pub(super) fn text(cell: &Cell<'_>, kind: PgType, out: &mut Vec<u8>) -> Result<(), Misfit> {
    if !is_of(cell, kind) {
        return Err(Misfit);
    }
    let mut written = String::new();
    // Writing to a text does not fail.
    let _ = match cell {
        Cell::Null => Ok(()),
        Cell::Bool(value) => written.write_str(if *value { "t" } else { "f" }),
        Cell::Integer(value) => write!(written, "{value}"),
        Cell::Decimal { value, scale } => written.write_str(&decimal(*value, *scale)),
        Cell::Float(value) => {
            float(f64::from(*value), value.to_string(), &mut written);
            Ok(())
        }
        Cell::Double(value) => {
            float(*value, value.to_string(), &mut written);
            Ok(())
        }
        Cell::Text(text) => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        Cell::Bytes(bytes) => write!(written, "\\x{}", hex::encode(bytes)),
        Cell::Date(days) => written.write_str(&date(*days)),
        Cell::Time(micros) => written.write_str(&time(*micros)),
        Cell::Timestamp(micros) => {
            let zone = if kind == PgType::Timestamptz {
                "+00"
            } else {
                ""
            };
            written.write_str(&timestamp(*micros, zone))
        }
        Cell::Interval {
            months,
            days,
            micros,
        } => written.write_str(&interval(*months, *days, *micros)),
    };
    out.extend_from_slice(written.as_bytes());
    Ok(())
}

/// Writes a value that is not NULL in binary.
pub(super) fn binary(cell: &Cell<'_>, kind: PgType, out: &mut Vec<u8>) -> Result<(), Misfit> {
    if !is_of(cell, kind) {
        return Err(Misfit);
    }
    match (kind, cell) {
        (PgType::Text | PgType::Json, cell) => return text(cell, kind, out),
        (PgType::Bool, Cell::Bool(value)) => out.push(u8::from(*value)),
        (PgType::Int2, Cell::Integer(value)) => {
            out.extend(i16::try_from(*value).map_err(|_| Misfit)?.to_be_bytes());
        }
        (PgType::Int4, Cell::Integer(value)) => {
            out.extend(i32::try_from(*value).map_err(|_| Misfit)?.to_be_bytes());
        }
        (PgType::Int8, Cell::Integer(value)) => {
            out.extend(i64::try_from(*value).map_err(|_| Misfit)?.to_be_bytes());
        }
        (PgType::Numeric, Cell::Integer(value)) => numeric(&value.to_string(), 0, out),
        (PgType::Numeric, Cell::Decimal { value, scale }) => {
            numeric(&decimal(*value, *scale), (*scale).into(), out);
        }
        (PgType::Numeric, Cell::Text(digits)) => numeric(digits, 0, out),
        (PgType::Float4, Cell::Float(value)) => out.extend(value.to_be_bytes()),
        (PgType::Float8, Cell::Float(value)) => out.extend(f64::from(*value).to_be_bytes()),
        (PgType::Float8, Cell::Double(value)) => out.extend(value.to_be_bytes()),
        (PgType::Bytea, Cell::Bytes(bytes)) => out.extend_from_slice(bytes),
        (PgType::Date, Cell::Date(days)) => {
            out.extend(days.saturating_sub(EPOCH_DAYS).to_be_bytes());
        }
        (PgType::Time, Cell::Time(micros)) => out.extend(micros.to_be_bytes()),
        (PgType::Timestamp | PgType::Timestamptz, Cell::Timestamp(micros)) => {
            let micros = match *micros {
                i64::MAX => i64::MAX,
                micros if micros <= -i64::MAX => i64::MIN,
                micros => micros - EPOCH_US,
            };
            out.extend(micros.to_be_bytes());
        }
        (
            PgType::Interval,
            Cell::Interval {
                months,
                days,
                micros,
            },
        ) => {
            out.extend(micros.to_be_bytes());
            out.extend(days.to_be_bytes());
            out.extend(months.to_be_bytes());
        }
        (PgType::Uuid, Cell::Text(text)) => {
            let digits: String = text.chars().filter(|c| *c != '-').collect();
            let bytes = hex::decode(digits).map_err(|_| Misfit)?;
            out.extend_from_slice(&bytes);
        }
        _ => return Err(Misfit),
    }
    Ok(())
}

/// Reports whether a value can be written as a type: a statement is described before its parameters
/// have values, which may change it.
fn is_of(cell: &Cell<'_>, kind: PgType) -> bool {
    match cell {
        Cell::Null => true,
        _ if kind == PgType::Text => true,
        Cell::Bool(_) => kind == PgType::Bool,
        Cell::Integer(value) => match kind {
            PgType::Int2 => i16::try_from(*value).is_ok(),
            PgType::Int4 => i32::try_from(*value).is_ok(),
            PgType::Int8 => i64::try_from(*value).is_ok(),
            other => other == PgType::Numeric,
        },
        Cell::Decimal { .. } => kind == PgType::Numeric,
        Cell::Float(_) => matches!(kind, PgType::Float4 | PgType::Float8),
        Cell::Double(_) => kind == PgType::Float8,
        Cell::Text(text) => match kind {
            PgType::Json | PgType::Uuid => true,
            // What is too large for 128 bits.
            PgType::Numeric => text.chars().all(|c| c.is_ascii_digit()),
            _ => false,
        },
        Cell::Bytes(_) => kind == PgType::Bytea,
        Cell::Date(_) => kind == PgType::Date,
        Cell::Time(_) => kind == PgType::Time,
        Cell::Timestamp(_) => matches!(kind, PgType::Timestamp | PgType::Timestamptz),
        Cell::Interval { .. } => kind == PgType::Interval,
    }
}

/// Digits in groups of four, with the weight of the first one.
fn numeric(text: &str, scale: u16, out: &mut Vec<u8>) {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (0x4000_u16, digits),
        None => (0, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let fraction = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let mut weight = (whole.len() / 4) as i16 - 1;
    let all = whole + &fraction;
    let groups = all.as_bytes().chunks(4).map(|group| {
        group
            .iter()
            .fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'))
    });
    let mut groups: Vec<u16> = groups.collect();
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..zeros);
    // At most ten groups.
    weight -= zeros as i16;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.extend((groups.len() as u16).to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(scale.to_be_bytes());
    for group in groups {
        out.extend(group.to_be_bytes());
    }
}

fn decimal(value: i128, scale: u8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    match fraction {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// The shortest text that reads back the same; large and small ones with an exponent.
fn float(value: f64, shortest: String, out: &mut String) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else if shortest.len() > 24 {
        let _ = write!(out, "{value:e}");
    } else {
        out.push_str(&shortest);
    }
}

fn infinity(is_positive: bool) -> String {
    if is_positive { "infinity" } else { "-infinity" }.to_owned()
}

fn timestamp(micros: i64, zone: &str) -> String {
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(moment) => {
            let text = moment.to_string().replace('T', " ");
            format!("{}{zone}", text.trim_end_matches('Z'))
        }
        Err(_) => infinity(micros > 0),
    }
}

fn date(days: i32) -> String {
    match jiff::Timestamp::from_second(i64::from(days) * 86_400) {
        Ok(moment) => {
            let text = moment.to_string();
            let date = text.split_once('T').map(|(date, _)| date.to_owned());
            date.unwrap_or(text)
        }
        Err(_) => infinity(days > 0),
    }
}

fn time(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let mut text = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    text
}

/// `1 year 2 mons 3 days 04:05:06`
fn interval(months: i32, days: i32, micros: i64) -> String {
    let mut parts = Vec::new();
    for (count, one, many) in [
        (months / 12, "year", "years"),
        (months % 12, "mon", "mons"),
        (days, "day", "days"),
    ] {
        match count {
            0 => {}
            1 => parts.push(format!("1 {one}")),
            count => parts.push(format!("{count} {many}")),
        }
    }
    if micros != 0 || parts.is_empty() {
        let sign = if micros < 0 { "-" } else { "" };
        parts.push(format!("{sign}{}", time(micros.saturating_abs())));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn written(cell: &Cell<'_>, kind: PgType) -> String {
        let mut out = Vec::new();
        text(cell, kind, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_read_as_in_postgresql() {
        let moment = 1_767_254_400_000_000;
        let interval = |months, days, micros| Cell::Interval {
            months,
            days,
            micros,
        };
        let decimal = |value, scale| Cell::Decimal { value, scale };
        for (cell, kind, wanted) in [
            (Cell::Bool(true), PgType::Bool, "t"),
            (Cell::Integer(-5), PgType::Int4, "-5"),
            (decimal(-5, 3), PgType::Numeric, "-0.005"),
            (decimal(12_345, 2), PgType::Numeric, "123.45"),
            (Cell::Double(0.1), PgType::Float8, "0.1"),
            (Cell::Float(0.1), PgType::Float4, "0.1"),
            (Cell::Double(1e300), PgType::Float8, "1e300"),
            (Cell::Double(f64::NAN), PgType::Float8, "NaN"),
            (Cell::Double(f64::NEG_INFINITY), PgType::Float8, "-Infinity"),
            (Cell::Bytes(&[1, 0xab]), PgType::Bytea, "\\x01ab"),
            (Cell::Date(0), PgType::Date, "1970-01-01"),
            (Cell::Time(1_500_000), PgType::Time, "00:00:01.5"),
            (
                Cell::Timestamp(moment),
                PgType::Timestamp,
                "2026-01-01 08:00:00",
            ),
            (
                Cell::Timestamp(moment + 1),
                PgType::Timestamptz,
                "2026-01-01 08:00:00.000001+00",
            ),
            (Cell::Timestamp(i64::MAX), PgType::Timestamp, "infinity"),
            (
                interval(14, 3, 3_661_000_000),
                PgType::Interval,
                "1 year 2 mons 3 days 01:01:01",
            ),
            (interval(0, 0, -1_000_000), PgType::Interval, "-00:00:01"),
            (Cell::Integer(7), PgType::Text, "7"),
        ] {
            assert_eq!(written(&cell, kind), wanted, "{cell:?}");
        }
    }

    #[test]
    fn binary_values_are_big_endian_and_count_from_2000() {
        let bytes = |cell: &Cell<'_>, kind| {
            let mut out = Vec::new();
            binary(cell, kind, &mut out).map(|()| out)
        };
        let decimal = |value, scale| Cell::Decimal { value, scale };
        assert_eq!(bytes(&Cell::Integer(258), PgType::Int2).unwrap(), [1, 2]);
        assert_eq!(
            bytes(&Cell::Date(10_958), PgType::Date).unwrap(),
            [0, 0, 0, 1]
        );
        assert_eq!(
            bytes(&Cell::Timestamp(EPOCH_US), PgType::Timestamptz).unwrap(),
            [0; 8]
        );
        for (cell, wanted) in [
            (Cell::Integer(0), vec![0, 0, 0, 0]),
            (Cell::Integer(12_345), vec![2, 1, 0, 0, 1, 2_345]),
            (Cell::Integer(-10_000), vec![1, 1, 0x4000, 0, 1]),
            (decimal(5, 3), vec![1, 0xffff, 0, 3, 50]),
            (decimal(123_450_000, 4), vec![2, 1, 0, 4, 1, 2_345]),
            (decimal(1, 8), vec![1, 0xfffe, 0, 8, 1]),
        ] {
            let found = bytes(&cell, PgType::Numeric).unwrap();
            let found: Vec<u16> = found
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            assert_eq!(found, wanted, "{cell:?}");
        }
        let uuid = Cell::Text(Cow::Borrowed("00000000-0000-0000-0000-0000000000ff"));
        assert_eq!(bytes(&uuid, PgType::Uuid).unwrap()[15], 255);
        assert_eq!(bytes(&Cell::Integer(70_000), PgType::Int2), Err(Misfit));
        assert_eq!(bytes(&Cell::Bool(true), PgType::Int4), Err(Misfit));
    }
}

//! Parameters of statements: their types, found out where the client leaves that to us, and their
//! values.

use std::collections::HashMap;

use serde_json::{Number, Value};

use super::error::WireError;
use super::tokens::{Kind, Token, words};
use super::types::PgType;

/// More parameters than any statement of people has.
const MAX_PARAMETERS: usize = 200;

/// Types of columns, by their names.
pub(super) type ColumnTypes = HashMap<String, PgType>;

/// Returns the types of `$1`, `$2`, … of a statement: as the client gave them, else by what they are
/// compared with, else text.
pub(super) fn types(
    sql: &str,
    given: &[u32],
    columns: &ColumnTypes,
) -> Result<Vec<PgType>, WireError> {
    let words = words(sql);
    let places = || {
        words
            .iter()
            .enumerate()
            .filter_map(|(at, token)| Some((at, number(token)?)))
    };
    let count = places().map(|(_, number)| number).max().unwrap_or(0);
    if count > MAX_PARAMETERS {
        let message = format!("a statement has at most {MAX_PARAMETERS} parameters here");
        return Err(WireError::new("54023", message));
    }
    let of = |wanted: usize| {
        let given = given.get(wanted - 1).copied().unwrap_or(0);
        PgType::of_oid(given)
            .or_else(|| {
                places()
                    .filter(|(_, number)| *number == wanted)
                    .find_map(|(at, _)| inferred(&words, at, columns))
            })
            .unwrap_or(PgType::Text)
    };
    Ok((1..=count.max(given.len().min(MAX_PARAMETERS)))
        .map(of)
        .collect())
}

fn number(token: &Token<'_>) -> Option<usize> {
    let number = token.text.strip_prefix('$')?.parse().ok()?;
    (token.kind == Kind::Parameter && number > 0).then_some(number)
}

/// Returns the type by the words around a parameter.
fn inferred(words: &[Token<'_>], at: usize, columns: &ColumnTypes) -> Option<PgType> {
    if words.get(at + 1).is_some_and(|next| next.is_sign("::")) {
        return PgType::of_name(&words.get(at + 2)?.name()?);
    }
    let before = |steps: usize| words.get(at.checked_sub(steps)?);
    let last = before(1)?;
    if last.is_word("limit") || last.is_word("offset") {
        return Some(PgType::Int8);
    }
    if last.is_word("between") {
        return columns.get(&before(2)?.name()?).copied();
    }
    if last.is_word("and") && before(3)?.is_word("between") {
        return columns.get(&before(4)?.name()?).copied();
    }
    let signs = words[..at]
        .iter()
        .rev()
        .take_while(|token| ["=", "<", ">", "!"].iter().any(|sign| token.is_sign(sign)))
        .count();
    match signs {
        0 => None,
        signs => columns.get(&before(signs + 1)?.name()?).copied(),
    }
}

/// Returns a statement with NULL in the places of its parameters, to be described.
pub(super) fn with_nulls(sql: &str, types: &[PgType]) -> String {
    let mut text = String::with_capacity(sql.len());
    for token in super::tokens::tokens(sql) {
        let kind = number(&token).and_then(|number| types.get(number - 1));
        match kind {
            Some(kind) => {
                text.push_str("(NULL::");
                text.push_str(kind.duckdb_name());
                text.push(')');
            }
            None => text.push_str(token.text),
        }
    }
    text
}

/// Reads a value.
pub(super) fn value(bytes: &[u8], kind: PgType, is_binary: bool) -> Result<Value, WireError> {
    if is_binary {
        return binary(bytes, kind);
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| WireError::new("22021", "a parameter is not UTF-8"))?;
    let invalid = || {
        let message = format!("a parameter of type {} reads `{text}`", kind.sql_name());
        WireError::new("22P02", message)
    };
    Ok(match kind {
        PgType::Bool => match text.to_ascii_lowercase().as_str() {
            "t" | "true" | "1" | "on" | "yes" => Value::Bool(true),
            "f" | "false" | "0" | "off" | "no" => Value::Bool(false),
            _ => return Err(invalid()),
        },
        PgType::Int2 | PgType::Int4 | PgType::Int8 => {
            Value::from(text.trim().parse::<i64>().map_err(|_| invalid())?)
        }
        PgType::Float4 | PgType::Float8 => {
            let number: f64 = text.trim().parse().map_err(|_| invalid())?;
            float(number)
        }
        PgType::Numeric => numeric(text.trim()),
        PgType::Bytea => match text.strip_prefix("\\x") {
            Some(digits) => blob(&hex::decode(digits).map_err(|_| invalid())?),
            None => return Err(invalid()),
        },
        _ => Value::from(text),
    })
}

fn binary(bytes: &[u8], kind: PgType) -> Result<Value, WireError> {
    let invalid = || {
        let message = format!(
            "a parameter of type {} has {} bytes",
            kind.sql_name(),
            bytes.len()
        );
        WireError::new("22P03", message)
    };
    macro_rules! number {
        ($type:ident) => {
            <$type>::from_be_bytes(bytes.try_into().map_err(|_| invalid())?)
        };
    }
    Ok(match kind {
        PgType::Bool => match bytes {
            [value] => Value::Bool(*value != 0),
            _ => return Err(invalid()),
        },
        PgType::Int2 => Value::from(number!(i16)),
        PgType::Int4 => Value::from(number!(i32)),
        // An `oid` has four bytes.
        PgType::Int8 if bytes.len() == 4 => Value::from(number!(u32)),
        PgType::Int8 => Value::from(number!(i64)),
        PgType::Float4 => float(number!(f32).into()),
        PgType::Float8 => float(number!(f64)),
        PgType::Date => {
            let days = i64::from(number!(i32)) + 10_957;
            let moment = jiff::Timestamp::from_second(days * 86_400).map_err(|_| invalid())?;
            Value::from(moment.to_string().chars().take(10).collect::<String>())
        }
        PgType::Timestamp | PgType::Timestamptz => {
            let micros = number!(i64)
                .checked_add(946_684_800_000_000)
                .ok_or_else(invalid)?;
            let moment = jiff::Timestamp::from_microsecond(micros).map_err(|_| invalid())?;
            Value::from(moment.to_string())
        }
        PgType::Bytea => blob(bytes),
        PgType::Uuid if bytes.len() == 16 => {
            let digits = hex::encode(bytes);
            let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
            let parts = parts.map(|(start, end)| &digits[start..end]);
            Value::from(parts.join("-"))
        }
        PgType::Numeric => numeric(&numeric_text(bytes).ok_or_else(invalid)?),
        PgType::Text | PgType::Json => {
            let text = std::str::from_utf8(bytes);
            Value::from(text.map_err(|_| WireError::new("22021", "a parameter is not UTF-8"))?)
        }
        PgType::Uuid | PgType::Time | PgType::Interval => {
            let message = format!(
                "a parameter of type {} in binary is not understood",
                kind.sql_name()
            );
            return Err(WireError::not_supported(message).with_hint("send it as text"));
        }
    })
}

/// JSON has no infinite numbers; DuckDB reads their names.
fn float(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None => Value::from(value.to_string()),
    }
}

/// A number where that is exact, else a text, which DuckDB casts to what it is compared with.
fn numeric(text: &str) -> Value {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(whole), _) => Value::from(whole),
        (_, Ok(value)) if digits <= 15 => float(value),
        _ => Value::from(text),
    }
}

/// DuckDB's text of a BLOB.
fn blob(bytes: &[u8]) -> Value {
    let text: String = bytes.iter().map(|byte| format!("\\x{byte:02X}")).collect();
    Value::from(text)
}

/// Digits in groups of four, with the weight of the first one.
fn numeric_text(bytes: &[u8]) -> Option<String> {
    let shorts: Vec<i16> = bytes
        .chunks(2)
        .map(|pair| pair.try_into().map(i16::from_be_bytes).ok())
        .collect::<Option<_>>()?;
    let (head, groups) = shorts.split_at_checked(4)?;
    let (count, weight, sign, scale) = (head[0], i32::from(head[1]), head[2], head[3]);
    let (groups, scale) = (
        (usize::try_from(count).ok()? == groups.len()).then_some(groups)?,
        usize::try_from(scale).ok()?,
    );
    // More than any number of ours has, and not so many that writing them hurts.
    if scale > 1_000 || weight.unsigned_abs() > 250 {
        return None;
    }
    let group = |index: i32| -> i16 {
        let index = usize::try_from(index).ok();
        index
            .and_then(|index| groups.get(index))
            .copied()
            .unwrap_or(0)
    };
    let mut text = String::from(match sign.cast_unsigned() {
        0 => "",
        0x4000 => "-",
        _ => return None,
    });
    let whole: String = (0..=weight)
        .map(|index| format!("{:04}", group(index)))
        .collect();
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        // At most 250.
        let groups = scale.div_ceil(4) as i32;
        let fraction: String = (1..=groups)
            .map(|place| format!("{:04}", group(weight + place)))
            .collect();
        text.push('.');
        text.push_str(&fraction[..scale]);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_found_by_what_parameters_are_compared_with() {
        let columns = ColumnTypes::from([
            ("ts".to_owned(), PgType::Timestamp),
            ("latency_us".to_owned(), PgType::Int8),
        ]);
        for (sql, given, wanted) in [
            ("select 1", vec![], vec![]),
            ("select $1::int", vec![], vec![PgType::Int4]),
            ("select $1", vec![0], vec![PgType::Text]),
            ("select $1", vec![20], vec![PgType::Int8]),
            (
                "select * from o where latency_us >= $2 and ts between $1 and $3 limit $4",
                vec![],
                vec![
                    PgType::Timestamp,
                    PgType::Int8,
                    PgType::Timestamp,
                    PgType::Int8,
                ],
            ),
            ("select '$1', $tag$ $2 $tag$", vec![], vec![]),
        ] {
            assert_eq!(types(sql, &given, &columns).unwrap(), wanted, "{sql}");
        }
        assert!(types("select $201", &[], &columns).is_err());
        assert_eq!(
            with_nulls("select $2, '$1'", &[PgType::Text, PgType::Int8]),
            "select (NULL::bigint), '$1'"
        );
    }

    #[test]
    fn values_are_read_in_text_and_in_binary() {
        for (bytes, kind, is_binary, wanted) in [
            (&b"5"[..], PgType::Int4, false, json!(5)),
            (b"t", PgType::Bool, false, json!(true)),
            (b"1.5", PgType::Numeric, false, json!(1.5)),
            (b"x", PgType::Text, false, json!("x")),
            (b"\\x0aff", PgType::Bytea, false, json!("\\x0A\\xFF")),
            (&[0, 0, 0, 5], PgType::Int4, true, json!(5)),
            (&[1], PgType::Bool, true, json!(true)),
            (&[0; 4], PgType::Date, true, json!("2000-01-01")),
            (
                &[0; 8],
                PgType::Timestamp,
                true,
                json!("2000-01-01T00:00:00Z"),
            ),
            // -12345.05
            (
                &[0, 3, 0, 1, 0x40, 0, 0, 2, 0, 1, 0x09, 0x29, 0x01, 0xf4],
                PgType::Numeric,
                true,
                json!(-12345.05),
            ),
            // 0.00000001
            (
                &[0, 1, 0xff, 0xfe, 0, 0, 0, 8, 0, 1],
                PgType::Numeric,
                true,
                json!(0.00000001),
            ),
        ] {
            assert_eq!(value(bytes, kind, is_binary).unwrap(), wanted, "{kind:?}");
        }
        for (bytes, kind, is_binary) in [
            (&b"x"[..], PgType::Int4, false),
            (b"x", PgType::Int4, true),
            (&[0, 9, 0, 1], PgType::Numeric, true),
            (&[0xff], PgType::Text, true),
        ] {
            assert!(value(bytes, kind, is_binary).is_err(), "{kind:?}");
        }
    }
}

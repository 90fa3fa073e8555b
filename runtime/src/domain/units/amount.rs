//! Amounts of units, and the units' names.

use rust_decimal::Decimal;

/// Most of one unit in one call.
const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

/// Returns an amount of a unit: not below 0, and no larger than anything real.
pub(super) fn amount_of(value: &serde_json::Value) -> Option<Decimal> {
    let text = match value {
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::String(text) => text.clone(),
        _ => return None,
    };
    parse_amount(&text)
}

/// Reads an amount, e.g. `12`, `0.5` or `1e3`.
pub fn parse_amount(text: &str) -> Option<Decimal> {
    let text = text.trim();
    if text.is_empty() || text.len() > 40 {
        return None;
    }
    let amount = Decimal::from_str_exact(text)
        .or_else(|_| Decimal::from_scientific(text))
        .ok()?;
    let is_real = !amount.is_sign_negative() || amount.is_zero();
    (is_real && amount <= Decimal::from(MAX_AMOUNT)).then(|| amount.normalize())
}

/// Whether a name can be that of a unit, e.g. `input_tokens`.
pub fn is_unit_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && name.len() <= 64
        && bytes.all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte)
        })
}

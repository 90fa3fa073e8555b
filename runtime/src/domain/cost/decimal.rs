//! Arithmetic that never panics and never rounds unseen: what does not fit is an error.

use rust_decimal::{Decimal, RoundingStrategy};

use super::CostError;

/// Digits behind the point of every amount that is kept.
pub const MAX_SCALE: u32 = 12;

/// Amounts, prices and quantities are smaller: 15 digits and [`MAX_SCALE`] more fit in a decimal.
pub(super) const LIMIT: Decimal = Decimal::from_parts(0xA4C6_8000, 0x0003_8D7E, 0, false, 0);

pub(super) fn add(one: Decimal, other: Decimal) -> Result<Decimal, CostError> {
    one.checked_add(other).ok_or(CostError::TooLarge)
}

pub(super) fn subtract(one: Decimal, other: Decimal) -> Result<Decimal, CostError> {
    one.checked_sub(other).ok_or(CostError::TooLarge)
}

pub(super) fn multiply(one: Decimal, other: Decimal) -> Result<Decimal, CostError> {
    one.checked_mul(other).ok_or(CostError::TooLarge)
}

/// `by` is not zero: price lists are checked for it.
pub(super) fn divide(one: Decimal, by: Decimal) -> Result<Decimal, CostError> {
    one.checked_div(by).ok_or(CostError::TooLarge)
}

/// Returns a sum of money as it is kept: [`MAX_SCALE`] digits behind the point.
pub(super) fn kept(amount: Decimal) -> Result<Decimal, CostError> {
    if amount.abs() >= LIMIT {
        return Err(CostError::TooLarge);
    }
    Ok(amount.round_dp_with_strategy(MAX_SCALE, RoundingStrategy::MidpointNearestEven))
}

/// Returns the least multiple of `size` that is not below `quantity`.
pub(super) fn up_to_multiple(quantity: Decimal, size: Decimal) -> Result<Decimal, CostError> {
    let rest = quantity.checked_rem(size).ok_or(CostError::TooLarge)?;
    if rest.is_zero() {
        return Ok(quantity);
    }
    add(subtract(quantity, rest)?, size)
}

/// Reads a price or a sum of money as people write it: digits with a point, neither sign nor
/// exponent.
pub fn parse_amount(text: &str) -> Result<Decimal, String> {
    let is_plain = !text.is_empty()
        && text.len() <= 40
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && !text.starts_with('.')
        && !text.ends_with('.');
    if !is_plain {
        return Err("must be a decimal number such as `0.0083`, without sign and currency".into());
    }
    match Decimal::from_str_exact(text) {
        Ok(amount) if amount.normalize().scale() <= MAX_SCALE && amount < LIMIT => {
            Ok(amount.normalize())
        }
        _ => Err(format!(
            "must have at most 15 digits before and {MAX_SCALE} behind the point"
        )),
    }
}

/// Whether an amount from outside is one that can be counted with.
pub(super) fn is_countable(quantity: Decimal) -> bool {
    !quantity.is_sign_negative() && quantity < LIMIT && quantity.normalize().scale() <= MAX_SCALE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_has_sixteen_digits() {
        assert_eq!(LIMIT.to_string(), "1000000000000000");
    }

    #[test]
    fn amounts_are_read_exactly_or_refused() {
        assert_eq!(parse_amount("0.0083").unwrap().to_string(), "0.0083");
        assert_eq!(parse_amount("10.00").unwrap().to_string(), "10");
        for wrong in [
            "",
            "-1",
            "+1",
            "1e3",
            "$1",
            "1,5",
            ".5",
            "1.",
            "1.2.3",
            "0.1234567890123",
            "1000000000000000",
            "99999999999999999999999999999999",
        ] {
            assert!(parse_amount(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_block_that_is_begun_is_whole() {
        let up = |q: &str, size: &str| {
            let parse = |text| Decimal::from_str_exact(text).unwrap();
            up_to_multiple(parse(q), parse(size)).unwrap().to_string()
        };
        assert_eq!(up("0", "10"), "0");
        assert_eq!(up("10", "10"), "10");
        assert_eq!(up("10.000001", "10").parse::<f64>().unwrap(), 20.0);
    }
}
